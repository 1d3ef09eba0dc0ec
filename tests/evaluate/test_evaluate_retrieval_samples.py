"""The queries of the galleries, against slow loops over every item and the scores of the retrieval evaluator."""

import json
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest

from multimodal_lab.evaluate import retrieval_samples
from multimodal_lab.evaluate.embeddings import Embeddings
from multimodal_lab.evaluate.retrieval import Retrieval
from multimodal_lab.report import neighbours
from multimodal_lab.report.words import wrapped
from multimodal_lab.runs.guarded_arrays import read_npz

N, D = 30, 4
HOSTILE = ["$x^2$ costs $5", "a\x1b[31m\u202ebird", "<script>alert(1)</script>", "word " * 200, "x" * 300]


def made(repeated=False):
    """Images with one to three captions each; if `repeated`, two rows hold each image."""
    rng = np.random.default_rng(0)
    image, text = rng.normal(size=(2, N, D)).astype(np.float32)
    image += text
    others = np.full((N, 2, D), np.nan, np.float32)
    others[::2, 0] = rng.normal(size=(N, D))[::2]
    others[::4, 1] = rng.normal(size=(N, D))[::4]
    items, present = {}, np.arange(N) % 11 != 0
    if repeated:
        image, items = image[np.arange(N) // 2], {"image": np.arange(N) // 2}
    e = Embeddings(
        {"image": image, "text": text}, {"image": np.ones(N, bool), "text": present},
        {"kind": np.arange(N) % 3 - (np.arange(N) == 4)}, {"kind": ["a", "b", "c"]}, [f"s{i}" for i in range(N)],
        np.arange(N), np.full(N, "test"), items=items, others={"text": others},
    )  # fmt: skip
    return e


def texts(rows):
    """The caption of each place says which it is."""
    return {"text": [[f"row {i} text {k}" for k in range(1 + (i % 2 == 0) + (i % 4 == 0))] for i in rows.tolist()]}


def data():
    return SimpleNamespace(samples=pd.DataFrame({"id": [f"s{i}" for i in range(N)]}), texts=texts, streams={})


def by_hand(e):
    """[(place, which), unit vector, rows that hold it] of each item, of both streams."""
    unit = lambda x: x / np.linalg.norm(x)  # noqa: E731
    rows = np.flatnonzero(e.present["text"])
    held = e.items.get("image", np.arange(N))
    image = {h: [r for r in rows if held[r] == h] for h in dict.fromkeys(held[rows].tolist())}
    images = [((own[0], 0), unit(e.vectors["image"][own[0]]), set(own)) for own in image.values()]
    said = [((r, 0), unit(e.vectors["text"][r]), {r}) for r in rows]
    said += [((r, k + 1), unit(e.others["text"][r, k]), {r}) for r in rows for k in range(2)
             if np.isfinite(e.others["text"][r, k]).all()]  # fmt: skip
    return {"image": images, "text": said}


@pytest.mark.parametrize("repeated", [False, True])
@pytest.mark.parametrize(("a", "b"), [("image", "text"), ("text", "image")])
def test_queries_ranks_and_hits_are_those_of_slow_loops(repeated, a, b):
    e = made(repeated)
    found = retrieval_samples.searched(e, a, b)
    sets = by_hand(e)
    ranks = {}
    for cell, x, rows in sets[a]:
        scored = sorted(((float(x @ y), key, bool(rows & own)) for key, y, own in sets[b]), key=lambda s: -s[0])
        ranks[cell] = (next(i for i, s in enumerate(scored) if s[2]) + 1, sum(s[2] for s in scored), scored)
    assert (found["of"], found["keys"]) == (len(sets[a]), len(sets[b]))
    worst = sorted((r[0] for r in ranks.values()), reverse=True)
    assert len({q["query"] for q in found["queries"]}) == retrieval_samples.RANDOM + retrieval_samples.WORST
    told = [q["rank"] for q in found["queries"] if q["worst"]]
    assert told == sorted(told, reverse=True)
    rest = [ranks[q["query"]][0] for q in found["queries"] if not q["worst"]]
    assert sorted([*told, *rest], reverse=True)[0] == worst[0]
    for q in found["queries"]:
        rank, right, scored = ranks[q["query"]]
        assert (q["rank"], q["right"]) == (rank, right)
        assert q["found"] == [key for _, key, _ in scored[: retrieval_samples.NEAR]]
        assert q["hits"] == [hit for *_, hit in scored[: retrieval_samples.NEAR]]
        np.testing.assert_allclose(q["cosine"], [c for c, *_ in scored[: retrieval_samples.NEAR]], atol=1e-5)
        assert q["best"] == scored[rank - 1][1]
    scores = Retrieval()(e.rows(slice(0, 0)), e)
    for k in (1, 5, 10):
        assert found["recall"][str(k)] == pytest.approx(scores[f"retrieval/{a}->{b}/R@{k}"])


def test_rows_that_show_one_thing_are_right_for_each_other():
    e = made()
    e.others, e.same = {}, np.arange(N) // 3
    found = retrieval_samples.searched(e, "image", "text")
    for q in found["queries"]:
        row = q["query"][0]
        assert q["right"] == (e.present["text"] & (e.same == e.same[row])).sum()
        assert q["hits"] == [e.same[key] == e.same[row] for key, _ in q["found"]]


@pytest.mark.parametrize("projection", [True, False])
def test_the_gallery_is_of_the_space_that_the_evaluator_compares(tmp_path, projection):
    e = made()
    e.others = {}
    e.projected = {name: -x[::-1].copy() for name, x in e.vectors.items()}  # other neighbours than those of the vectors
    ranking = Retrieval(projection=projection)
    scores = ranking(e.rows(slice(0, 0)), e)
    assert retrieval_samples.save(data(), e, tmp_path / retrieval_samples.FILE, ranking=ranking)
    facts = json.loads(read_npz(tmp_path / retrieval_samples.FILE)["facts"].tobytes())
    assert len(facts["pairs"]) == 2
    for pair in facts["pairs"]:
        key = f"retrieval/{pair['a']}->{pair['b']}"
        assert pair["recall"] == {str(k): pytest.approx(scores[f"{key}/R@{k}"]) for k in (1, 5, 10)}
        title = neighbours.Gallery(facts, {}, None).figure(pair).get_suptitle()
        assert f"by cosine of the {'projections' if projection else 'embeddings'}" in title


def test_no_common_space_is_no_gallery(tmp_path):
    e = made()
    e.others, e.vectors["text"] = {}, e.vectors["text"][:, :2]
    assert retrieval_samples.searched(e, "image", "text") is None
    assert not retrieval_samples.save(data(), e, tmp_path / "retrieval.npz")
    assert not [*tmp_path.iterdir()]


def test_the_gallery_shows_the_words_and_marks_right_and_wrong(tmp_path):
    e = made(repeated=True)
    assert retrieval_samples.save(data(), e, tmp_path / retrieval_samples.FILE)
    facts = json.loads(read_npz(tmp_path / retrieval_samples.FILE)["facts"].tobytes())
    pair = next(p for p in facts["pairs"] if p["a"] == "image")
    figure = neighbours.Gallery(facts, {}, "kind").figure(pair)
    shown = [t.get_text() for t in figure.axes[0].texts]
    for q in pair["queries"]:
        for row, text in q["found"]:
            said = f"row {facts['ids'][row][1:]} text {text}"
            assert said in [" ".join(t.split()) for t in shown]
    hits = sum(sum(q["hits"]) for q in pair["queries"])
    lost = sum(not any(q["hits"]) for q in pair["queries"])
    assert sum(t.startswith("✓") for t in shown) == hits + lost
    assert sum(t.startswith(("✗", "≈")) for t in shown) == sum(len(q["hits"]) for q in pair["queries"]) - hits
    alike = [(q, c) for q in pair["queries"] for c, hit in zip(q["found"], q["hits"], strict=True) if not hit
             and facts["targets"]["kind"][c[0]] == facts["targets"]["kind"][q["query"][0]] >= 0]  # fmt: skip
    assert sum(t.startswith("≈") for t in shown) == len(alike)
    assert any(t.startswith("Queries drawn at random") for t in shown)
    assert any(t.startswith("The worst of ") for t in shown)
    drawn = neighbours.neighbours(tmp_path / "figures", tmp_path, "kind")
    assert [p.name for p in drawn] == ["neighbours_image_to_text.png", "neighbours_text_to_image.png"]


def test_any_words_can_be_drawn(tmp_path):
    one = data()
    one.texts = lambda rows: {"text": [[HOSTILE[i % 5]] * 3 for i in rows.tolist()]}
    retrieval_samples.save(one, made(), tmp_path / retrieval_samples.FILE)
    assert len(neighbours.neighbours(tmp_path, tmp_path, None)) == 2
    for text in HOSTILE:
        lines = wrapped(text, 20, 3).replace(r"\$", "$").split("\n")
        assert len(lines) <= 3
        assert all(len(line) <= 20 for line in lines)
    assert wrapped("word " * 200, 20, 3).endswith("…")
    assert "\x1b" not in wrapped(HOSTILE[1], 20, 3)
    assert "\u202e" not in wrapped(HOSTILE[1], 20, 3)

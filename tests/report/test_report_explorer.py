"""The explorer's page says what a run's files say; what is wrong with them is one sentence."""

import base64
import io
import json
import re
import zipfile

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from made_run import COLOURS, embeddings, run
from PIL import Image

from multimodal_lab import explore
from multimodal_lab.report import explorer, figures
from multimodal_lab.report.explorer import captions, content, near, page, source, sprites
from multimodal_lab.runs import guarded_arrays

TYPES = {"f": "<f4", "i": "<i4", "u": "<u2"}


def unpacked(packed):
    return np.frombuffer(base64.b64decode(packed["data"]), TYPES[packed["type"]])


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    folder = tmp_path_factory.mktemp("run")
    e = run(folder)
    scores = {"probe/uv/species/accuracy": 0.875, "probe/uv/species/n": 80, "chance/species": 0.25, "code": "x"}
    (folder / "summary.json").write_text(json.dumps(scores))
    return e, content.content(source.read(folder), "mine", "pca"), folder


def by_hand(x, y, query, keys, k):
    unit = [v / np.linalg.norm(v, axis=1, keepdims=True).clip(1e-12) for v in (x, y)]
    order = np.argsort(-(unit[0][query] @ unit[1][keys].T), kind="stable")
    return keys[order[:k]]


def test_neighbours_are_those_of_the_true_vectors(made):
    e, _, _ = made
    names = list(e.vectors)
    found = {(n.query, n.key): n for n in near.near(e, names)}
    assert found.keys() == {*((n, n) for n in names), ("rgb", "uv"), ("uv", "rgb")}
    for (a, b), one in found.items():
        x, y = (e.vectors[a], e.vectors[a]) if a == b else (e.projected[a], e.projected[b])
        assert one.space == ("own" if a == b else "projection")
        for query in np.flatnonzero(e.present[a]):
            keys = np.flatnonzero(e.present[b])
            wanted = by_hand(x, y, query, keys[keys != query] if a == b else keys, near.K)
            assert one.index[query].tolist() == wanted.tolist()
            cosine = x[query] @ y[wanted[0]] / np.linalg.norm(x[query]) / np.linalg.norm(y[wanted[0]])
            assert one.closeness[query, 0] == pytest.approx(cosine, abs=1e-6)
        assert (one.index[~e.present[a]] == -1).all()


def test_spaces_of_different_width_have_no_neighbours_across():
    e = embeddings()
    e.projected = {}
    assert near.across(e, "rgb", "uv").space == "width"
    e.vectors["uv"] = e.vectors["uv"][:, :4]
    assert near.across(e, "rgb", "uv") is None


def test_copies_and_few_samples_find_others():
    e = embeddings(n=12)
    e.vectors["rgb"][:] = 1
    found = near.within(e, "rgb").index
    assert found.shape == (12, near.K)
    assert not (found == np.arange(12)[:, None]).any()
    assert near.within(e.rows(np.arange(3)), "rgb").index.shape == (3, 2)


def test_the_page_holds_every_sample_label_and_score(made):
    e, told, _ = made
    assert told["ids"] == e.ids
    rows = {p["name"]: unpacked(p["rows"]) for p in told["panels"]}
    assert {k: v.tolist() for k, v in rows.items()} == {k: np.flatnonzero(p).tolist() for k, p in e.present.items()}
    labels = {one["name"]: one for one in told["labels"]}
    assert labels.keys() == {"species", "mass", "split"}
    assert unpacked(labels["species"]["codes"]).tolist() == e.targets["species"].tolist()
    np.testing.assert_allclose(unpacked(labels["mass"]["values"]), e.targets["mass"], rtol=1e-6)
    assert [labels["split"]["classes"][c] for c in unpacked(labels["split"]["codes"])] == e.split.tolist()
    assert [p["scores"] for p in told["panels"]] == [
        {},
        {"species": "held-out probe accuracy 0.875, chance 0.250, n 80"},
        {},
    ]


def test_validation_scores_are_called_so(tmp_path):
    run(tmp_path)
    (tmp_path / "summary.json").write_text('{"val/probe/uv/species/accuracy": 0.875, "val/chance/species": 0.25}')
    told = content.content(source.read(tmp_path), "mine", "pca")
    assert told["panels"][1]["scores"] == {"species": "validation probe accuracy 0.875, chance 0.250"}


def test_maps_are_the_figures_own(made):
    e, told, _ = made
    for panel in told["panels"]:
        x = e.vectors[panel["name"]][e.present[panel["name"]]].astype(float)
        x /= np.linalg.norm(x, axis=1, keepdims=True)
        x -= x.mean(0)
        along = np.linalg.svd(x, full_matrices=False)[2][:2] @ x.T
        for axis, wanted in zip("xy", along, strict=True):
            np.testing.assert_allclose(np.abs(unpacked(panel[axis])), np.abs(wanted), atol=1e-5)


def test_every_picture_is_on_its_tile(made):
    _, told, _ = made
    pictures = told["pictures"]
    size, columns = pictures["size"], pictures["columns"]
    for stream, turn in (("rgb", lambda c: c), ("uv", lambda c: 255 - c)):
        (uri,) = pictures["sheets"][stream]
        sheet = np.asarray(Image.open(io.BytesIO(base64.b64decode(uri.partition(",")[2])))).astype(int)
        for row, tile in enumerate(unpacked(pictures["place"])):
            y, x = tile // columns * size, tile % columns * size
            assert np.abs(sheet[y : y + size, x : x + size] - turn(COLOURS[row % 64])).max() <= 12


def test_pictures_shrink_to_their_limit_and_then_are_left_out():
    noise = {"rgb": np.random.default_rng(0).integers(0, 255, (40, 48, 48, 3), dtype=np.uint8)}
    sizes = [found.size if (found := sprites.sheets(noise, limit)) else None for limit in (10**7, 60_000, 1_000)]
    assert sizes[0] == 48
    assert sizes[1] in (16, 24, 32)
    assert sizes[2] is None


def test_more_samples_than_the_limit_are_drawn_those_with_pictures_first(tmp_path, monkeypatch):
    e = run(tmp_path)
    images = np.zeros((10, 8, 8, 3), dtype=np.uint8)
    np.savez(tmp_path / "thumbnails.npz", rows=np.arange(30, 40), rgb=images)
    monkeypatch.setattr(source, "POINTS", 20)
    found = source.read(tmp_path)
    assert (len(found.embeddings), found.total) == (20, len(e))
    assert {f"dir/{i:03d}.tif" for i in range(30, 40)} <= set(found.embeddings.ids)


def test_the_words_of_samples_are_carried_cleaned_and_cut(tmp_path, monkeypatch):
    said = [[f"word {i}", "x" * 2000] if i % 2 else [] for i in range(48)]
    said[3] = ["<script>\u202eevil\x00\nline</script>", *"abcdefgh"]
    run(tmp_path, said={"caption": said})
    found = source.read(tmp_path)
    assert found.words["caption"][1] == ["word 1", "x" * 999 + "…"]
    (told,) = content.content(found, "mine", "pca")["captions"]
    assert told["name"] == "caption"
    assert told["texts"][:3] == [[], ["word 1", "x" * 299 + "…"], []]
    assert told["texts"][3] == ["<script> evil line</script>", "a", "b", "c", "d"]
    assert told["more"][:4] == [0, 0, 0, 4]
    shorter = captions.captions(found.words, 24 * 200)
    assert max(len(t) for own in shorter[0]["texts"] for t in own) == 150
    assert captions.captions(found.words, 10) == []
    monkeypatch.setattr(source, "POINTS", 20)  # the words stay with their samples
    few = source.read(tmp_path)
    assert few.words["caption"] == [found.words["caption"][int(i[4:7])] for i in few.embeddings.ids]


@pytest.mark.parametrize(
    ("table", "said"),
    [
        ({"row": [99], "stream": ["a"], "text": ["b"]}, "rows must be places among the 48 samples"),
        ({"row": [0], "stream": ["a"]}, "expected columns row, stream, text"),
    ],
)
def test_words_that_no_run_wrote_are_refused(tmp_path, table, said):
    run(tmp_path)
    pq.write_table(pa.table(table), tmp_path / "texts.parquet")
    with pytest.raises(source.ExplorerError, match=said):
        source.read(tmp_path)


def test_the_same_run_gives_the_same_bytes(made, tmp_path):
    paths = [explorer.write(made[2], tmp_path / name) for name in ("a.html", "b.html")]
    assert paths[0].read_bytes() == paths[1].read_bytes()


def test_figures_make_it_and_their_names_are_checked_before_training(made):
    assert [p.name for p in figures.draw(made[2], ["explorer"])] == ["explorer.html"]
    with pytest.raises(ValueError, match=f"expected one of {len(figures.FIGURES)} names; nearest: explorer"):
        figures.draw(made[2], ["explor"])


def test_a_run_without_pictures_and_with_one_bare_space(tmp_path):
    e = run(tmp_path, pictures=False)
    e.present["uv"][:] = False
    e.targets, e.classes = {}, {}
    e.save(tmp_path / "embeddings")
    told = content.content(source.read(tmp_path), "x", "pca")
    assert ([p["name"] for p in told["panels"]], told["pictures"]) == (["rgb", "fused"], None)
    assert [one["name"] for one in told["labels"]] == ["split"]
    for present in e.present.values():
        present[2:] = False
    e.save(tmp_path / "embeddings")
    with pytest.raises(explorer.ExplorerError, match="none of rgb, uv, fused has 3 samples"):
        explorer.write(tmp_path)


def cut(path):
    path.write_bytes(path.read_bytes()[:200])


def shorter(path):
    embeddings(n=20).save(path.parent / "other")
    (path.parent / "other" / path.name).replace(path)


def infinite(path):
    e = embeddings()
    e.vectors["uv"][1] = np.inf
    e.save(path.parent)


def pictures(**arrays):
    return lambda path: np.savez(path, **arrays)


def bomb(path):
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as packed:
        packed.writestr("rows.npy", b"\0" * 4_000_000)


@pytest.mark.parametrize(
    ("file", "harm", "says"),
    [("embeddings/uv.parquet", cut, r"uv\.parquet: not whole, or not as a run writes it"),
     ("embeddings/uv.parquet", lambda p: p.write_text("x"), r"uv\.parquet: not whole"),
     ("embeddings/uv.parquet", shorter, r"uv\.parquet: its samples are not those of fused"),
     ("embeddings/uv.parquet", infinite, r"uv\.parquet: holds numbers that are not finite"),
     ("thumbnails.npz", cut, r"thumbnails\.npz: not whole"),
     ("thumbnails.npz", pictures(rgb=np.zeros((1, 4, 4, 3), np.uint8)), r"thumbnails\.npz: not whole"),
     ("thumbnails.npz", pictures(rows=np.arange(99)), r"rows must be places among the 48 samples"),
     ("thumbnails.npz", pictures(rows=np.arange(2), rgb=np.zeros((1, 4, 4))), r"rgb is float64 \(1, 4, 4\), expected uint8 \(2"),
     ("thumbnails.npz", pictures(rows=np.array([{}])), r"thumbnails\.npz: not whole"),
     ("thumbnails.npz", bomb, r"expected at most 1,000 of 1,000,000")],
)  # fmt: skip
def test_damage_is_told_by_file(tmp_path, monkeypatch, file, harm, says):
    run(tmp_path)
    if harm is bomb:
        monkeypatch.setattr(guarded_arrays, "MOST_NPZ", 1_000_000)
    harm(tmp_path / file)
    with pytest.raises(explorer.ExplorerError, match=says):
        source.read(tmp_path)


def test_a_damaged_summary_costs_only_its_scores(tmp_path):
    run(tmp_path)
    for text in ("{", "[]", '{"probe/rgb/species/accuracy": NaN}'):
        (tmp_path / "summary.json").write_text(text)
        assert source.read(tmp_path).scores == {}


def test_data_can_not_end_its_element():
    words = ["</script><script>alert(1)</script>", "<!--<script>", "\u2028", "&lt;", "]]>"]
    text = page.embedded({"a": words})
    assert not set("<>&\u2028") & set(text)
    assert json.loads(text) == {"a": words}
    with pytest.raises(explorer.ExplorerError, match="would end its own element"):
        page._script("x = '</SCRIPT>'")


def test_without_plotly_the_error_says_how_to_get_it(made, monkeypatch, caplog):
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(explorer.ExplorerError, match=re.escape("plotly: pip install plotly")):
        explorer.write(made[2])
    with pytest.raises(explorer.ExplorerError, match="plotly and umap-learn"):
        explorer.write(made[2], method="umap")
    assert figures.draw(made[2], ["explorer"]) == []
    assert "pip install" in caplog.text


@pytest.mark.parametrize(
    ("words", "says"),
    [([], "run=DIR is missing"), (["rum=x"], "no rum=…; expected one of run, method, out; nearest: run"),
     (["x"], "expected KEY=VALUE"),
     (["run=x", "method=umpa"], "method=umpa: expected one of pca, umap, tsne; nearest: umap"),
     (["run=x", "out=a.png"], "ends in .html")],
)  # fmt: skip
def test_a_wrong_command_line_names_the_nearest(words, says):
    assert says in explore.problem(words)


def test_a_study_is_not_a_run(tmp_path):
    (tmp_path / "study.json").write_text("{}")
    assert "this is a study" in explore.problem([f"run={tmp_path}"])


def test_the_command_ends_in_one_sentence(cli):
    done = cli("run=/nowhere/at/all", module="explore", small=False, check=False)
    assert (done.returncode, done.stderr.strip()) == (
        1,
        "error: run=/nowhere/at/all: no such directory; see --help",
    )

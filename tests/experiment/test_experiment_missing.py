"""Contrastive learning of three modalities, each sample with some of them: no NaN, two ranks equal one, impossible pairs told."""

import json

import forked
import numpy as np
import pytest
from PIL import Image

from multimodal_lab.experiment import run

WORDS = ("red dot on white", "blue bar on black", "green ring near grey", "pink cross over blue", "old gold star")
QUICK = [
    "experiment=tuxpaint", "data.size=8", "data.cache=true", "backbone.widths=[8,16]", "modality.en.vocab=40",
    "modality.fr.vocab=40", "~modality.es", "~backbones.es", "log=none", "figures=[]", "train.epochs=1", "train.log_every=1",
    "data.split.column=split", "evaluate=[retrieval]",
]  # fmt: skip
QUICK += [f"backbones.{n}.{k}" for n in ("en", "fr") for k in ("width=16", "layers=1", "heads=2")]


def table(folder, has, rows=40):
    """Drawings with words in two languages; `has(i)` says which of file, text_en, text_fr row i has."""
    draw = np.random.default_rng(0)
    with (folder / "index.jsonl").open("w") as file:
        for i in range(rows):
            Image.fromarray(draw.integers(0, 256, (8, 8, 3), dtype=np.uint8)).save(folder / f"{i}.png")
            words = f"{WORDS[i % 5]} {i}"
            row = {"file": f"{i}.png", "text_en": words, "text_fr": words[::-1], "text_es": words}
            split = "train" if i < 32 else "test"
            held = {k: v for k, v in row.items() if split == "test" or k in has(i)}
            file.write(json.dumps({"id": f"s{i}", "split": split, "category": "a" if i % 2 else "b", **held}) + "\n")
    return [f"data.root={folder}", *QUICK]


def rotating(i):
    """Two of three, in turn; a few rows have one alone."""
    every = ("file", "text_en", "text_fr")
    return every[i % 3 :: 3] if i % 7 == 0 else [name for k, name in enumerate(every) if k != i % 3]


def losses(folder):
    lines = [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]
    return [line["train/clip"] for line in lines if "train/clip" in line]


@pytest.mark.parametrize(
    ("batch", "more"),
    [
        (2, []),  # in most batches a modality is missing altogether, or no row has two
        (
            8,
            [
                "loss=siglip",
                "loss.fn.hub=en",
                "loss.fn.pair_weights={image-en:2.0}",
                "data.missing_at_random={rate:{en:0.5}}",
            ],
        ),
    ],
)
def test_whatever_is_missing_all_stays_finite_and_any_pair_is_searched_both_ways(composed, tmp_path, batch, more):
    cfg = composed(*table(tmp_path, rotating), f"data.batch_size={batch}", *more, small=False)
    run.run(cfg, tmp_path / "run")
    rows = [json.loads(line) for line in (tmp_path / "run/metrics.jsonl").read_text().splitlines()]
    numbers = [v for row in rows for v in row.values() if isinstance(v, float)]
    assert np.isfinite(numbers).all()
    found = json.loads((tmp_path / "run/summary.json").read_text())
    for a in ("image", "en", "fr"):
        for b in {"image", "en", "fr"} - {a}:
            assert found[f"retrieval/{a}->{b}/n"] == 8
            assert 0 < found[f"retrieval/{a}->{b}/map"] <= 1


def test_a_pair_that_no_sample_has_is_told_before_training_and_a_hub_is_the_way_out(composed, tmp_path):
    words = [*table(tmp_path, lambda i: ("file", "text_en" if i % 2 else "text_fr")), "data.batch_size=8"]
    with pytest.raises(ValueError, match=r"loss: no training sample holds both en and fr.*loss.fn.hub=image compares"):
        run.run(composed(*words, small=False), tmp_path / "refused")
    assert not (tmp_path / "refused/metrics.jsonl").exists()
    run.run(composed(*words, "loss.fn.hub=image", small=False), tmp_path / "run")
    assert losses(tmp_path / "run")[-1] > 0


@pytest.mark.slow  # two processes
def test_a_modality_that_one_rank_lacks_changes_nothing_of_the_training(cli, tmp_path):
    words = [
        *table(tmp_path, rotating),
        "data.batch_size=4",
        "device=cpu",
        *(f"backbones.{n}.dropout=0" for n in ("en", "fr")),
    ]
    for done in forked.ranks("multimodal_lab.run", [*words, f"dir={tmp_path / 'two'}"], 2):
        assert done.returncode == 0, done.stderr[-2000:]
    cli(*words, f"dir={tmp_path / 'one'}", small=False)
    np.testing.assert_allclose(losses(tmp_path / "two"), losses(tmp_path / "one"), rtol=1e-5)
    assert len(losses(tmp_path / "one")) == 7

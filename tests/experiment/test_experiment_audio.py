"""Sounds in files of folds, whole: a classifier learns what they are of, and is scored on a fold that it never heard."""

import json

import numpy as np
import pytest
import soundfile

from multimodal_lab.experiment import run

RATE = 16000
SMALL = [
    "log=none", "figures=[]", "data.batch_size=8", "backbone.widths=[8,16]", "backbone.mel.n_fft=256", "backbone.mel.n_mels=16",
    "backbone.mel.hop_length=100", "augment.ops.random_crop.steps=2400", "train.epochs=10", "optim.lr=5e-3", "evaluate=[head]",
    "train.save_every=10", "train.validate_every=0", "train.ema=null", "backbone.mel.spec_augment.p=0.5",
]  # fmt: skip


@pytest.fixture(scope="module")
def folds(tmp_path_factory):
    """Two classes of a quarter second in five folds, four recordings each: a tone, a noise."""
    folder, rng, lines = tmp_path_factory.mktemp("esc"), np.random.default_rng(0), []
    (folder / "audio").mkdir()
    for i in range(40):
        fold, noise = i // 8 + 1, i % 2
        t = np.arange(4000 - 40 * i) / RATE  # no two are of one length
        tone = 0.2 * np.sin(2 * np.pi * rng.uniform(500, 5000) * t)
        wave = (0.1 * rng.standard_normal(len(t)) if noise else tone) + 0.005 * rng.standard_normal(len(t))
        name = f"{fold}-{100 + i}-A"
        soundfile.write(folder / "audio" / f"{name}.wav", wave.astype(np.float32), RATE)
        row = {"id": name, "file": f"audio/{name}.wav", "name": ["tone", "noise"][noise], "fold": fold}
        lines.append(json.dumps(row))
    (folder / "index.jsonl").write_text("\n".join(lines))
    return folder


def test_tones_are_told_from_noise_on_a_fold_that_was_never_heard(composed, tmp_path, folds):
    cfg = composed("experiment=audio_classify", f"data.root={folds}", "data.source.fold=2", *SMALL, small=False)
    run.run(cfg, tmp_path / "run")
    found = json.loads((tmp_path / "run" / "summary.json").read_text())
    record = json.loads((tmp_path / "run" / "data.json").read_text())
    assert {split: len(ids) for split, ids in record["splits"].items()} == {"train": 24, "val": 8, "test": 8}
    assert {name[0] for name in record["splits"]["test"]} == {"2"}
    assert {name[0] for name in record["splits"]["val"]} == {"3"}
    assert found["head/classifier/category/accuracy"] >= 0.75

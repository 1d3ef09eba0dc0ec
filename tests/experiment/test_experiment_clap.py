"""CLAP as it was published on sounds in files: prompts are compared with sounds as transformers compares them."""

import json

import numpy as np
import pandas as pd
import pytest
import soundfile
import sounds_made
import torch
from sounds_made import RATE
from transformers import AutoTokenizer, ClapFeatureExtractor

from multimodal_lab.experiment.untrained import evaluate_system

NAMES = ["red bird", "blue moth", "branch"]
SETTINGS = [
    "data.source.audio=[audio]", "data.source.texts=[name]", "data.labels=[name]", "evaluate=[zero_shot]", "data.batch_size=8",
    f"modality.audio.rate={RATE}", f"modality.audio.steps={RATE}", "modality.text.length=40",
    "evaluate.zero_shot.templates=sound", "figures=[]",
]  # fmt: skip


@pytest.fixture
def sounds(tmp_path):
    folder, rng = tmp_path / "sounds", np.random.default_rng(0)
    folder.mkdir()
    lines = []
    for i in range(9):
        t = np.arange(2000 + 500 * i) / RATE
        wave = 0.3 * np.sin(2 * np.pi * 300 * (i + 1) * t) + 0.1 * rng.standard_normal(len(t))
        soundfile.write(folder / f"{i}.wav", wave.astype(np.float32), RATE, subtype="FLOAT")
        lines.append(json.dumps({"id": str(i), "audio": f"{i}.wav", "name": NAMES[i % 3]}))
    (folder / "index.jsonl").write_text("\n".join(lines))
    return folder


@torch.no_grad()
def theirs(folder, model, sounds):
    """{sound: softmax of its scaled cosines with the mean of each class's two prompts}, by transformers."""
    tokenizer, hear = AutoTokenizer.from_pretrained(folder), ClapFeatureExtractor.from_pretrained(folder)
    texts = [t.format(name) for name in sorted(NAMES) for t in ("This is a sound of {}.", "This is the sound of {}.")]
    told = model.get_text_features(**tokenizer(texts, padding=True, return_tensors="pt")).pooler_output
    classes = torch.nn.functional.normalize(told.view(3, 2, -1).mean(1), dim=1)
    found = {}
    for file in sounds.glob("*.wav"):
        given = hear(soundfile.read(file, dtype="float32")[0], sampling_rate=RATE, return_tensors="pt")
        cosines = model.get_audio_features(**given).pooler_output @ classes.T
        found[file.stem] = (cosines[0] * model.logit_scale_a.exp()).softmax(0).numpy()
    return found


def test_zero_shot_by_clap_is_transformers_own(tmp_path, sounds):
    folder = tmp_path / "clap"
    model = sounds_made.clap(folder)
    evaluate_system("clap_pretrained", tmp_path / "out", str(folder), [f"data.root={sounds}", *SETTINGS], True)
    own, said = theirs(folder, model, sounds), pd.read_parquet(tmp_path / "out" / "predictions.parquet")
    assert len(said) == 9
    for row in said.itertuples():
        np.testing.assert_allclose(np.array(row.outputs, float), own[str(row.id)], atol=1e-5)
        assert row.predicted == sorted(NAMES)[own[str(row.id)].argmax()]

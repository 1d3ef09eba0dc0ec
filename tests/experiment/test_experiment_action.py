"""Actions in a folder of videos, whole: several clips of each are scored by video, and by themselves beside."""

import json
import sys
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("av")
sys.path.insert(0, str(Path(__file__).parents[1] / "data"))
import made_videos

from multimodal_lab.experiment import run
from multimodal_lab.runs.guarded_arrays import read_npz

WORDS = [
    "experiment=action_recognition", "data=video", "label=folder", "data.size=16", "data.source.frames.sampling=clip",
    "data.source.frames.clips=3", "data.source.frames.count=6", "data.source.frames.stride=2", "evaluate=[head]",
    "evaluate.head.pool=recording", "backbone.image.widths=[8,16]", "train.epochs=12", "optim.lr=1e-2", "data.batch_size=16",
    "data.split.train=0.5", "data.split.val=0.25", "data.split.test=0.25", "log=none", "figures=[attention_time]",
]  # fmt: skip


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """16 videos of two classes: dark and bright."""
    root = tmp_path_factory.mktemp("actions")
    for i in range(16):
        (root / ("dark", "bright")[i % 2]).mkdir(exist_ok=True)
        made_videos.write(root / ("dark", "bright")[i % 2] / f"v{i}.mkv", 24, colour=(40 + 130 * (i % 2) + 3 * i,) * 3)
    return root


def test_clips_are_learnt_and_videos_scored(composed, tmp_path, folder):
    run.run(composed(*WORDS, f"data.root={folder}", small=False), tmp_path)
    found = json.loads((tmp_path / "summary.json").read_text())
    record = json.loads((tmp_path / "data.json").read_text())
    clips = record["splits"]["test"]
    videos = {name.split("#")[0] for name in clips}
    assert len(clips) == 3 * len(videos)
    assert found["head/classifier/folder/n"] == len(videos)
    assert found["head/classifier/folder/accuracy"] == 1
    assert found["head/classifier/folder/accuracy_unpooled"] >= 0.9
    weights = read_npz(tmp_path / "attention_time.npz")["video.weights"]
    np.testing.assert_allclose(weights.sum(1), 1, rtol=1e-5)
    assert [p.name for p in (tmp_path / "figures").iterdir()] == ["attention_time_video.png"]

"""A run that begins with weights of one that saw other frames of its videos is warned of it."""

import json
import sys
from pathlib import Path

import pytest

pytest.importorskip("av", reason="the video extra is not installed")
sys.path.insert(0, str(Path(__file__).parents[1] / "data"))
import made_videos

from multimodal_lab.experiment import run as experiment


@pytest.fixture(scope="module")
def videos(composed, tmp_path_factory):
    """Twelve videos, and a run on frames of them by a network that the next system can take."""
    folder = tmp_path_factory.mktemp("videos")
    words = ["data=video", f"data.root={folder / 'data'}", "modality=video", "backbone=frames", "backbone.image.widths=[8]",
             "fusion=separate", "head=classifier", "loss=cross_entropy", "label=folder", "data.labels=[folder]", "data.size=8",
             "data.batch_size=4", "data.source.frames.count=2", "evaluate=[]", "augment=none", "log=none", "figures=[]",
             "train.max_steps=1", "train.validate_every=0"]  # fmt: skip
    for i in range(12):
        path = folder / "data" / "ab"[i % 2] / f"v{i}.mp4"
        path.parent.mkdir(parents=True, exist_ok=True)
        made_videos.write(path, 8, colour=(20 * i,) * 3)
    experiment.run(composed(*words, small=False), folder / "run")
    return folder / "run", words


@pytest.mark.parametrize("way", ["adapt=encoders adapt.runs=[{}]", "train.warm_start={}"])
def test_a_run_that_saw_other_frames_is_warned_of(videos, composed, tmp_path, way):
    run, words = videos
    others = [[], ["data.source.frames.sampling=clip", "data.source.frames.stride=3"]]
    for number, changed in enumerate(others):
        experiment.run(composed(*words, *changed, *way.format(run).split(), small=False), tmp_path / str(number))
    same, other = (json.loads((tmp_path / str(i) / "data.json").read_text())["notes"] for i in range(2))
    assert not any("has the frames of" in note for note in same)
    said = "warning: stream video has the frames of sampling=clip, stride=3 here, and "
    assert f"{said}{run} was trained with sampling=uniform, stride=1" in other

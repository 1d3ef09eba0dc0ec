"""The figure of attention over time: the weights of the backbone itself, of real steps alone, with the frames they are of."""

import json
from functools import partial
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
import torch
from matplotlib.image import imread
from torch import nn

from multimodal_lab.backbone.convnet import ConvNet
from multimodal_lab.backbone.frames import Frames
from multimodal_lab.evaluate import time_samples
from multimodal_lab.report.attention_time import attention_time
from multimodal_lab.runs.guarded_arrays import read_npz
from multimodal_lab.types import Band, Batch, Stream

CLIP = Stream("clip", "image", tuple(Band(b) for b in "RGB"), 8, steps=10, rate=5.0)


class System(nn.Module):
    def __init__(self, pool):
        super().__init__()
        self.backbone, self.streams = Frames(CLIP, image=partial(ConvNet, widths=[4]), pool=pool), {"clip": CLIP}

    def features(self, batch):
        return {"clip": self.backbone(batch.inputs["clip"], batch.valid["clip"])}


def data():
    torch.manual_seed(0)
    x, valid = torch.rand(9, 3, 10, 8, 8), torch.ones(9, 10, dtype=torch.bool)
    valid[0, 6:] = valid[0, 2] = False
    x[:, 0] = torch.arange(10.0).view(10, 1, 1) / 9  # red tells the step
    x = torch.where(valid[:, None, :, None, None], x, 0)

    def batch(rows):
        made = Batch.of({"clip": x[rows]})
        return made.replace(valid={"clip": valid[rows]})

    samples = pd.DataFrame({"id": [f"a$b{i}" for i in range(9)]})
    return SimpleNamespace(batch=batch, rows=lambda _: np.arange(9), streams={"clip": CLIP}, samples=samples), valid


def test_it_shows_what_the_backbone_weighs(tmp_path):
    source, valid = data()
    system = System("attention")
    assert time_samples.save(system, source, torch.device("cpu"), "test", tmp_path / time_samples.FILE)
    found = read_npz(tmp_path / time_samples.FILE)
    facts = json.loads(found["facts"].tobytes())
    rows = [int(name[3:]) for name in facts["ids"]]
    assert len(rows) == 6
    assert facts["rate"] == {"clip": 5.0}
    own = system.features(source.batch(rows))["clip"].weights["time"].numpy()
    assert np.array_equal(np.isnan(found["clip.weights"]), ~valid[rows].numpy())
    np.testing.assert_allclose(np.nan_to_num(found["clip.weights"]), own)
    np.testing.assert_allclose(np.nansum(found["clip.weights"], 1), 1, rtol=1e-5)
    assert found["clip.frames"].shape == (6, 8, 8, 8, 3)
    assert valid[0][found["clip.places"][0]].all()
    assert found["clip.places"][1].tolist() == [0, 1, 3, 4, 5, 6, 8, 9]
    red = found["clip.frames"][:, :, 0, 0, 0].astype(float)
    assert (
        (np.corrcoef(red.ravel(), found["clip.places"].ravel())[0, 1]) > 0.99
    )  # each frame is of the step it is said to be
    (drawn,) = attention_time(tmp_path / "figures", tmp_path)
    assert drawn.name == "attention_time_clip.png"
    assert imread(drawn)[..., :3].std() > 0.05


@pytest.mark.parametrize("pool", ["mean", "lstm"])
def test_nothing_that_weighs_steps_is_said(pool, tmp_path, caplog):
    assert not time_samples.save(System(pool), data()[0], torch.device("cpu"), "test", tmp_path / time_samples.FILE)
    assert attention_time(tmp_path, tmp_path) == []
    assert "no backbone weights steps, as backbone=frames backbone.pool=attention does" in caplog.text

"""For evaluators that ask a head about sounds again: made-up clips, and a small system with such heads, not trained."""

from __future__ import annotations

from functools import cache, partial
from types import SimpleNamespace
from typing import Any

import numpy as np
import pandas as pd
import torch
from torch import nn

from multimodal_lab.backbone.convnet import ConvNet
from multimodal_lab.backbone.frames import Frames
from multimodal_lab.backbone.temporal_conv import TemporalConv
from multimodal_lab.fusion.separate import Separate
from multimodal_lab.head.separator import Separator
from multimodal_lab.head.sync import Sync
from multimodal_lab.keyed import Keyed
from multimodal_lab.loss.classification import bce
from multimodal_lab.system import System
from multimodal_lab.types import Band, Batch, Stream

NAMES, HEARD = ("sync", "separation"), ("audio",)
STREAMS = {
    "video": Stream("video", bands=(Band("grey"),), size=4, steps=10, rate=5.0),
    "audio": Stream("audio", "vector", (Band("mono"),), steps=40, rate=20.0),
}


class Clips(SimpleNamespace):
    """Prepared data of 300 clips of noise, as far as evaluators ask; every seventh lacks the sound."""

    streams, batch_size, classes = STREAMS, 64, {"species": ["ant", "bee", "crab", "duck"]}
    samples = pd.DataFrame({"id": [f"{i}.tif" for i in range(300)]})

    def batch(self, rows: np.ndarray) -> Batch:
        """A batch of these rows."""
        x = {
            name: np.zeros((len(rows), 1, s.steps or 0, *[4, 4] * (name == "video")), np.float32)
            for name, s in STREAMS.items()
        }
        for i, row in enumerate(rows):
            draw = np.random.default_rng(int(row))
            for own in x.values():
                own[i] = draw.normal(0, 0.3, own[i].shape)
        made = Batch.of({k: torch.from_numpy(v) for k, v in x.items()}, {"species": torch.from_numpy(rows) % 4})
        there = torch.from_numpy(rows) % 7 != 0
        valid = {k: torch.ones(len(rows), s.steps or 0, dtype=torch.bool) for k, s in STREAMS.items()}
        valid["audio"] &= there[:, None]
        return made.replace(valid=valid, present={**made.present, "audio": there}, ids=torch.from_numpy(rows))


@cache
def run() -> tuple[Any, System]:
    """Clips and a system of their streams."""
    separator = partial(Separator, sound="audio", condition="species", n_fft=8, hop_length=4, width=4, layers=1)
    with torch.random.fork_rng():
        torch.manual_seed(0)
        system = System(
            STREAMS, {"species": 4}, backbone=partial(Frames, image=partial(ConvNet, widths=[4])),
            backbones={"audio": partial(TemporalConv, widths=[4], stride=2)}, fusion=partial(Separate),
            head=partial(Sync, picture="video", sound="audio", frames=2),
            loss=Keyed(bce, logits="out.sync.logits", target="batch.targets.in_step"), heads={"separator": separator},
        )  # fmt: skip
    nn.Module.eval(system)
    return Clips(), system

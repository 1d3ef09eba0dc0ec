"""Use a trained run: embed, predict and retrieve what is given, without the data that it was trained on.

from multimodal_lab.predict import load
predictor = load("runs/mine")
predictor.predict(rgb="a.png").table()
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from multimodal_lab.predict.predictor import Predictor


def load(run: str | Path, device: str = "auto", batch_size: int | None = None) -> Predictor:
    """The `Predictor` of a finished run: its directory is all that is needed.

    device: auto, cpu, cuda or cuda:N. batch_size: samples at a time; None: as in the training. A directory that is no run, or
    has no checkpoint, is an error in one sentence.
    """
    from multimodal_lab.predict.predictor import Predictor

    return Predictor(Path(run).expanduser(), device, batch_size)

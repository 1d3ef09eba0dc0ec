"""What backbones that attend over time look at in a few samples, for figures: a weight for each step, and frames beside."""

from __future__ import annotations

import json
import logging
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from multimodal_lab import files
from multimodal_lab.data import kinds
from multimodal_lab.device.eval_mode import eval_mode
from multimodal_lab.evaluate.attention_samples import whole_rows
from multimodal_lab.evaluate.thumbnails import stretched
from multimodal_lab.types import Stream

FILE = "attention_time.npz"  # of a run directory
FIGURE = "attention_time"
WEIGHTS = "time"  # what a backbone calls them in `Features.weights`, (N, T)
FRAMES = 8  # shown of a sample
log = logging.getLogger(__name__)


def save(system: Any, data: Any, device: torch.device, split: str, path: Path) -> bool:
    """Write an npz of a few samples of a split, evenly spaced of those that lack nothing; False where nothing attends over time.

    STREAM.weights (n, T), NaN where a step is not real; of a video STREAM.frames (n, F, H, W, 3) uint8, and STREAM.places (n, F),
    their steps; `facts`, JSON as bytes: the `ids`, and of each stream its `rate` in Hz or null.
    """
    rows = whole_rows(data, split)
    if not len(rows):
        return False
    batch = data.batch(rows).to(device)
    with eval_mode(system), torch.no_grad():
        features = system.features(batch)
    names = [name for name in system.streams if WEIGHTS in features[name].weights]
    if not names:
        log.warning(
            "no attention over time to show: no backbone weights steps, as backbone=frames backbone.pool=attention does"
        )
        return False
    facts = {"ids": data.samples["id"].astype(str).to_numpy()[rows].tolist(),
             "rate": {name: data.streams[name].rate for name in names}}  # fmt: skip
    arrays: dict[str, Any] = {"facts": np.frombuffer(json.dumps(facts).encode(), dtype=np.uint8)}
    for name in names:
        valid = batch.valid[name]
        weights = features[name].weights[WEIGHTS].float()
        arrays[f"{name}.weights"] = torch.where(valid, weights, torch.nan).cpu().numpy()
        if (shown := _frames(batch.inputs[name].cpu(), valid.cpu(), data.streams[name])) is not None:
            arrays[f"{name}.frames"], arrays[f"{name}.places"] = shown
    files.atomic_write(path, lambda file: np.savez_compressed(file, **arrays))
    return True


def _frames(x: Tensor, valid: Tensor, stream: Stream) -> tuple[np.ndarray, np.ndarray] | None:
    """(n, F, H, W, 3) of the real frames of x (n, C, T, H, W), evenly spaced, and their steps; None if no video."""
    kind = kinds.of(stream)
    if not (kind.spatial and kind.shows(stream)):
        return None
    real = [row.nonzero()[:, 0] for row in valid]
    places = torch.stack([at[torch.linspace(0, len(at) - 1, FRAMES).round().long()] for at in real])
    rows = torch.arange(len(x))[:, None]
    frames = x.transpose(1, 2)[rows, places].flatten(0, 1)
    seen = kind.picture(frames, replace(stream, steps=None)).float() / stream.unit
    return stretched(seen).reshape(*places.shape, *seen.shape[2:], 3), places.numpy()

"""Pictures of samples, as a browser shows them."""

from __future__ import annotations

import io
from typing import Any

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from multimodal_lab.evaluate.thumbnails import stretched

SIDE = 320  # pixels, of the longer side
QUALITY = 88


def streams(data: Any) -> list[str]:
    """The streams of prepared data of which there are pictures."""
    return [name for name, stream in data.streams.items() if data.reader.kinds[name].shows(stream)]


def of_sample(data: Any, row: int, name: str) -> np.ndarray | None:
    """(h, w, 3) uint8 of one sample, of its own proportions; None where it lacks the stream.

    Pixels of 8 bits in three bands are shown as they are; of all others the 1st to the 99th percentile spans the range.
    """
    kind, plan = data.reader.kinds[name], data.reader.plans[name]
    if not kind.spatial:  # a line plot, of what a network sees
        batch = data.batch(np.array([row]))
        x = batch.inputs[name]
        if name in batch.valid:
            x = torch.where(batch.valid[name].view(1, 1, -1), x, torch.nan)
        return (
            stretched(kind.picture(x, data.streams[name]) / data.streams[name].unit)[0]
            if batch.present[name][0]
            else None
        )
    raw = data.reader.source.read(row, [plan.stored])
    if (stored := raw.inputs[name]) is None:
        return None
    shown: Tensor = kind.sheet(torch.from_numpy(np.asarray(stored, dtype=np.float32))[None], plan.stored)
    if stored.dtype == np.uint8:
        found: np.ndarray = shown[0].byte().permute(1, 2, 0).numpy()
        return found
    step = max(1, max(shown.shape[-2:]) // (2 * SIDE))  # percentiles of as many pixels as are shown, about
    spanned: np.ndarray = stretched(shown[..., ::step, ::step])[0]
    return spanned


def jpeg(pixels: np.ndarray) -> bytes:
    """(h, w, 3) uint8 as JPEG, at most `SIDE` wide and high."""
    image = Image.fromarray(np.ascontiguousarray(pixels))
    image.thumbnail((SIDE, SIDE), Image.Resampling.LANCZOS)
    out = io.BytesIO()
    image.save(out, "JPEG", quality=QUALITY, subsampling=0)
    return out.getvalue()

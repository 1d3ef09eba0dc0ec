"""A few held-out mixtures and what a head makes of them, to be listened to: mixture, sources, estimates and masks."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import torch

from multimodal_lab import files
from multimodal_lab.evaluate.embeddings import Embeddings
from multimodal_lab.evaluate.separated import Separated, heads, label_of, pairs, separated
from multimodal_lab.evaluate.separation import Separation, si_sdr
from multimodal_lab.evaluate.thumbnails import Thumbnails

FILE = "sounds.npz"  # of a run directory
MOST = 8  # mixtures
LONGEST = 10.0  # seconds of each that are kept
SIDE = 48  # pixels of a picture


def save(
    system: Any, data: Any, test: Embeddings, device: torch.device, path: Path, like: Separation | None = None
) -> bool:
    """Write an npz of the first `MOST` mixtures that `like`, an evaluator, scores; False where no head separates sounds.

    HEAD.mixture (n, T), HEAD.sources and HEAD.estimates (n, 2, T) float32, HEAD.mask (n, 2, F, L) float16, HEAD.real (n, T) bool,
    and HEAD.frames (n, 2, H, W, 3) uint8, where pictures say what is asked for; `facts`, JSON as bytes: by head `rate`, `ids`,
    `classes`, `si_sdr`, `si_sdr_improvement`, `n_fft`, `hop_length` and `condition`.
    """
    like = like or Separation()
    arrays: dict[str, Any] = {}
    facts: dict[str, Any] = {}
    place = {str(name): row for row, name in enumerate(data.samples["id"])}
    rows, ids = np.array([place[i] for i in test.ids]), data.samples["id"].astype(str).to_numpy()
    for name, head in heads(system).items():
        label = like.label or label_of(head, data)
        truth = None if label is None or test.targets[label].ndim != 1 else np.asarray(test.targets[label])
        chosen = pairs(rows, truth, like.seed)[: 2 * MOST]
        found = [one for own in separated(system, name, data, device, chosen, like.snr) for one in _each(own)][:MOST]
        if not found:
            continue
        known = (
            {}
            if truth is None
            else {r: data.classes[label][k] for r, k in zip(rows.tolist(), truth.tolist(), strict=True)}
        )
        rate = float(data.streams[head.sound].rate or 0) or 16000.0
        scores = [(si_sdr(o.estimates, o.sources), si_sdr(np.stack([o.mixture] * 2), o.sources)) for o in found]
        facts[name] = {
            "rate": rate, "ids": [ids[o.rows].tolist() for o in found], "condition": head.condition, "n_fft": head.n_fft,
            "classes": [[str(known.get(int(r), "")) for r in o.rows] for o in found], "hop_length": head.hop_length,
            "si_sdr": [a.tolist() for a, _ in scores], "si_sdr_improvement": [(a - b).tolist() for a, b in scores],
        }  # fmt: skip
        arrays |= _stacked(name, found, round(LONGEST * rate), head.hop_length)
        if (frames := _frames(data, head.condition, np.concatenate([o.rows for o in found]))) is not None:
            arrays[f"{name}.frames"] = frames.reshape(len(found), 2, *frames.shape[1:])
    if facts:
        arrays["facts"] = np.frombuffer(json.dumps({"heads": facts}).encode(), dtype=np.uint8)
        files.atomic_write(path, lambda file: np.savez_compressed(file, **arrays))
    return bool(facts)


def _each(own: Separated) -> list[Separated]:
    return [Separated(*(np.asarray(x[i]) for x in vars(own).values())) for i in range(len(own.rows))]


def _stacked(name: str, found: list[Separated], most: int, hop: int) -> dict[str, np.ndarray]:
    """The arrays of one head, padded to the longest with what is not real."""
    steps = min(most, max(len(o.mixture) for o in found))
    frames = min(1 + steps // hop, max(o.mask.shape[2] for o in found))

    def padded(x: np.ndarray, length: int) -> np.ndarray:
        x = x[..., :length]
        return np.pad(x, [(0, 0)] * (x.ndim - 1) + [(0, length - x.shape[-1])])

    waves = ("mixture", "sources", "estimates", "real")
    made = {f"{name}.{k}": np.stack([padded(getattr(o, k), steps) for o in found]) for k in waves}
    return made | {f"{name}.mask": np.stack([padded(o.mask, frames) for o in found]).astype(np.float16)}


def _frames(data: Any, condition: str | None, rows: np.ndarray) -> np.ndarray | None:
    """(n, H, W, 3) uint8: the picture that asks, of a video its middle frame; None where it is none."""
    if condition is None or condition not in data.streams:
        return None
    small = Thumbnails({condition: data.streams[condition]}, size=SIDE)
    small.add("test", data.batch(rows))
    return small.arrays().get(condition)

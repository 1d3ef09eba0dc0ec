"""What towers look at in a few samples, for figures: rollout or Grad-CAM of each stream, and each word over each patch."""

from __future__ import annotations

import json
import logging
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from multimodal_lab import files
from multimodal_lab.data import kinds
from multimodal_lab.device.eval_mode import eval_mode
from multimodal_lab.evaluate.looked import Looked, Score, looked
from multimodal_lab.evaluate.pieces import pieces
from multimodal_lab.evaluate.rollout import Rollout
from multimodal_lab.evaluate.texts import shortened
from multimodal_lab.evaluate.thumbnails import stretched
from multimodal_lab.evaluate.token_patch import projected, projector, similarity
from multimodal_lab.types import Batch, Features

FILE = "attention.npz"  # of a run directory
FIGURES = ("attention", "token_patch")
MOST = 6  # samples
log = logging.getLogger(__name__)


def require(system: Any, data: Any, device: torch.device, split: str, rollout: Rollout) -> None:
    """`ValueError`, before the training, where no tower has a layer or a head that `rollout` asks for; one sample is encoded."""
    if not (rows := data.rows(split)[:1]).size:
        return
    with eval_mode(system):
        found = _looked(system, data.batch(rows).to(device), rollout)
    for name, one in found.items():
        if one.map is None:
            log.info("attention of %s can't be shown: %s", name, one.why)


def save(system: Any, data: Any, device: torch.device, split: str, path: Path, rollout: Rollout) -> bool:
    """Write an npz of at most `MOST` samples of a split, evenly spaced of those that lack nothing; False where nothing looks.

    STREAM.map (n, H', W') of an image's grid or (n, L) of tokens; STREAM.picture (n, H, W, 3) uint8; IMAGE-TEXT.cosine
    (n, L, H', W'); `facts`, JSON as bytes: the `ids`, by stream `how` a map was made or `why` there is none, and of each stream
    of text the `words` of each sample, see `pieces`.
    """
    rows = whole_rows(data, split)
    if not len(rows):
        return False
    batch = data.batch(rows).to(device)
    with eval_mode(system):
        found = _looked(system, batch, rollout)
        cosines = _cosines(system, data, batch)
    if not cosines and all(one.map is None for one in found.values()):
        log.warning("no attention to show: %s", "; ".join(f"{name}: {one.why}" for name, one in found.items()))
        return False
    words = {
        name: [_words(data, name, own) for own in texts] for name, texts in data.texts(rows).items() if name in found
    }
    facts = {"ids": data.samples["id"].astype(str).to_numpy()[rows].tolist(), "words": words,
             "how": {k: one.how for k, one in found.items()}, "why": {k: one.why for k, one in found.items()}}  # fmt: skip
    arrays: dict[str, Any] = {"facts": np.frombuffer(json.dumps(facts).encode(), dtype=np.uint8)}
    arrays |= {f"{k}.map": _array(one.map) for k, one in found.items() if one.map is not None}
    arrays |= {f"{k}.cosine": _array(x) for k, x in cosines.items()}
    for name, stream in data.streams.items():
        kind = kinds.of(stream)
        if kind.spatial and kind.shows(stream) and batch.inputs[name].ndim == 4:
            arrays[f"{name}.picture"] = stretched(kind.picture(batch.inputs[name].cpu(), stream).float() / stream.unit)
    files.atomic_write(path, lambda file: np.savez_compressed(file, **arrays))
    return True


def whole_rows(data: Any, split: str) -> np.ndarray:
    """Rows of a split that have every stream, evenly spaced; looked for among 20 times as many as are shown."""
    rows = data.rows(split)
    if not len(rows):
        return np.zeros(0, dtype=np.int64)
    some = rows[np.unique(np.linspace(0, len(rows) - 1, min(20 * MOST, len(rows))).astype(int))]
    there = np.logical_and.reduce([x.numpy() for x in data.batch(some).present.values()])
    whole: np.ndarray = some[there]
    return whole[np.unique(np.linspace(0, len(whole) - 1, min(MOST, len(whole))).astype(int))] if len(whole) else whole


def _looked(system: Any, batch: Batch, rollout: Rollout) -> dict[str, Looked]:
    """Of every stream with one place or one token for each value: images and texts."""
    with torch.no_grad():
        features, out = system.encode(batch)
    head = projector(system, out)
    return {
        name: looked(system, name, batch, rollout, _score(system, head, features, batch, name))
        for name, x in batch.inputs.items()
        if name in system.streams and x.ndim in (2, 4) and (x.ndim == 4 or not x.is_floating_point())
    }


def _score(system: Any, head: str | None, features: dict[str, Features], batch: Batch, name: str) -> Score:
    """The cosine to what is beside it in the space of both, a text before all else; without one half the squared length."""
    partner = None
    for other in sorted(features, key=lambda k: k not in batch.inputs or batch.inputs[k].is_floating_point()):
        if other != name and other in batch.inputs:
            z = projected(system, head, features, batch, other, features[other].pooled)
            mine = projected(system, head, features, batch, name, features[name].pooled)
            if z is not None and mine is not None and z.shape == mine.shape:
                partner = z.detach()
                break

    def score(f: Features) -> Tensor:
        if partner is None:
            return f.pooled.float().square().sum(1) / 2
        z = projected(system, head, {**features, name: f}, batch, name, f.pooled)
        assert z is not None
        return F.cosine_similarity(z, partner)

    return score


def _cosines(system: Any, data: Any, batch: Batch) -> dict[str, Tensor]:
    """{IMAGE-TEXT: (N, L, H', W')} of every image and text with a common space."""
    with torch.no_grad():
        features, out = system.encode(batch)
        head = projector(system, out)
        found: dict[str, Tensor] = {}
        for a, b in product(data.streams, data.streams):
            if kinds.of(data.streams[a]).spatial and b in data.tokens and features[a].grid is not None:
                x = similarity(system, head, features, batch, a, b)
                if x is not None:
                    found[f"{a}-{b}"] = x
    return found


def _words(data: Any, name: str, texts: list[str]) -> list[Any]:
    return [(shortened(word, 24), places) for word, places in pieces(data.tokens[name], texts[0])] if texts else []


def _array(x: Tensor) -> np.ndarray:
    found: np.ndarray = x.float().cpu().numpy()
    return found

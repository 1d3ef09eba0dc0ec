"""What heads say of samples, kept beside their embeddings."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from torch import Tensor

from multimodal_lab.build import asks
from multimodal_lab.evaluate.pixels import tally
from multimodal_lab.types import Batch, Features


@dataclass(frozen=True)
class Said:
    """What one head says of N samples.

    label: the label (or target) that it tells. values (N, …): its output, or what its `predict` gives: logits or
    log-probabilities (N, K), numbers (N, P), words (N, L); 0 outside `rows` (N,) bool, where it was not asked or had
    nothing to read. of_pixels: it tells a map, and values are what each sample adds to the scores, see `evaluate.pixels`.
    unpooled: of classes, where rows stand for several pooled ones, such as the clips of a video, the accuracy of those.
    """

    label: str
    values: np.ndarray
    rows: np.ndarray
    of_pixels: bool = False
    unpooled: float | None = None

    def cut(self, index: np.ndarray | slice) -> Said:
        """The same of some samples."""
        return replace(self, values=self.values[index], rows=self.rows[index])


def of_batch(
    system: Any, features: Mapping[str, Features], out: Mapping[str, Any], batch: Batch, predict: bool
) -> dict[str, Said]:
    """{head: what it says} of the heads that tell a label; those with a `predict` are asked only if `predict`.

    One that says something of each name is called `head.name`. `ValueError` where a number is not finite.
    """
    found = {}
    for head, label in getattr(system, "labels", {}).items():
        module = system.heads[head]
        if hasattr(module, "predict"):
            if predict:
                heard = {"out": out} if asks(module.predict, "out") else {}
                found[head] = _said(head, label, module.predict(features, batch, **heard), _reads(module, features))
        elif (own := tally(module, out[head], batch)) is not None:
            rows = _reads(module, features).cpu().numpy()
            found[head] = Said(label, own.cpu().numpy(), rows, of_pixels=True)
        elif isinstance(out[head], Mapping):
            found |= {f"{head}.{n}": _said(head, label, x, features[n].present) for n, x in out[head].items()}
        else:
            found[head] = _said(head, label, out[head], _reads(module, features))
    return found


def joined(parts: Sequence[tuple[int, Mapping[str, Said]]]) -> dict[str, Said]:
    """One for each head from (samples, what was said) of every batch; where a head was not asked its rows are False."""
    return {name: _one(parts, name) for name in dict.fromkeys(name for _, said in parts for name in said)}


def _one(parts: Sequence[tuple[int, Mapping[str, Said]]], name: str) -> Said:
    values, rows = map(np.concatenate, zip(*_filled(parts, name), strict=True))
    return replace(_first(parts, name), values=values, rows=rows)


def _filled(parts: Sequence[tuple[int, Mapping[str, Said]]], name: str) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    like = _first(parts, name).values
    for n, said in parts:
        if name in said:
            yield said[name].values, said[name].rows
        else:
            yield np.zeros((n, *like.shape[1:]), like.dtype), np.zeros(n, dtype=bool)


def _first(parts: Sequence[tuple[int, Mapping[str, Said]]], name: str) -> Said:
    return next(said[name] for _, said in parts if name in said)


def _reads(module: Any, features: Mapping[str, Features]) -> Tensor:
    """(N,) bool: the rows that have what a head reads: its `input` where it names one, else any stream."""
    one = getattr(module, "input", None)
    names = [str(one)] if one in features else list(features)
    return torch.stack([features[name].present for name in names]).any(0)


def _said(head: str, label: str, x: Tensor, rows: Tensor) -> Said:
    x = x.detach().float() if x.is_floating_point() else x.detach()
    if not torch.isfinite(x[rows]).all():
        raise ValueError(f"head {head} says numbers that are not finite: the model diverged")
    x = torch.where(rows.view(-1, *[1] * (x.ndim - 1)), x, 0)
    return Said(label, x.cpu().numpy(), rows.cpu().numpy())

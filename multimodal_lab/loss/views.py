"""Matched rows for losses without negatives: two views of a name, or two streams."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal, NamedTuple

import torch
from torch import Tensor

from multimodal_lab.device import distributed
from multimodal_lab.loss.precision import wide
from multimodal_lab.loss.streams import required_pairs

Between = Literal["views", "modalities", "both"]


class Aligned(NamedTuple):
    """Row i of x (N, D) and y (N, D) show one sample; both are zero where not valid (N,) bool. Rows of every rank."""

    x: Tensor
    y: Tensor
    valid: Tensor


def aligned(
    z: Mapping[str, Tensor], ids: Tensor, present: Mapping[str, Tensor], between: Between, loss: str
) -> list[Aligned]:
    """The matched rows that `loss` compares.

    views: the two halves of every name (rows i and i + N/2 must have equal ids); modalities: every pair of streams
    row by row, one view or more; both: all of these. z {name: (N, D)}, ids (N,), present {name: (N,) bool}.
    """
    found: list[Aligned] = []
    known_between(loss, between)
    if between != "modalities":
        half = halves(ids, loss)
        found += [_match(x[:half], x[half:], present[n][:half] & present[n][half:]) for n, x in z.items()]
    if between != "views":
        found += [_match(z[a], z[b], present[a] & present[b]) for a, b in required_pairs(z, loss)]
    return found


def known_between(loss: str, between: str) -> None:
    """`ValueError` for what `Between` does not name."""
    if between not in ("views", "modalities", "both"):
        raise ValueError(f"{loss}: between must be one of views, modalities, both, found {between!r}")


def _match(x: Tensor, y: Tensor, valid: Tensor) -> Aligned:
    x, y = (torch.where(valid[:, None], wide(part), 0.0) for part in (x, y))
    return Aligned(distributed.gather(x), distributed.gather(y), distributed.gather(valid))


def halves(ids: Tensor, loss: str) -> int:
    """N / 2, where rows i and i + N/2 are views of one sample; `ValueError` where they are not."""
    half, odd = divmod(len(ids), 2)
    message = f"{loss} needs two views stacked along N, rows i and i + N/2 with equal ids"
    if odd:
        raise ValueError(f"{message}, found {len(ids)} rows")
    matched = (ids[:half] == ids[half:]).all()
    if ids.is_cpu:
        if not matched:
            raise ValueError(f"{message}, found ids {ids[:half].tolist()[:4]}… and {ids[half:].tolist()[:4]}…")
    else:
        # Raised by the device when it gets there: reading the answer here would make the host wait at every step.
        torch._assert_async(matched, message)
    return half


def centred(x: Tensor, valid: Tensor) -> Tensor:
    """x (N, D), zero on rows that are not valid, less its mean over the valid rows; those others stay zero."""
    mean = x.sum(0) / valid.sum().clamp(min=1)
    return torch.where(valid[:, None], x - mean, 0.0)

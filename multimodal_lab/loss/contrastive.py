"""The contrastive kernel: symmetric InfoNCE between any two sets of rows; positives are the rows with equal ids."""

from __future__ import annotations

import torch
from torch import Tensor

from multimodal_lab.bounds import Positive
from multimodal_lab.loss.made import made
from multimodal_lab.loss.side import own
from multimodal_lab.loss.softmax import symmetric, two_way


def info_nce(
    a: Tensor,
    b: Tensor,
    ids_a: Tensor,
    ids_b: Tensor,
    temperature: Positive | Tensor,
    *,
    present_a: Tensor | None = None,
    present_b: Tensor | None = None,
    exclude_self: bool = False,
) -> Tensor:
    """Symmetric InfoNCE between rows of a (N, D) and b (M, D), positives where ids are equal: a scalar.

    A row with several positives takes the mean of -log p over them (Khosla 2020, eq. 2, the sum outside the log); a
    row with none is no anchor but stays a negative. Each direction is the mean over its anchors, the value the mean
    of both; with no anchor it is 0 with a graph. Rows of all DDP ranks take part, with gradient (each rank brings as
    many, and compares its own rows of `a` with all of `b`).

    ids_a (N,), ids_b (M,); temperature a number > 0 or a 0-d tensor, which gets a gradient; present_* (N,), (M,)
    bool, rows to leave out altogether; exclude_self for b = a: row i is never compared with row i. Computed in
    float32 or wider, by tiles: no matrix of N x M exists. With unique ids and present rows this is CLIP's loss
    (Radford 2021, figure 3).
    """
    if exclude_self:
        _same(ids_a, ids_b)
    scale = 1 / checked(temperature)

    def compute(wanted: bool) -> tuple[Tensor, list[Tensor]]:
        return two_way(own(a, ids_a, present_a), own(b, ids_b, present_b), scale, exclude_self, wanted)

    return made(compute, a, b, scale)


def nt_xent(
    z: Tensor,
    ids: Tensor,
    temperature: Positive | Tensor,
    present: Tensor | None = None,
    *,
    decoupled: bool = False,
) -> Tensor:
    """NT-Xent (Chen 2020, eq. 1) over views stacked along N: a scalar.

    z (N, D); ids (N,), equal for the views of one sample; present (N,) bool. Equal to `info_nce` of z with itself and
    `exclude_self`: both directions are the same there, so one is computed. decoupled leaves positives out of the
    denominator (Yeh 2022, eq. 6).
    """
    scale = 1 / checked(temperature)
    return made(lambda wanted: symmetric(own(z, ids, present), scale, decoupled, wanted), z, scale)


def _same(ids_a: Tensor, ids_b: Tensor) -> None:
    message = "exclude_self compares rows with themselves, which have equal ids"
    if len(ids_a) != len(ids_b):
        raise ValueError(f"{message}, found {len(ids_a)} rows against {len(ids_b)}")
    equal = (ids_a == ids_b).all()
    if not ids_a.is_cpu:
        torch._assert_async(equal, message)
    elif not equal:
        raise ValueError(f"{message}, found ids {ids_a.tolist()[:4]}… and {ids_b.tolist()[:4]}…")


def checked(temperature: float | Tensor) -> float | Tensor:
    """The temperature; a number <= 0 is a `ValueError` (a tensor is not read: that would stall the device)."""
    if not isinstance(temperature, Tensor) and not temperature > 0:
        raise ValueError(f"temperature must be > 0, found {temperature}")
    return temperature

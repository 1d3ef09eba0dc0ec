"""What a photometric op owes: `Made(name, build)`, then every one of `CHECKS`."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from contract.owed import owed
from multimodal_lab.augment.augment import Augment
from multimodal_lab.augment.draw import Draw
from multimodal_lab.augment.op import Photometric
from multimodal_lab.types import Band, Batch, Stream

ROWS = 6


@dataclass
class Made:
    """An op: `build(**arguments)` makes it anew, with its own settings but for these."""

    name: str
    build: Callable[..., Photometric]


def stream(bands: int = 3) -> Stream:
    """An image stream."""
    return Stream("s", "image", tuple(Band(f"b{i}") for i in range(bands)), 8)


def image(bands: int = 3) -> Tensor:
    """(N, C, H, W) in [0, 1)."""
    return torch.rand(ROWS, bands, 8, 9, generator=torch.Generator().manual_seed(0))


def draws(seed: int = 1) -> Draw:
    """Those of samples 0 to N - 1, of different epochs for different seeds."""
    ids = torch.arange(ROWS)
    return Draw.start(ids, ids * 0, 0, seed)


def changed(one: Made, x: Tensor, draw: Draw, **arguments: Any) -> Tensor:
    """What the op makes of x, always acting unless told."""
    return one.build(**{"p": 1.0, **arguments})(x, draw, stream(x.shape[1]))


def any_number_of_bands(one: Made) -> None:
    """One band or many keep their shape, and finite values stay so."""
    for bands in (1, 2, 7):
        y = changed(one, image(bands), draws())
        owed(y.shape == image(bands).shape, f"op {one.name}: (N, C, H, W) to the same shape, found {tuple(y.shape)}")
        owed(bool(y.isfinite().all()), f"op {one.name}: finite values stay finite")


def acts_on_a_copy(one: Made) -> None:
    """The input is not written to, and is changed."""
    x = image()
    y = changed(one, x, draws())
    owed(torch.equal(x, image()), f"op {one.name}: write into a copy, the input is another view's too")
    owed(not torch.equal(x, y), f"op {one.name}: at p = 1 something must change")


def draws_alone_decide(one: Made) -> None:
    """The same draws give the same; a row gives the same alone; another epoch gives another."""
    x, y = image(), changed(one, image(), draws())
    owed(
        torch.equal(y, changed(one, x, draws())), f"op {one.name}: draw from `draw` alone, never from torch's generator"
    )
    rows = torch.tensor([4, 1])
    apart = changed(one, x[rows], draws().rows(rows))
    owed(torch.allclose(apart, y[rows], atol=1e-6), f"op {one.name}: what a row gets must not depend on other rows")
    owed(not torch.equal(y, changed(one, x, draws(2))), f"op {one.name}: every epoch draws anew")


def never_at_zero(one: Made) -> None:
    """`p` = 0 leaves every value as it is."""
    owed(torch.equal(changed(one, image(), draws(), p=0.0), image()), f"op {one.name}: p = 0 changes nothing")


def missing_stays_zero(one: Made) -> None:
    """In an augmentation, a missing row stays zero, and no target is touched."""
    here = torch.arange(ROWS) != 2
    x = torch.where(here.view(-1, 1, 1, 1), image()[..., :8], 0.0)
    batch = Batch({"s": x}, {}, {"s": here}, torch.arange(ROWS), torch.arange(ROWS))
    out = Augment({"s": stream()}, ops={one.name: one.build(p=1.0)}, views=2)(batch, 0, 0)
    owed(not out.inputs["s"][~out.present["s"]].any(), f"op {one.name}: a missing row stays zero")


CHECKS = (any_number_of_bands, acts_on_a_copy, draws_alone_decide, never_at_zero, missing_stays_zero)

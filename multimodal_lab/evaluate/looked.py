"""What the embedding of a stream has read of its input: attention rollout of its tower, or Grad-CAM where it does not attend."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal

import torch
from torch import Tensor, nn

from multimodal_lab.evaluate.attention import Recorder
from multimodal_lab.evaluate.rollout import Rollout
from multimodal_lab.types import Batch, Features

Score = Callable[[Features], Tensor]


@dataclass(frozen=True)
class Looked:
    """map: (N, H', W') of an image's grid or (N, L) of tokens, None where there is none; then `why` says why not.

    layers, heads: how many the tower has, 0 of one that does not attend.
    """

    how: Literal["rollout", "gradcam", ""]
    map: Tensor | None
    why: str = ""
    layers: int = 0
    heads: int = 0


def looked(system: Any, name: str, batch: Batch, rollout: Rollout, score: Score) -> Looked:
    """What the pooled features of stream `name` have read. score: (N,) of its features, which Grad-CAM explains.

    `ValueError` where the tower has no layer or head that `rollout` asks for.
    """

    def forward() -> Features:
        return tower(system, name, batch)

    with torch.enable_grad(), Recorder() as seen:
        f = forward()
    if why := _unlike(seen.layers, len(batch)):
        found = gradcam(forward, system.backbones.by_stream()[name], score) if f.grid else None
        return Looked("", None, why) if found is None else Looked("gradcam", found)
    counts = len(seen.layers), min(a.shape[1] for a in seen.layers)
    read = rollout([a.detach() for a in seen.layers], name)
    reads = _reads(f.pooled, seen)
    if reads is None:
        return Looked("", None, "what its embedding reads of the last layer can't be told", *counts)
    whole = torch.einsum("nl,nlk->nk", reads, read).detach()
    if f.grid is None:
        same = whole.shape[1] == f.tokens.shape[1]
        return (
            Looked("rollout", whole, "", *counts) if same else Looked("", None, "its tokens are not its input", *counts)
        )
    places = f.grid[0] * f.grid[1]  # what stands before them are class and register tokens
    return Looked("rollout", whole[:, -places:].reshape(-1, *f.grid), "", *counts)


def tower(system: Any, name: str, batch: Batch) -> Features:
    """The features of one stream, by its own backbone or one that it shares; of missing rows, too."""
    backbones, x, valid = system.backbones, system.input(name, batch), system.valid(name, batch)
    if name in backbones.each:
        found: Features = backbones.one(name, x, valid)
        return found
    asked = {"valid": {} if valid is None else {name: valid}} if backbones.shared_asks else {}
    shared: Features = backbones.shared({name: x}, **asked)[name]
    return shared


def _unlike(layers: list[Tensor], rows: int) -> str:
    """Why layers can't be multiplied, or nothing."""
    if not layers:
        return "its tower does not attend"
    if any(a.shape[0] != rows for a in layers):
        return "its tower attends within windows"
    if len({a.shape[-1] for a in layers}) > 1:
        return "the layers of its tower see different numbers of tokens"
    return ""


def _reads(pooled: Tensor, seen: Recorder) -> Tensor | None:
    """(N, L): the share of each token of the last layer in the pooled vector; None where nothing tells.

    Where a query of its own pools, its attention; else the tokens that the vector depends on, in equal shares: one is a class
    token or the end of a text, all of them a mean.
    """
    last = seen.layers[-1]
    if seen.pools and seen.pools[-1].shape[0] == len(last) and seen.pools[-1].shape[-1] == last.shape[-1]:
        return seen.pools[-1].mean((1, 2))
    noise = torch.randn(pooled.shape, generator=torch.Generator().manual_seed(0)).to(pooled)
    (slope,) = torch.autograd.grad((pooled * noise).sum(), last, allow_unused=True)
    if slope is None:
        return None
    size = slope.float().pow(2).sum((1, 3)).sqrt()
    read = (size > 1e-4 * size.amax(1, keepdim=True)).float()
    return read / read.sum(1, keepdim=True).clamp(min=1)


def gradcam(forward: Callable[[], Features], module: nn.Module, score: Score) -> Tensor | None:
    """Grad-CAM (Selvaraju et al. 2017) of the last map of a network: (N, H', W'), not negative; None where it has none.

    score: (N,) of the features. The map is the last output of a part of `module` that has the grid of its features.
    """
    calls: list[tuple[int, ...]] = []
    kept: list[Tensor] = []
    chosen = -1

    def hook(_: nn.Module, __: Any, out: Any) -> Any:
        if not isinstance(out, Tensor) or out.ndim != 4:
            return None
        calls.append(tuple(out.shape))
        if len(calls) - 1 != chosen:
            return None
        kept.append(out.detach().requires_grad_())
        return kept[-1]

    handles = [part.register_forward_hook(hook) for part in module.modules()]
    try:
        with torch.no_grad():
            f = forward()
        fits = [i for i, shape in enumerate(calls) if shape[0] == len(f.pooled) and f.grid in (shape[2:], shape[1:3])]
        if not fits or f.grid == (1, 1):
            return None
        chosen, shape = fits[-1], calls[fits[-1]]
        calls.clear()
        with torch.enable_grad():
            value = score(forward()).sum()
    finally:
        for handle in handles:
            handle.remove()
    (slope,) = torch.autograd.grad(value, kept[0], allow_unused=True)
    if slope is None:
        return None
    space, channel = ((2, 3), 1) if shape[2:] == f.grid else ((1, 2), 3)
    weights = slope.mean(space, keepdim=True)
    return (weights * kept[0]).sum(channel).clamp(min=0).detach()

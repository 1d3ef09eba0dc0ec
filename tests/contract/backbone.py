"""What a backbone owes: `made(factory, kind)`, then every one of `CHECKS`; of one that reads a time axis, `timed` too."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, get_args

import pytest
import torch
from torch import Tensor, nn

from contract.owed import owed
from multimodal_lab.build import asks, build
from multimodal_lab.types import Band, Features, KindName, Stream


@dataclass
class Made:
    """A backbone of one stream, and how to build it anew."""

    name: str
    module: nn.Module
    call: Callable[[Tensor], Features]
    dim: int
    stream: Stream
    again: Callable[..., Made]

    @property
    def own(self) -> list[tuple[str, nn.Parameter]]:
        """The parameters that this stream passes: a backbone of several has stems for the others."""
        return [(n, p) for n, p in self.module.named_parameters() if ".other." not in f".{n}."]


STEPS = 12


def stream(kind: str, bands: int = 5, size: int = 32, name: str = "s", steps: int | None = None) -> Stream:
    """A stream of a kind, with a time axis where it has steps."""
    if kind == "text":
        return Stream(name, "text", vocab=11, length=7)
    made = tuple(Band(f"b{i}", 400.0 + i) for i in range(bands))
    return Stream(name, kind, made, size if kind == "image" else None, steps, rate=16000.0 if steps else None)


def draw(s: Stream, n: int) -> Tensor:
    """Inputs (N, …) of a stream; in a text the first row ends early."""
    if s.kind == "text":
        x = torch.randint(1, s.vocab or 2, (n, s.length or 1))
        x[0, 4:] = 0
        return x
    time = [s.steps] if s.steps else []
    return torch.randn(n, s.channels, *time, *[s.size or 1] * (2 * (s.kind == "image")))


def real(s: Stream, x: Tensor) -> Tensor:
    """(N, T) bool: all steps of the first recording, one less of each that follows."""
    n, steps = len(x), x.shape[2]
    return torch.arange(steps) < steps - torch.arange(n)[:, None] % steps


def made(
    name: str,
    factory: Callable[..., Any],
    kind: str,
    bands: int = 5,
    several: bool = False,
    steps: int | None = None,
) -> Made:
    """The backbone that `factory` builds; several: it is given `streams` and called with a dict; steps: of its stream."""
    torch.manual_seed(0)
    s, other = stream(kind, bands, steps=steps), stream(kind, 2, 48, "other", steps)

    def again(**changed: Any) -> Made:
        return made(name, factory, **{"kind": kind, "bands": bands, "several": several, "steps": steps, **changed})

    if not several:
        module = build(factory, stream=s)
        owed(
            isinstance(getattr(module, "dim", None), int), f"backbone {name}: set self.dim to the width of its features"
        )

        def call(x: Tensor) -> Features:
            found: Features = module(x, valid=real(s, x) if s.steps else None) if wants else module(x)
            return found

        wants = asks(module.forward, "valid")
        return Made(name, module, call, module.dim, s, again)
    module = build(factory, streams={"s": s, "other": other})
    owed(isinstance(getattr(module, "dims", None), dict), f"backbone {name}: set self.dims to the width of each stream")
    return Made(name, module, lambda x: module({"s": x, "other": draw(other, len(x))})["s"], module.dims["s"], s, again)


def shape_and_width(one: Made) -> None:
    """Whatever the number of bands."""
    for bands in (1, 408):
        b = one.again(bands=bands)
        f = b.call(draw(b.stream, 3))
        n, length, width = f.tokens.shape
        owed(
            (n, width) == (3, b.dim), f"backbone {b.name}: claims dim={b.dim} but gives tokens {tuple(f.tokens.shape)}"
        )
        owed(
            f.pooled.shape == (3, b.dim), f"backbone {b.name}: claims dim={b.dim} but pooled is {tuple(f.pooled.shape)}"
        )
        owed(
            f.mask.shape == (3, length),
            f"backbone {b.name}: expected a mask (3, {length}), found {tuple(f.mask.shape)}",
        )
        owed(f.mask.dtype == torch.bool, f"backbone {b.name}: the mask is {f.mask.dtype}; expected bool")
        finite = f.tokens.isfinite().all() and f.pooled.isfinite().all()
        owed(finite, f"backbone {b.name}: features of finite inputs are not finite with {bands} bands")


def gradients(one: Made) -> None:
    """From tokens and from pooled alone: what only one of the two passed would not learn behind some fusion."""
    f = one.call(draw(one.stream, 4))
    for what, read in (("tokens", f.tokens), ("pooled", f.pooled)):
        one.module.zero_grad(set_to_none=True)
        (read**3).sum().backward(retain_graph=True)
        idle = [n for n, p in one.own if p.grad is None]
        owed(
            not idle,
            f"backbone {one.name}: no gradient from {what} alone reaches {', '.join(idle[:3])}; let both pass it",
        )


def rows_apart(one: Made) -> None:
    """In training too; batch norm, which looks at all rows, is left out."""
    if any(isinstance(m, nn.modules.batchnorm._BatchNorm) for m in one.module.modules()):
        return
    one = one.again()
    x = draw(one.stream, 4)
    changed = x.clone()
    changed[2:] = 0
    torch.manual_seed(1)
    a = one.call(x)
    torch.manual_seed(1)
    b = one.call(changed)
    for what, p, q in (("pooled", a.pooled, b.pooled), ("tokens", a.tokens, b.tokens)):
        same = torch.allclose(p[:2], q[:2], rtol=1e-4, atol=1e-5)
        owed(same, f"backbone {one.name}: {what} of a row change with other rows; normalise each row by itself")
    moved = (a.pooled[2:] - b.pooled[2:]).abs().max() / a.pooled[2:].abs().max()
    owed(moved > 1e-3, f"backbone {one.name}: pooled does not depend on the input")


def missing_row(one: Made) -> None:
    """A missing row is zeros (pads), then masked."""
    f = one.call(torch.zeros_like(draw(one.stream, 2))).keep(torch.tensor([False, False]))
    owed(not f.tokens.any(), f"backbone {one.name}: a missing row's tokens are not finite")
    (f.tokens.sum() + f.pooled.sum()).backward()
    sick = [n for n, p in one.own if p.grad is None or not p.grad.isfinite().all()]
    owed(not sick, f"backbone {one.name}: a missing row gives {', '.join(sick[:3])} a gradient that is not finite")


def timed(one: Made) -> None:
    """A recording gives the same features whatever it is padded to; a gap's step and a padded one are no token."""
    module, s = one.again().module.eval(), one.stream
    x = torch.where(real(s, x := draw(s, 3))[:, None].reshape(3, 1, -1, *[1] * (x.ndim - 3)), x, 0)
    more = torch.cat([x, torch.zeros_like(x[:, :, :5])], 2)
    valid = real(s, x)
    a, b = module(x, valid=valid), module(more, valid=torch.cat([valid, torch.zeros(3, 5, dtype=torch.bool)], 1))
    same = torch.allclose(a.pooled, b.pooled, rtol=1e-4, atol=1e-5)
    owed(
        same,
        f"backbone {one.name}: pooled changes with the zeros that a recording is padded with; leave out what is not valid",
    )
    for i in range(3):
        p, q = a.tokens[i][a.mask[i]], b.tokens[i][b.mask[i]]
        kept = p.shape == q.shape and torch.allclose(p, q, rtol=1e-4, atol=1e-5)
        owed(kept, f"backbone {one.name}: its mask must be False at tokens of steps that are not valid")
    gone = module(x, valid=torch.zeros_like(valid))
    owed(
        gone.tokens.isfinite().all() and gone.pooled.isfinite().all(), f"backbone {one.name}: no valid step: not finite"
    )


def other_axis(one: Made) -> None:
    """It states `steps`: whether it reads a time axis, and refuses a stream of the other sort as it is built."""
    takes = getattr(type(one.module), "steps", None)
    if takes is not None:
        with pytest.raises(ValueError, match="a time axis, but stream 's' has"):
            one.again(steps=None if takes else STEPS)


def other_kinds(one: Made) -> None:
    """It states its kinds, and refuses a stream of any other as it is built."""
    kinds = getattr(type(one.module), "kinds", None)
    owed(kinds, f"backbone {one.name}: state the kinds of stream that it reads: kinds = ({one.stream.kind!r},)")
    for other in {*get_args(KindName)} - {*kinds}:
        with pytest.raises(ValueError, match=f"but stream 's' is {other}"):
            one.again(kind=other)


CHECKS = (shape_and_width, gradients, rows_apart, missing_row)
"""Of every backbone; `other_kinds` besides of ours, which refuse at run time too."""


def freezes(one: Made, frozen: Made) -> None:
    """`frozen`: the same built with freeze=true."""
    before = {k: v.clone() for k, v in frozen.module.state_dict().items()}
    frozen.module.train()
    said = frozen.call(draw(frozen.stream, 4)).pooled
    owed(
        said.grad_fn is None, f"backbone {one.name}: freeze=true leaves something to train; call backbone.frozen.freeze"
    )
    moved = [k for k, v in frozen.module.state_dict().items() if not torch.equal(v, before[k])]
    owed(not moved, f"backbone {one.name}: freeze=true, and a forward pass moves {', '.join(moved[:3])}")

"""What a fusion owes: `Made(name, build)`, then every one of `CHECKS`."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from contract.owed import owed
from multimodal_lab.types import Features

DIMS = {"a": 8, "b": 12, "c": 8, "d": 5}


@dataclass
class Made:
    """A fusion: `build(dims)` makes it anew with the same weights."""

    name: str
    build: Callable[[dict[str, int]], nn.Module]

    @property
    def emits(self) -> tuple[str, ...]:
        """The names that it states to add."""
        found = getattr(type(self.build(DIMS)), "emits", None)
        owed(found is not None, f"fusion {self.name}: state what it adds to the streams: emits = ('fused',), or ()")
        return tuple(found or ())


def features(
    dims: dict[str, int], n: int = 4, present: dict[str, Tensor] | None = None, seed: int = 0, tokens: int | None = None
) -> dict[str, Features]:
    """Made-up features as `System.encode` hands them over; streams have 2, 3, … tokens unless told."""
    out = {}
    for i, (name, dim) in enumerate(dims.items()):
        g = torch.Generator().manual_seed(seed * 100 + i)
        x = torch.randn(n, tokens or i + 2, dim, generator=g).requires_grad_()
        f = Features.from_tokens(x, x.mean(1) + torch.randn(n, dim, generator=g), (1, x.shape[1]))
        out[name] = f.keep(torch.ones(n, dtype=torch.bool) if present is None else present[name])
    return out


def total(out: dict[str, Features]) -> Tensor:
    """A scalar of everything that leaves, with weights that no symmetry cancels."""
    g = torch.Generator().manual_seed(7)
    parts = [x for f in out.values() for x in (f.pooled, f.tokens)]
    return torch.stack([(x * torch.randn(x.shape, generator=g)).sum() for x in parts]).sum()


def equal(a: Features, b: Features) -> bool:
    """Bit for bit."""
    return torch.equal(a.pooled, b.pooled) and torch.equal(a.tokens, b.tokens)


def widths(one: Made) -> None:
    """Names, widths and shapes are as claimed."""
    fusion = one.build(DIMS)
    claims: dict[str, int] = dict(getattr(fusion, "dims", {}))
    wanted = [*DIMS, *one.emits]
    owed(list(claims) == wanted, f"fusion {one.name}: set self.dims for {', '.join(wanted)}; found {', '.join(claims)}")
    out = fusion(features(DIMS, 3))
    owed(list(out) == wanted, f"fusion {one.name}: states {', '.join(wanted)} but gives {', '.join(out)}")
    for name, f in out.items():
        n, length, width = f.tokens.shape
        owed(
            width == claims[name],
            f"fusion {one.name}: claims dims[{name!r}]={claims[name]} but gives {width}; set self.dims",
        )
        owed(
            f.pooled.shape == (3, width),
            f"fusion {one.name}: {name}: pooled is {tuple(f.pooled.shape)}, expected (3, {width})",
        )
        owed(
            n == 3 and f.mask.shape == (3, length),
            f"fusion {one.name}: {name}: expected a mask (3, {length}), found {tuple(f.mask.shape)}",
        )
        owed(f.mask.dtype is torch.bool, f"fusion {one.name}: {name}: the mask is {f.mask.dtype}; expected bool")


def one_stream(one: Made) -> None:
    """A single stream of one token works."""
    fusion = one.build({"a": 8})
    out = fusion(features({"a": 8}, 2, tokens=1))
    total(out).backward()
    owed(
        all(torch.isfinite(f.pooled).all() for f in out.values()), f"fusion {one.name}: of one stream it is not finite"
    )
    sick = [k for k, p in fusion.named_parameters() if p.grad is None or not torch.isfinite(p.grad).all()]
    owed(not sick, f"fusion {one.name}: of one stream {', '.join(sick[:3])} get no finite gradient")


def gradients(one: Made) -> None:
    """Every parameter learns from what it adds alone; one that adds nothing has none, unless it acts on streams."""
    fusion = one.build(DIMS)
    present = {s: torch.arange(8) % 4 != i for i, s in enumerate(DIMS)}  # each misses somewhere: absent vectors learn
    out = fusion(features(DIMS, 8, present))
    acts = getattr(type(fusion), "acts_on", one.emits)
    read = {name: out[name] for name in one.emits} or (out if "streams" in acts else {})
    if not read:
        owed(not list(fusion.parameters()), f"fusion {one.name}: adds nothing, so that nothing trains its parameters")
        return
    g = torch.Generator().manual_seed(1)
    torch.stack([(f.pooled * torch.randn(f.pooled.shape, generator=g)).sum() for f in read.values()]).sum().backward()
    zero = [k for k, p in fusion.named_parameters() if p.grad is None or not p.grad.abs().sum() > 0]
    owed(not zero, f"fusion {one.name}: no gradient from {', '.join(read)} reaches {', '.join(zero[:3])}")


def unimodal(one: Made) -> None:
    """Streams leave knowing themselves alone; what is added knows them all."""
    fusion = one.build(DIMS).eval()
    a, b = features(DIMS, 4, seed=1), features(DIMS, 4, seed=2)
    base = fusion(a)
    for changed in DIMS:
        out = fusion({**a, changed: b[changed]})
        for name in DIMS:
            same = equal(out[name], base[name])
            owed(
                same or name == changed,
                f"fusion {one.name}: {name} changes with {changed}; streams must leave unimodal",
            )
            owed(not same or name != changed, f"fusion {one.name}: {name} does not depend on its own input")
        for name in one.emits:
            moved = ((out[name].pooled - base[name].pooled).abs().amax(1) > 1e-4).all()
            owed(moved, f"fusion {one.name}: {name} does not depend on {changed}")


def missing_stream(one: Made) -> None:
    """What stands in a missing row leaks nowhere."""
    fusion = one.build(DIMS).eval()
    for absent in DIMS:
        present = {s: torch.tensor([s != absent, True, s == absent]) for s in DIMS}
        base = fusion(features(DIMS, 3, present, seed=1))
        changed = features(DIMS, 3, present, seed=1)
        # before `keep` the missing rows held something else, NaN at the worst
        garbage, raw = features(DIMS, 3, seed=2)[absent], changed[absent]
        rows = present[absent][:, None]
        tokens = torch.where(rows[..., None], raw.tokens, garbage.tokens * float("nan"))
        pooled = torch.where(rows, raw.pooled, garbage.pooled * 1e6)
        changed[absent] = Features.from_tokens(tokens, pooled).keep(present[absent])
        out = fusion(changed)
        leaky = [name for name in base if not equal(out[name], base[name])]
        owed(not leaky, f"fusion {one.name}: what stands in a missing row of {absent} changes {', '.join(leaky)}")
        there = out[absent].mask[0].any() or out[absent].pooled[0].any()
        owed(not there, f"fusion {one.name}: a missing row of {absent} leaves as if it were there; keep its mask False")


def rows_apart(one: Made) -> None:
    """A row alone gives what it gives among others."""
    fusion = one.build(DIMS).eval()
    present = {s: torch.arange(4) != i for i, s in enumerate(DIMS)}
    every = features(DIMS, 4, present)
    out = fusion(every)
    alone = fusion({s: Features(f.tokens[2:3], f.pooled[2:3], f.mask[2:3]) for s, f in every.items()})
    for name, f in alone.items():
        same = torch.allclose(f.pooled, out[name].pooled[2:3], rtol=1e-4, atol=1e-5)
        owed(same, f"fusion {one.name}: {name} of a row changes with other rows")


def padding(one: Made) -> None:
    """Tokens that the mask leaves out are not seen."""
    fusion = one.build(DIMS).eval()
    every = features(DIMS, 3)
    f = every["c"]
    mask = f.mask.clone()
    mask[:, -2:] = False

    def padded(value: float) -> dict[str, Features]:
        tokens = torch.where(mask[..., None], f.tokens, torch.tensor(value))
        found: dict[str, Features] = fusion({**every, "c": Features(tokens, f.pooled, mask)})
        return found

    low, high = padded(0.0), padded(50.0)
    seen = [n for n in low if not torch.allclose(low[n].pooled, high[n].pooled, rtol=1e-4, atol=1e-5)]
    owed(not seen, f"fusion {one.name}: {', '.join(seen)} changes with tokens that the mask leaves out")


def presence(one: Made) -> None:
    """Whatever is missing: finite, and a row without any stream has nothing added."""
    patterns = list(itertools.product([False, True], repeat=len(DIMS)))
    for n, shift in [*((1, i) for i in range(len(patterns))), *((n, i) for n in (2, 8) for i in range(0, 16, 4))]:
        rows = [patterns[(shift + 3 * i) % len(patterns)] for i in range(n)]
        pattern = rows[0]
        present = {s: torch.tensor([r[i] for r in rows]) for i, s in enumerate(DIMS)}
        fusion = one.build(DIMS)
        out = fusion(features(DIMS, n, present))
        any_row = torch.stack(list(present.values())).any(0)
        for name in one.emits:
            told = f"fusion {one.name}: {name} with {dict(zip(DIMS, pattern, strict=True))} present"
            owed(torch.equal(out[name].present, any_row), f"{told}: its mask must be True where any stream is there")
            owed(not out[name].pooled[~any_row].any(), f"{told}: a row without any stream must be zero")
            total({name: out[name]}).backward(retain_graph=True)
            idle = [k for k, p in fusion.named_parameters() if p.grad is None]
            owed(not idle, f"{told}: {', '.join(idle[:3])} leaves the graph; ranks would wait for its gradient")
        total(out).backward()
        finite = all(torch.isfinite(f.pooled).all() and torch.isfinite(f.tokens).all() for f in out.values())
        owed(finite, f"fusion {one.name}: not finite with {pattern} present")
        sick = [k for k, p in fusion.named_parameters() if p.grad is not None and not torch.isfinite(p.grad).all()]
        owed(not sick, f"fusion {one.name}: with {pattern} present the gradient of {', '.join(sick[:3])} is not finite")


def autocast(one: Made) -> None:
    """Half precision stays close to full."""
    fusion = one.build(DIMS).eval()
    present = {
        s: (torch.arange(8) % 5 != i) & (torch.arange(8) != 7) for i, s in enumerate(DIMS)
    }  # the last has nothing
    every = features(DIMS, 8, present)
    full = fusion(every)
    for kind in (torch.bfloat16, torch.float16):
        with torch.autocast("cpu", dtype=kind):
            half = fusion(every)
            total(half).backward(retain_graph=True)
        for name, f in half.items():
            close = torch.allclose(f.pooled.float(), full[name].pooled, rtol=0.05, atol=0.05)
            owed(
                close,
                f"fusion {one.name}: {name} in {kind} is far from full precision; compute sums and softmax in float32",
            )
        finite = all(torch.isfinite(p.grad).all() for p in fusion.parameters() if p.grad is not None)
        owed(finite, f"fusion {one.name}: gradients in {kind} are not finite")


CHECKS = (widths, one_stream, gradients, unimodal, missing_stream, rows_apart, padding, presence, autocast)

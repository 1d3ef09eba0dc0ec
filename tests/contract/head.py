"""What a head owes: `Made(name, build)`, then every one of `CHECKS`."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor, nn

from contract.fusion import features
from contract.owed import owed
from multimodal_lab.backbone.text import Text
from multimodal_lab.build import asks
from multimodal_lab.fusion.concat import Concat
from multimodal_lab.types import Batch, Features, Stream

DIMS = {"a": 8, "b": 12, "c": 8, "d": 5, "fused": 10}
WORDS = torch.tensor([[1, 4, 5, 2, 0], [1, 6, 2, 0, 0]])
Said = Tensor | dict[str, Tensor]


@dataclass
class Made:
    """A head: `build()` makes it anew with the same weights and no dropout, for `DIMS`; `target` names its words.

    `earlier(features)` is what the heads before it said, for one that asks for `out`.
    """

    name: str
    build: Callable[[], nn.Module]
    target: str = "caption"
    earlier: Callable[[Mapping[str, Features]], dict[str, Any]] = lambda every: {"projection": projected(every)}

    def batch(self, n: int) -> Batch:
        """Words, and the waves of what may be a sound: labels are the losses' business."""
        waves = {name: torch.randn(n, 1, 96, generator=torch.Generator().manual_seed(7)) for name in "abcd"}
        valid = {name: torch.ones(n, 96, dtype=torch.bool) for name in waves}
        valid["a"][:, 80:] = False
        words = {self.target: WORDS.repeat(4, 1)[:n]}
        return Batch(waves, words, {}, torch.arange(n), torch.arange(n), valid=valid)

    def says(self, head: nn.Module, every: dict[str, Features], batch: Batch) -> Said:
        """What it says, having heard what it asks for; to one that reads streams over time tokens are steps."""
        if getattr(type(head), "over_time", ()):
            every = {name: replace(f, grid=None) for name, f in every.items()}
        said: Said = head(every, batch, **({"out": self.earlier(every)} if asks(head.forward, "out") else {}))
        return said


def projected(every: Mapping[str, Features]) -> dict[str, Tensor]:
    """A projection: the pooled vectors cut to one width."""
    return {name: f.pooled[:, : min(DIMS.values())] for name, f in every.items()}


def backbones() -> dict[str, nn.Module]:
    """{stream: module} for heads that ask for the built backbones: two small text transformers."""
    texts = {name: Stream(name, "text", vocab=9, length=5) for name in ("a", "b")}
    return {name: Text(stream, width=DIMS[name], layers=1, heads=1, dropout=0.0) for name, stream in texts.items()}


def fusion() -> nn.Module:
    """A fusion for heads that ask for the built one, of the widths of `DIMS`."""
    return Concat({name: dim for name, dim in DIMS.items() if name != "fused"}, width=DIMS["fused"])


def tensors(out: Said) -> list[Tensor]:
    """All that a head says."""
    return [x.float() if x.dtype is torch.bool else x for x in (out.values() if isinstance(out, dict) else [out])]


def total(out: Said) -> Tensor:
    """A scalar of everything that a head says, with weights that no symmetry cancels."""
    g = torch.Generator().manual_seed(7)
    return torch.stack([(x * torch.randn(x.shape, generator=g)).sum() for x in tensors(out)]).sum()


def says(one: Made) -> None:
    """One tensor, or one for each name, as it states; a row for each sample."""
    head = one.build()
    out = one.says(head, features(DIMS, 3, tokens=3), one.batch(3))
    by_name, gives = getattr(type(head), "by_name", None), getattr(type(head), "gives", ())
    if gives:
        found = tuple(out) if isinstance(out, dict) else type(out).__name__
        owed(found == gives, f"head {one.name}: states gives = {gives} but gives {found}")
    elif by_name is not None:
        owed(
            isinstance(out, dict) == by_name,
            f"head {one.name}: states by_name = {by_name} but gives a {type(out).__name__}",
        )
    for x in tensors(out):
        owed(len(x) == 3, f"head {one.name}: expected a row for each of 3 samples, found {tuple(x.shape)}")


def gradients(one: Made) -> None:
    """Every parameter learns; one row has no stream, so that what stands for nothing learns too."""
    head, there = one.build(), {s: torch.arange(8) != 3 for s in DIMS}
    total(one.says(head, features(DIMS, 8, there, tokens=3), one.batch(8))).backward()
    zero = [k for k, p in head.named_parameters() if p.grad is None or not p.grad.abs().sum() > 0]
    owed(not zero, f"head {one.name}: no gradient from what it says reaches {', '.join(zero[:3])}")


def presence(one: Made) -> None:
    """Whatever is missing: finite, and every parameter in the graph."""
    patterns = list(itertools.product([False, True], repeat=4))
    for n, shift in [*((1, i) for i in range(len(patterns))), *((n, i) for n in (2, 8) for i in range(0, 16, 4))]:
        rows = [patterns[(shift + 3 * i) % len(patterns)] for i in range(n)]
        pattern = rows[0]
        present = {s: torch.tensor([r[i] for r in rows]) for i, s in enumerate("abcd")}
        present["fused"] = torch.stack(list(present.values())).any(0)
        every = {s: f.keep(present[s]) for s, f in features(DIMS, n, present, tokens=3).items()}
        for f in every.values():
            f.pooled.retain_grad()
        head = one.build()
        out = one.says(head, every, one.batch(n))
        total(out).backward()
        told = f"head {one.name}: with {pattern} present"
        owed(all(torch.isfinite(x).all() for x in tensors(out)), f"{told} it says something that is not finite")
        idle = [k for k, p in head.named_parameters() if p.grad is None]
        owed(not idle, f"{told} {', '.join(idle[:3])} leaves the graph; ranks would wait for its gradient")
        sick = [k for k, p in head.named_parameters() if p.grad is not None and not torch.isfinite(p.grad).all()]
        sick += [s for s, f in every.items() if f.pooled.grad is not None and not torch.isfinite(f.pooled.grad).all()]
        owed(not sick, f"{told} the gradient of {', '.join(sick[:3])} is not finite")


def missing_row(one: Made) -> None:
    """A missing row changes what is said of no other, in training too."""
    present = {s: torch.tensor([True, True, False, True]) for s in DIMS}
    every, batch = features(DIMS, 4, present, tokens=3), one.batch(4)
    kept = torch.tensor([0, 1, 3])
    few = {s: replace(f, tokens=f.tokens[kept], pooled=f.pooled[kept], mask=f.mask[kept]) for s, f in every.items()}
    part = batch.map(lambda x: x[kept])
    full, rest = one.says(one.build().train(), every, batch), one.says(one.build().train(), few, part)
    for x, y in zip(tensors(full), tensors(rest), strict=True):
        same = torch.allclose(x[kept], y, rtol=1e-4, atol=1e-5)
        owed(same, f"head {one.name}: a missing row changes what is said of others; leave it out of statistics")


def autocast(one: Made) -> None:
    """Half precision stays close to full."""
    head, every, batch = one.build().eval(), features(DIMS, 8, tokens=3), one.batch(8)
    full = one.says(head, every, batch)
    for kind in (torch.bfloat16, torch.float16):
        with torch.autocast("cpu", dtype=kind):
            half = one.says(head, every, batch)
            total(half).backward(retain_graph=True)
        close = [
            torch.allclose(x.float(), y, rtol=0.05, atol=0.05)
            for x, y in zip(tensors(half), tensors(full), strict=True)
        ]
        owed(all(close), f"head {one.name}: in {kind} far from full precision; compute sums and softmax in float32")
        finite = all(torch.isfinite(p.grad).all() for p in head.parameters() if p.grad is not None)
        owed(finite, f"head {one.name}: gradients in {kind} are not finite")


CHECKS = (says, gradients, presence, missing_row, autocast)

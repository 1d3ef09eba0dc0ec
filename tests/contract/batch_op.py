"""What an op on whole batches owes: `Made(name, build)`, then every one of `CHECKS`."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from contract.owed import owed
from multimodal_lab.augment.augment import Augment
from multimodal_lab.augment.batchwise import Batchwise
from multimodal_lab.types import Band, Batch, Stream

K = 3
IMAGES = {n: Stream(n, bands=tuple(Band(f"{n}{i}") for i in range(2)), size=8) for n in ("a", "b")}
TEXT = {"words": Stream("words", "text", vocab=20, length=9)}
BOTH = {**IMAGES, **TEXT}
CLIPS = {
    "video": Stream("video", bands=tuple(Band(b) for b in "RGB"), size=8, steps=12, rate=4.0, mean=(0.0,) * 3),
    "audio": Stream("audio", "vector", (Band("mono"),), steps=36, rate=12.0, mean=(0.0,)),
}
SHAPES = {
    "(N, L) int64": (2, torch.int64),
    "(N, K) float": (2, torch.float32),
    "(N,) int64": (1, torch.int64),
    "(N, 2, T) float": (3, torch.float32),
}


@dataclass
class Made:
    """An op: `build()` makes it anew, always acting; `streams` are those that it acts on; a label is called `species`."""

    name: str
    build: Callable[[], Batchwise]
    streams: dict[str, Stream]

    def run(self, batch: Batch, epoch: int = 0, views: int = 1) -> Batch:
        """The batch augmented by this op alone."""
        return Augment(self.streams, {"species": K}, ops={self.name: self.build()}, views=views)(batch, 0, epoch)


def batch(streams: dict[str, Stream], n: int = 12, present: Tensor | None = None) -> Batch:
    """Random rows; some are without a label, and `present` (N, M) says which streams they have."""
    g = torch.Generator().manual_seed(n)
    there = torch.ones(n, len(streams), dtype=torch.bool) if present is None else present
    here = {name: there[:, i] for i, name in enumerate(streams)}
    inputs = {
        name: torch.randint(3, 20, (n, 9), generator=g)
        if s.vocab
        else torch.rand(n, s.channels, *[s.steps] * (s.steps is not None), *[8, 8] * (s.kind == "image"), generator=g)
        for name, s in streams.items()
    }
    valid = {name: here[name][:, None].repeat(1, s.steps) for name, s in streams.items() if s.steps}
    inputs = {name: torch.where(here[name].view(-1, *[1] * (x.ndim - 1)), x, 0) for name, x in inputs.items()}
    species = torch.where(torch.arange(n) % 5 == 4, -1, torch.arange(n) % K)
    return Batch(inputs, {"species": species}, here, torch.arange(n) * 7, torch.arange(n), valid=valid)


def tensors(found: Batch) -> dict[str, Tensor]:
    """All that a batch holds."""
    return found.named()


def shape(one: Made) -> None:
    """As many rows, the same streams and shapes, and no stream changed but those that it says; the targets as it states them."""
    given = batch(one.streams)
    out, op = one.run(given), one.build()
    op.prepare(one.name, one.streams, {"species": K})
    changed = [name for name, x in given.inputs.items() if not torch.equal(x, out.inputs[name])]
    changed += [name for name, real in given.valid.items() if not torch.equal(real, out.valid[name])]
    owed(
        {*changed} <= {*op.changes(one.streams)},
        f"op {one.name}: changes {', '.join(changed)}; name all of them in `changes`",
    )
    for name, x in given.inputs.items():
        owed(
            out.inputs[name].shape == x.shape,
            f"op {one.name}: {name} changes its shape to {tuple(out.inputs[name].shape)}",
        )
    same = all(
        torch.equal(x, y) for x, y in ((out.ids, given.ids), *((out.present[k], v) for k, v in given.present.items()))
    )
    owed(same, f"op {one.name}: rows keep their order, their ids and their streams")
    new = {k for k, x in out.targets.items() if k not in given.targets or not torch.equal(x, given.targets[k])}
    owed(
        new == {*op.targets()},
        f"op {one.name}: changes targets {sorted(new)}; state them in `adds_targets`, found {op.targets()}",
    )
    for name, stated in zip(op.targets(), op.adds_targets.values(), strict=True):
        x, (axes, dtype) = out.targets[name], SHAPES[stated]
        owed(x.ndim == axes and x.dtype == dtype and len(x) == len(given), f"op {one.name}: states {name} as {stated}, gives "
                                                                           f"{tuple(x.shape)} {x.dtype}")  # fmt: skip


def acts_on_copies(one: Made) -> None:
    """What it is given stays as it was."""
    given = batch(one.streams)
    before = {k: x.clone() for k, x in tensors(given).items()}
    one.run(given)
    owed(all(torch.equal(x, tensors(given)[k]) for k, x in before.items()), f"op {one.name}: write into copies")


def draws_alone_decide(one: Made) -> None:
    """The same again, and another in another epoch; torch's own generator is neither read nor moved."""
    given, state = batch(one.streams), torch.get_rng_state()
    first = tensors(one.run(given))
    owed(torch.equal(state, torch.get_rng_state()), f"op {one.name}: draw from `draw`, never from torch's generator")
    torch.manual_seed(3)
    again, later = tensors(one.run(given)), tensors(one.run(given, epoch=1))
    owed(
        all(torch.allclose(x, again[k], 0, 0, equal_nan=True) for k, x in first.items()),
        f"op {one.name}: the same draws must give the same batch",
    )
    owed(any(not torch.equal(x, later[k]) for k, x in first.items()), f"op {one.name}: every epoch draws anew")


def missing_rows(one: Made) -> None:
    """A missing row stays missing and zero; any pattern is finite, and one row alone works."""
    for n in (1, 2, 12):
        pattern = torch.rand(n, len(one.streams), generator=torch.Generator().manual_seed(n)) < 0.6
        out = one.run(batch(one.streams, n, pattern), views=2)
        for name, x in out.inputs.items():
            owed(not x[~out.present[name]].any(), f"op {one.name}: a missing row of {name} stays zero")
            owed(bool(x.isfinite().all()), f"op {one.name}: {name} is not finite with rows missing")


CHECKS = (shape, acts_on_copies, draws_alone_decide, missing_rows)

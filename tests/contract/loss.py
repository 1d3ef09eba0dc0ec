"""What a loss owes that states how many views, and whether several streams, it compares."""

from __future__ import annotations

import pytest
import torch

from contract.owed import owed
from multimodal_lab.keyed import Keyed
from multimodal_lab.types import Batch


def scope(streams: list[str], views: int, n: int = 6) -> dict[str, object]:
    """Random projections of so many streams and views, all present, and a fused."""
    g = torch.Generator().manual_seed(0)
    names = [*streams, "fused"]
    ids = torch.arange(n).repeat(views)
    z = {name: torch.randn(n * views, 5, generator=g, dtype=torch.float64).requires_grad_() for name in names}
    present = {name: torch.ones(n * views, dtype=torch.bool) for name in names}
    batch = Batch({}, {"species": ids % 2}, {s: present[s] for s in streams}, ids, ids)
    return {"batch": batch, "features": {}, "out": {"projection": z}, "present": present, "progress": 0.0}


def views(name: str, term: Keyed, needs: int) -> None:
    """It does something with as many views as it states, and with one fewer says less: 0, another value, or an error."""
    both = scope(["a", "b"], needs)
    owed(term(both).abs() > 0, f"loss {name}: states views = {needs}, and is 0 with {needs} views")
    if needs > 1:
        try:
            idle = term(scope(["a", "b"], 1))
        except ValueError:
            return
        owed(
            not torch.isclose(idle, term(both), rtol=1e-3),
            f"loss {name}: states views = {needs}, but one view gives the same",
        )


def pairs(name: str, term: Keyed, needs: bool) -> None:
    """With one stream it has nothing to compare, if it states so; else it is finite."""
    one = scope(["a"], 2)
    if needs:
        with pytest.raises(ValueError, match="two streams"):
            term(one)
    else:
        owed(torch.isfinite(term(one)), f"loss {name}: of one stream it is not finite; state pairs = True")


def left_out(name: str, term: Keyed, names: tuple[str, ...]) -> None:
    """It reads every name but those that it states to leave out."""
    found = scope(["a", "b"], 2)
    z: dict[str, torch.Tensor] = found["out"]["projection"]  # type: ignore[index]
    grads = torch.autograd.grad(term(found), [*z.values()], allow_unused=True)
    idle = {k for k, g in zip(z, grads, strict=True) if g is None}
    owed(
        idle == {*names},
        f"loss {name}: leaves out {', '.join(sorted(idle)) or 'nothing'}; state leaves_out = {(*sorted(idle),)}",
    )

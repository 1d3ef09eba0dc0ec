"""What a loss owes: `made(name, conf)`, then every check of `checks(one)`; `loss_ranks.parity(one)` besides."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import product
from pathlib import Path
from typing import Any

import pytest
import torch
from hydra.utils import instantiate
from omegaconf import OmegaConf
from torch import Tensor

from contract.owed import CONF, owed
from multimodal_lab.config.rules.wiring import of_loss
from multimodal_lab.keyed import Keyed
from multimodal_lab.types import Batch

STREAMS = ("a", "b", "c", "d")
K, V, L, D = 3, 7, 5, 6  # classes, words, tokens, width
STEPS = 300  # of a sound
NAMED = ("projection", "subsets", "factorcl")  # heads that speak by name
Scope = dict[str, Any]


@dataclass
class Made:
    """A loss: the term's YAML as plain values, with `label` put in."""

    name: str
    node: dict[str, Any]

    def build(self) -> Keyed:
        """The term anew."""
        built: Keyed = instantiate(self.node, _convert_="all")
        return built.eval()  # one that keeps what it has seen, while it trains, answers the same twice

    def fact(self, name: str, default: Any) -> Any:
        """What its function states, as the YAML sets it."""
        return of_loss(self.node, name, default)

    def reads(self, place: str) -> bool:
        """Whether an argument is looked up at this path, or below it."""
        return any(isinstance(v, str) and f"{v}.".startswith(f"{place}.") for v in self.node.values())


def made(name: str, folder: Path = CONF, **changed: Any) -> Made:
    """The loss of `folder/loss/name.yaml`, some arguments of its function changed where they are there."""
    text = (folder / "loss" / f"{name}.yaml").read_text()
    label = ("depth", "cover") if "out.segment" in text else ("mass", "species")
    config = OmegaConf.create({"label": label["std." not in text], "loss": OmegaConf.create(text)})
    node: Any = OmegaConf.to_container(config.loss, resolve=True)
    if node.get("predicted") == "out.regressor" and "variance" in text:
        node["predicted"] = "out.with_variance"
    if node.get("predicted") == "out.segment":
        node["predicted"] = "out.numbers"
    node |= {k: v.replace("out.separator.", "out.") for k, v in node.items() if str(v).startswith("out.separator.")}
    fits = {"dim": D, "queue": 64}  # of a loss that keeps keys
    node.get("fn", {}).update({k: v for k, v in fits.items() if k in node.get("fn", {})})
    node.get("fn", {}).update({k: v for k, v in changed.items() if k in node.get("fn", {})})
    return Made(name, node)


def scope(
    n: int, pattern: Any = True, views: int = 2, seed: int = 0, labelled: bool = True, streams: Sequence[str] = STREAMS
) -> tuple[Scope, list[Tensor]]:
    """Random outputs of n samples x views, and the leaves that get gradients; `pattern` (M,) or (n, M): what is there."""
    draw, rows = torch.Generator().manual_seed(seed), n * views
    here = torch.as_tensor(pattern, dtype=torch.bool).expand(n, len(streams)).repeat(views, 1)
    present = {name: here[:, i] for i, name in enumerate(streams)} | {"fused": here.any(1)}

    def leaf(*shape: int) -> Tensor:
        return torch.randn(*shape, generator=draw, dtype=torch.float64).requires_grad_()

    z = {name: leaf(rows, D) for name in present}
    said = {"classifier": leaf(rows, K), "late_fusion": leaf(rows, K), "caption_lstm": leaf(rows, L - 1, V)}
    projection = {name: torch.where(present[name][:, None], x, 0.0) for name, x in z.items()}
    labels = (torch.arange(n) % K).repeat(views) if labelled else torch.full((rows,), -1)
    positive = torch.rand(rows, 2, generator=draw, dtype=torch.float64).add(0.1).requires_grad_()
    said |= {"regressor": leaf(rows, 1), "with_variance": positive}
    mass = torch.where(labels >= 0, torch.linspace(-1, 1, rows), torch.nan)
    tokens = torch.randint(0, V, (rows, L), generator=draw) * labelled
    ids = torch.arange(n).repeat(views)
    asked = torch.where(torch.rand(rows, L, generator=draw) < 0.5, tokens, -1) if labelled else tokens * 0 - 1
    words = {"caption": tokens, "masked_words": asked}
    cover = labels[:, None, None].repeat(1, 2, 3)
    cover[:, 0, 0] = -1
    maps = {"cover": cover, "depth": torch.where(cover >= 0, torch.linspace(-1, 1, rows)[:, None, None], torch.nan)}
    said |= {"segment": leaf(rows, K, 2, 3), "numbers": leaf(rows, 1, 2, 3)}
    batch = Batch({}, {"species": labels, **words, "mass": mass, **maps}, {s: present[s] for s in streams}, ids, ids)
    said |= {"tokens": leaf(rows, L, V), "match": leaf(rows, 3)}
    sources = torch.randn(rows, 2, STEPS, generator=draw, dtype=torch.float64)
    batch.targets["sources"] = torch.where(labels[:, None, None] >= 0, sources, torch.nan)
    masks = torch.rand(rows, 1, 9, 1 + STEPS // 128, generator=draw, dtype=torch.float64).requires_grad_()
    said |= {"estimate": leaf(rows, 1, STEPS), "mask": masks}
    known = (here.sum(1) > 1)[:, None].repeat(1, 3) & torch.tensor([True, n > 1, n > 1])
    out = {**named(projection), **said, "match": {"logits": said["match"], "known": known}}
    heard = {name: x.detach() + torch.randn(x.shape, generator=draw, dtype=x.dtype) for name, x in projection.items()}
    found = {
        "teacher": {"projection": heard},
        "batch": batch,
        "features": {},
        "out": out,
        "present": present,
        "progress": 0.25,
        "std": {"mass": torch.tensor([2.0]), "depth": torch.tensor([2.0])},
    }
    return found, [*z.values(), *said.values()]


def named(z: dict[str, Tensor]) -> dict[str, dict[str, Tensor]]:
    """What every head that speaks by name says, made of the same (N, D) of each name: (N, 10, D) by factorcl."""
    factors = torch.randn(10, D, generator=torch.Generator().manual_seed(3), dtype=torch.float64)
    return {**dict.fromkeys(NAMED, z), "factorcl": {name: x[:, None] * factors for name, x in z.items()}}


def gradients(one: Made, term: Keyed, value: Tensor, leaves: list[Tensor]) -> list[Tensor]:
    """Of what it reads and of its own parameters, each of which must take part."""
    told, parameters = f"loss {one.name}", list(term.parameters())
    owed(value.requires_grad, f"{told}: its value has no graph; multiply by a mask instead of returning a constant")
    found = torch.autograd.grad(value, [*leaves, *parameters], allow_unused=True)
    inputs, own = found[: len(leaves)], found[len(leaves) :]
    owed(
        all(g is not None for g in own), f"{told}: a parameter of its own is out of the graph; ranks would wait for it"
    )
    owed(any(g is not None for g in inputs), f"{told}: no gradient reaches anything that it reads")
    return [g for g in found if g is not None]


def learns(one: Made) -> None:
    """A scalar with a gradient, times its weight."""
    term, (found, leaves) = one.build(), scope(8)
    value = term(found)
    owed(value.shape == (), f"loss {one.name}: gives {tuple(value.shape)}; expected a scalar, the mean over rows")
    owed(value.abs() > 1e-3, f"loss {one.name}: is {value.item():g} of random outputs that are all there")
    steep = any((g.abs() > 1e-4).any() for g in gradients(one, term, value, leaves))
    owed(steep, f"loss {one.name}: its gradient is 0 of random outputs")
    term.weight *= 3.0
    owed(
        torch.allclose(term(found), 3 * value), f"loss {one.name}: three times the weight is not three times the value"
    )


def compares(one: Made) -> None:
    """It compares as many views as it states."""
    term, needs = one.build(), one.fact("views", 1)
    both = term(scope(6, views=needs, streams="ab")[0])
    owed(both.abs() > 0, f"loss {one.name}: states views = {needs}, and is 0 with {needs} views")
    if needs > 1:
        try:
            idle = term(scope(6, views=1, streams="ab")[0])
        except ValueError:
            return  # it says itself that it needs more
        owed(
            not torch.isclose(idle, both, rtol=1e-3),
            f"loss {one.name}: states views = {needs}, but one view gives the same",
        )


def of_one_stream(one: Made) -> None:
    """With one stream it has nothing to compare, if it states so; else it is finite."""
    term, single = one.build(), scope(6, streams="a")[0]
    if one.fact("pairs", False):
        with pytest.raises(ValueError, match="two streams"):
            term(single)
    else:
        owed(torch.isfinite(term(single)), f"loss {one.name}: of one stream it is not finite; state pairs = True")


def leaves_out(one: Made) -> None:
    """It reads every name but those that it states to leave out."""
    found, _ = scope(6, streams="ab")
    z = found["out"]["projection"]
    grads = torch.autograd.grad(one.build()(found), [*z.values()], allow_unused=True)
    idle = {k for k, g in zip(z, grads, strict=True) if g is None}
    told = f"loss {one.name}: leaves out {', '.join(sorted(idle)) or 'nothing'}"
    owed(idle == {*one.fact("leaves_out", ())}, f"{told}; state leaves_out = {(*sorted(idle),)}")


def presence(one: Made) -> None:
    """Whatever is missing: finite, and 0 with a graph where nothing is there."""
    term = one.build()
    for n in (1, 2, 8):
        mixed = torch.rand(n, 4, generator=torch.Generator().manual_seed(n)) < 0.5
        every = [*product([False, True], repeat=4)]
        for pattern in [*(every if n == 2 else every[::5]), mixed, mixed & False]:
            found, leaves = scope(n, pattern)
            value, told = (
                term(found),
                f"loss {one.name}: of {n} samples with {torch.as_tensor(pattern).tolist()} present",
            )
            owed(torch.isfinite(value), f"{told} it is {value.item()}; expected a finite number")
            sick = [g for g in gradients(one, term, value, leaves) if not torch.isfinite(g).all()]
            owed(
                not sick, f"{told} its gradient is not finite; choose by torch.where before, not after, what may be NaN"
            )
            if not torch.as_tensor(pattern).any():
                owed(value == 0, f"{told} it is {value.item():g}; expected 0 with a graph")


def missing_row(one: Made) -> None:
    """What stands in a missing row changes neither the value nor any other row's gradient."""
    term, found = one.build(), []
    pattern = torch.rand(8, 4, generator=torch.Generator().manual_seed(1)) < 0.6
    for noise in (0.0, 1e6, float("nan")):
        given, leaves = scope(8, pattern)
        z, there = given["out"]["projection"], given["present"]
        given["out"] |= named({k: x + torch.where(there[k], 0.0, noise)[:, None] for k, x in z.items()})
        value = term(given)
        found.append([value, *gradients(one, term, value, leaves)])
    same = all(torch.equal(x, y) for other in found[1:] for x, y in zip(found[0], other, strict=True))
    owed(
        same,
        f"loss {one.name}: what stands in a missing row changes it; set rows outside `present` to 0 by torch.where",
    )


def unlabelled(one: Made) -> None:
    """0 where no label is known, without a gradient."""
    term, (found, leaves) = one.build(), scope(4, labelled=False)
    value = term(found)
    owed(value == 0, f"loss {one.name}: is {value.item():g} where no row has a label; expected 0 with a graph")
    still = all((g == 0).all() for g in gradients(one, term, value, leaves))
    owed(still, f"loss {one.name}: rows without a label get a gradient")


Check = Callable[[Made], None]
PROJECTED: tuple[Check, ...] = (compares, of_one_stream, leaves_out, presence, missing_row)


def checks(one: Made) -> tuple[Check, ...]:
    """Those that its arguments call for: of outputs by name, of labels."""
    projected = any(one.reads(f"out.{head}") for head in NAMED)
    labelled = one.reads("batch.targets") and not projected
    return (learns, *(PROJECTED if projected else ()), *((unlabelled,) if labelled else ()))

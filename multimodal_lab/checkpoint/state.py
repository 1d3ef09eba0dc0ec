"""The training state that a checkpoint holds, as one named dict, and its conversion to plain data."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Collection, Iterator, Mapping
from typing import Any, Protocol

import torch
from torch import Tensor, nn

from multimodal_lab.text import expected_one_of, some

SHOWN = 3  # names in a message
PARTS = ("model", "optimizer", "scaler", "ema", "meters", "state")
ADAPTER = "adapter"  # the part of a training whose `adapt` acts while it trains


class Adapter(Protocol):
    """What an `adapt` may give: it acts after each optimizer step, while the gradients are still there.

    AdaLoRA (Zhang et al. 2023) moves its ranks so; `step` counts from 0, up to `total` - 1.
    If it has a method `begin(total)`, that is called before the first step, and may refuse a training that is too short.
    """

    def after_gradient(self, step: int, total: int) -> None:
        """Look at the gradients of the step just made, and change what it changes; alike on every rank."""
        ...

    def state_dict(self) -> dict[str, Any]:
        """All that it has learnt, but what parameters and buffers of the system hold."""
        ...

    def load_state_dict(self, state: dict[str, Any], /) -> Any:
        """Load it."""
        ...


class Stateful(Protocol):
    """An object with a state dict of tensors, plain numbers, strings, and lists and dicts of them."""

    def state_dict(self) -> dict[str, Any]:
        """The whole state."""
        ...

    def load_state_dict(self, state: dict[str, Any], /) -> Any:
        """Load it; anything that does not fit is an error."""
        ...


TrainingState = Mapping[str, Stateful]


@dataclasses.dataclass
class State:
    """The progress of a training as plain numbers. `due`: an epoch has ended and has not been scored yet."""

    step: int = 0
    epoch: int = 0
    offset: int = 0
    samples: int = 0
    due: bool = False
    best: float | None = None
    best_step: int | None = None
    stale: int = 0
    logged: int = 0
    seconds: float = 0.0
    facts: dict[str, Any] = dataclasses.field(default_factory=dict)
    drift: list[str] = dataclasses.field(default_factory=list)

    def state_dict(self) -> dict[str, Any]:
        """Every field by its name."""
        return dataclasses.asdict(self)

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Every field, no more and no fewer."""
        require_same("state", state, self.state_dict())
        for name, value in state.items():
            setattr(self, name, value)


def require_parts(found: Mapping[str, Any], doing: str, like: Collection[str] | None = None) -> None:
    """Refuse a dict whose names are not exactly `PARTS`, or those and `ADAPTER`: a resume without one of them is not exact.

    like: the names of a training that it must have.
    """
    wanted = PARTS if ADAPTER not in (found if like is None else like) else (*PARTS, ADAPTER)
    for name in found.keys() - set(wanted):
        raise ValueError(f"{doing}: unknown part {name!r}; {expected_one_of(name, wanted)}")
    for name in wanted:
        if name not in found:
            raise ValueError(f"{doing}: the part {name!r} is missing; the parts are {', '.join(wanted)}")


def require_keys(owner: str, found: Mapping[str, Any], wanted: Mapping[str, Any]) -> None:
    """Refuse missing and extra keys by name."""
    for word, keys in (("lacks", wanted.keys() - found.keys()), ("has no place for", found.keys() - wanted.keys())):
        if keys:
            names = [*map(str, sorted(keys))]
            raise ValueError(f"{owner} {word} {some(names, SHOWN)}")


def require_same(owner: str, found: Mapping[str, Any], wanted: Mapping[str, Any]) -> None:
    """Refuse missing and extra keys by name, and tensors of another shape."""
    require_keys(owner, found, wanted)
    for key, value in wanted.items():
        shapes = [tuple(getattr(of, "shape", ())) for of in (found[key], value)]
        if isinstance(value, Tensor) and shapes[0] != shapes[1]:
            raise ValueError(f"{owner} has {key} of shape {shapes[0]}, expected {shapes[1]}")


def size(parts: TrainingState) -> int:
    """Bytes of one checkpoint, the optimizer's moments counted before the first step has made them."""
    tensors: dict[str, Tensor] = {}
    split({k: part.state_dict() for k, part in parts.items() if k != "optimizer"}, tensors)
    optimizer = parts["optimizer"]
    assert isinstance(optimizer, torch.optim.Optimizer)
    # Adam keeps two moments a parameter, SGD one
    moments = 2 if "betas" in optimizer.defaults else 1
    trained = [p for group in optimizer.param_groups for p in group["params"]]
    return sum(x.numel() * x.element_size() for x in [*tensors.values(), *trained * moments])


def split(tree: Any, tensors: dict[str, Tensor], at: str = "") -> Any:
    """`tree` as JSON can hold it; its tensors go to `tensors` under their paths. Integer keys become `#3`."""
    if isinstance(tree, Tensor):
        tensors[at] = tree
        return {"tensor": at}
    if isinstance(tree, Mapping):
        keys = {k: f"#{k}" if isinstance(k, int) else k for k in tree}
        return {keys[k]: split(v, tensors, f"{at}.{keys[k]}" if at else keys[k]) for k, v in tree.items()}
    if isinstance(tree, list | tuple):
        items = [split(v, tensors, f"{at}.{i}") for i, v in enumerate(tree)]
        return {"tuple": items} if isinstance(tree, tuple) else items
    if isinstance(tree, float) and not math.isfinite(tree):
        return {"float": str(tree)}  # strict JSON has no NaN and no infinity, and a resume must have them again
    if tree is None or isinstance(tree, bool | int | float | str):
        return tree
    raise TypeError(f"{at}: a {type(tree).__name__} can't be saved; expected tensors, numbers, strings, lists or dicts")


def join(tree: Any, tensors: Mapping[str, Tensor]) -> Any:
    """The inverse of `split`."""
    if isinstance(tree, list):
        return [join(v, tensors) for v in tree]
    if not isinstance(tree, dict):
        return tree
    if tree.keys() == {"tensor"}:
        return tensors[tree["tensor"]]
    if tree.keys() == {"float"}:
        return float(tree["float"])
    if tree.keys() == {"tuple"}:
        return tuple(join(v, tensors) for v in tree["tuple"])
    return {int(k[1:]) if k.startswith("#") else k: join(v, tensors) for k, v in tree.items()}


class Unsaved:
    """Watches tensors and generators that modules hold outside parameters and buffers, which no checkpoint saves.

    Constants are fine: they come back with the config. One that changes while training would be lost in a resume.
    """

    def __init__(self, **modules: Any) -> None:
        self.modules = {k: m for k, m in modules.items() if isinstance(m, nn.Module)}
        self.before = dict(self._found())

    def require_none(self) -> None:
        """Raise if one of them has changed since the start."""
        for name, value in self._found():
            before = self.before.get(name)
            if before is not None and before.shape == value.shape and not torch.equal(before, value):
                raise ValueError(
                    f"{name} changes while training, but no checkpoint holds it: make it a parameter or register_buffer"
                )

    def _found(self) -> Iterator[tuple[str, Tensor]]:
        for root, module in self.modules.items():
            for path, child in module.named_modules(prefix=root):
                # torch keeps parameters and buffers in dicts of their own: what is found here is outside of them
                for name, value in vars(child).items():
                    if isinstance(value, Tensor):
                        yield f"{path}.{name}", value.detach().clone()
                    elif isinstance(value, torch.Generator):
                        yield f"{path}.{name}", value.get_state()
                for name in child._non_persistent_buffers_set:
                    if (value := child._buffers[name]) is not None:
                        yield f"{path}.{name}", value.detach().clone()

"""`Keyed`: wire any function of tensors into a System by the names of its arguments."""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping, Sequence
from types import ModuleType
from typing import Any, NamedTuple, cast

import torch
from torch import Tensor, nn

from multimodal_lab.bounds import NonNegative
from multimodal_lab.text import expected_one_of

Scope = Mapping[str, Any]


class Terms(NamedTuple):
    """What a loss may return that is a sum: the total, a scalar, and by name each term before its own weight, to be logged."""

    total: Tensor
    parts: dict[str, Tensor]


def lookup(scope: Scope, path: str) -> Any:
    """The value at a dotted path such as `out.projection.rgb`; a wrong path is a `KeyError` that names the nearest right one."""
    value: Any = scope
    walked: list[str] = []
    for part in path.split("."):
        names = list(value) if isinstance(value, Mapping) else [n for n in vars(value) if not n.startswith("_")]
        if part not in names:
            where = ".".join(walked) or "the scope"
            paths = [".".join([*walked, name]) for name in names]
            near = expected_one_of(".".join([*walked, part]), paths)
            raise KeyError(f"no {part!r} in {where} (path {path!r}); {near}")
        value = value[part] if isinstance(value, Mapping) else getattr(value, part)
        walked.append(part)
    return value


class Earlier(dict[str, Any]):
    """What the heads before `head` said, by name; a name that isn't there yet is a `KeyError`.

    heads: the names of all, in the order in which they speak.
    """

    def __init__(self, out: Scope, head: str, heads: Sequence[str]) -> None:
        super().__init__(out)
        self.head, self.heads = head, heads

    def __missing__(self, name: str) -> Any:
        if name in self.heads:
            raise KeyError(
                f"head {self.head} asks for out.{name}, which is said after it; heads speak in the order of the config: "
                f"{', '.join(self.heads)}"
            )
        raise KeyError(f"head {self.head} asks for out.{name}; {expected_one_of(name, list(self))}")


class Keyed(nn.Module):
    """`weight * fn(**arguments)`, the arguments found in a scope `{batch, features, out, present, progress, std, teacher}`.

    Each keyword is a path (a string: looked up), a module (called with the training progress in [0, 1]: a learned
    temperature, a schedule), or a constant. Labels that stand for `ids` make each unlabelled sample its own class. `text_ids`
    hold what `ids` say in further columns (`loss.streams`). `fn` may be a function, a `functools.partial` or a module with
    parameters, and gives a scalar or `Terms`.
    """

    def __init__(
        self, fn: Callable[..., Tensor | Terms], weight: NonNegative = 1.0, name: str | None = None, **arguments: Any
    ) -> None:
        super().__init__()
        self.fn = fn
        self.weight = weight
        self.name = name or _file_of(fn)
        self.paths = {k: v for k, v in arguments.items() if isinstance(v, str)}
        self.knobs = nn.ModuleDict({k: v for k, v in arguments.items() if isinstance(v, nn.Module)})
        self.constants = {k: v for k, v in arguments.items() if k not in self.paths and k not in self.knobs}
        self.learnt: list[str] = []

    def forward(self, scope: Scope) -> Tensor:
        """Scope to a scalar: what is logged is what is summed."""
        return self.with_parts(scope)[0]

    def with_parts(self, scope: Scope) -> tuple[Tensor, dict[str, Tensor]]:
        """The same, and the terms that it is made of, as the function gives them: before any weight, without a graph."""
        found = {k: lookup(scope, path) for k, path in self.paths.items()}
        if self.paths.get("ids", "").startswith("batch.targets."):
            found["ids"] = own_class(found["ids"], scope["batch"].ids)
        if found.get("text_ids") and self.paths.get("ids") != "batch.ids":
            # what the ids say, and the text; `System` has done so with ids of samples
            found["text_ids"] = {k: torch.cat([x, found["ids"][:, None]], 1) for k, x in found["text_ids"].items()}
        knobs = {k: module(scope["progress"]) for k, module in self.knobs.items()}
        learnt = {k: getattr(self, f"{k}_learnt") for k in self.learnt}
        said = self.fn(**found, **knobs, **self.constants, **learnt)
        if isinstance(said, Tensor):
            return self.weight * said, {}
        return self.weight * said.total, {name: x.detach() for name, x in said.parts.items()}

    def learn(self, argument: str, value: Tensor) -> None:
        """Replace the word that an argument has by what was learnt of the training split; it is saved with the weights."""
        del self.paths[argument]
        self.register_buffer(f"{argument}_learnt", value)
        self.learnt.append(argument)

    def fact(self, name: str, default: Any) -> Any:
        """What its function, a module, or the file of a function states, such as `squared_error`."""
        return getattr(self.fn, name, getattr(_owner(self.fn), name, default))

    def prepare(self, dims: Mapping[str, int]) -> None:
        """Tell a function that is a module with a `prepare` which names there will be, before anything is saved or loaded."""
        prepare: Callable[[Mapping[str, int]], None] | None = getattr(self.fn, "prepare", None)
        if prepare is not None:
            prepare(dims)

    def begin(self, scalars: Mapping[str, float], where: str) -> None:
        """Start the scalars that begin as the weights of backbones have them; scalars: theirs, by name; where: for messages."""
        for name, knob in self.knobs.items():
            if not getattr(knob, "of_weights", False):
                continue
            if name not in scalars:
                near = f"; they have {', '.join(scalars)}" if scalars else ", as those of CLIP and SigLIP have"
                raise ValueError(f"{where}.{name}.init=weights: the weights of no backbone have learnt a {name}{near}")
            cast(Any, knob).begin(scalars[name])

    def scalars(self, progress: float) -> dict[str, float]:
        """The numbers that it is made with, by name: learned or scheduled ones, and what its function states as `weights`."""
        fixed = {k: v for k, v in self.constants.items() if k in self.fact("weights", ())}
        moving = {k: module(progress) for k, module in self.knobs.items()}
        return {k: float(v.detach() if isinstance(v, Tensor) else v) for k, v in (moving | fixed).items()}


def own_class(labels: Tensor, samples: Tensor) -> Tensor:
    """Labels (N,) as ids for a contrastive loss: a missing one, -1, is replaced by a negative number of its sample (N,) alone.

    Samples without a label are not of one class. Views of a sample have one sample id and stay positives of each other.
    """
    if labels.shape != samples.shape:
        return labels  # several-hot: for the loss to refuse
    return torch.where(labels == -1, samples | torch.iinfo(samples.dtype).min, labels)


def _file_of(fn: Any) -> str:
    return str(_owner(fn).__name__).rpartition(".")[2]


def _owner(fn: Any) -> ModuleType:
    """The module that a function, or the class of an object, is of: where it states its facts."""
    owner = getattr(fn, "func", fn)
    return sys.modules[getattr(owner, "__module__", type(owner).__module__)]

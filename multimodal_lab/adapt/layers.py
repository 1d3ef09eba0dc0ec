"""Which layers of a system get a low-rank update: peft's rules of names, within the parts that are named."""

from __future__ import annotations

from collections.abc import Sequence

from torch import nn

from multimodal_lab.backbone.freeze import is_frozen
from multimodal_lab.checkpoint.tied import aliases
from multimodal_lab.text import Pattern, expected_one_of, show

ALL_LINEAR = "all-linear"  # peft's word
Targets = list[str] | str
Kinds = tuple[type[nn.Module], ...]


def layers(
    system: nn.Module, modules: Sequence[str], targets: Targets, exclude: Sequence[str], kinds: Kinds
) -> list[str]:
    """The names of the layers of `modules` to adapt, in the order of the system.

    targets: ends of names, at a dot; or a regular expression of a whole name within its module; or "all-linear". kinds: the
    classes of layers that can be adapted. `ValueError` for a word that fits nothing, with the nearest, for a module without
    any such layer, and for a layer that can't be adapted.
    """
    inside = {n: m for part in modules for n, m in system.get_submodule(part).named_modules(prefix=part)}
    can = {name for name, module in inside.items() if _why_not(system, name, module, kinds) == ""}
    ends = sorted({name.rpartition(".")[2] for name in can})
    for key, words in (("target", targets), ("exclude", exclude)):
        for word in words if isinstance(words, list) else ():
            if not any(_ends(name, word) for name in inside):
                raise ValueError(
                    f"adapt.{key}_modules: no layer named {word!r} in {', '.join(modules)}; {expected_one_of(word, ends)}"
                )
    pattern = Pattern(targets, "adapt.target_modules") if isinstance(targets, str) and targets != ALL_LINEAR else None
    left = {name: m for name, m in inside.items() if not any(_ends(name, word) for word in exclude)}
    found: list[str] = []
    for part in modules:
        own = [name for name in left if name == part or name.startswith(f"{part}.")]
        chosen = [name for name in own if _fits(name, part, pattern or targets, left[name], name in can)]
        if not chosen:
            near = expected_one_of(show(targets), ends)
            raise ValueError(f"adapt.target_modules={show(targets)}: fits no layer of {part}; {near}")
        found += [name for name in chosen if name not in found]
    for name in found:
        if why := _why_not(system, name, left[name], kinds):
            raise ValueError(f"adapt.target_modules: {name} {why}; {expected_one_of(name.rpartition('.')[2], ends)}")
        _require_one_place(system, name, left[name])
    return found


def _ends(name: str, word: str) -> bool:
    return name == word or name.endswith(f".{word}")


def _fits(name: str, part: str, targets: Targets | Pattern, module: nn.Module, can: bool) -> bool:
    if targets == ALL_LINEAR:
        return can and not isinstance(module, nn.Embedding | nn.Conv1d | nn.Conv2d | nn.Conv3d)
    if isinstance(targets, Pattern):
        return targets.fullmatch(name.removeprefix(part).removeprefix(".")) is not None
    return any(_ends(name, word) for word in targets)


def _why_not(system: nn.Module, name: str, module: nn.Module, kinds: Kinds) -> str:
    """Why a layer can't have a low-rank update; "" where it can."""
    kind = next((k for k in kinds if isinstance(module, k)), None)
    if kind is None:
        return f"is a {type(module).__name__}, and a low-rank update is for {', '.join(k.__name__ for k in kinds)}"
    if type(module).forward is not kind.forward:
        # peft adds W + BA as if W alone were what the layer computes with
        return f"is a {type(module).__name__}, which computes in its own way what a {kind.__name__} does by its weight"
    if isinstance(_parent(system, name), nn.MultiheadAttention):
        return "is of an attention of torch, which reads its weight past any update"
    return ""


def _require_one_place(system: nn.Module, name: str, module: nn.Module) -> None:
    """Refuse a layer that another module holds too, or whose weight another one computes with: there it would stay as it was."""
    parent = _parent(system, name)
    for other, same in system.named_modules(remove_duplicate=False):
        if same is module and _parent(system, other) is not parent:
            raise ValueError(f"adapt.target_modules: {name} is {other}, too, {_LEAVE.format(name)}")
    for further, first in aliases(system).items():
        owners = [_parent(system, x) for x in (further, first)]
        if owners[0] is not owners[1] and module in owners:
            other = further if owners[1] is module else first
            raise ValueError(f"adapt.target_modules: {name} shares its weight with {other}, {_LEAVE.format(name)}")


_LEAVE = "which would not see its update; leave it out with adapt.exclude_modules=[{}]"


def _parent(system: nn.Module, name: str) -> nn.Module:
    return system.get_submodule(name.rpartition(".")[0])


def require_awake(system: nn.Module, names: Sequence[str]) -> None:
    """Refuse layers in a module that `freeze` keeps in evaluation mode: dropout of their updates would never be switched."""
    for name in names:
        parts = name.split(".")
        for i in range(1, len(parts)):
            if is_frozen(system.get_submodule(above := ".".join(parts[:i]))):
                raise ValueError(
                    f"adapt.modules: {above} is frozen already, by its own freeze=true; leave that false: adapt freezes all "
                    "but what it adds"
                )

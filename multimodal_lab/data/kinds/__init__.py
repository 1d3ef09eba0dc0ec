"""Registry of the kinds of data. Imports nothing of this package, and no torch.

Every file of this room is one kind, called as the file. An installed package adds others as entry points of the group
`multimodal_lab.kinds`: `graph = mypackage.graph:Graph`. What a kind is: `multimodal_lab.data.kind.Kind`.
"""

from __future__ import annotations

import difflib
import importlib
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from multimodal_lab.data.kind import Kind
    from multimodal_lab.types import Stream

GROUP = "multimodal_lab.kinds"
BASE = "multimodal_lab.data.kind"


class KindError(ValueError):
    """A kind that is not there, is there twice, or is none: its name, where it was looked for, what was expected."""


@cache
def built_in() -> dict[str, str]:
    """{name: `module:Class`} of the kinds of this room."""
    files = sorted(p.stem for p in Path(__file__).parent.glob("*.py") if p.stem != "__init__")
    return {name: f"{__name__}.{name}:{name.capitalize()}" for name in files}


@cache
def paths() -> dict[str, str]:
    """{name: `module:Class`} of every kind, those of this room first; two of one name are a `KindError`."""
    from importlib import metadata  # slow: looks into every installed package

    found = dict(built_in())
    for point in sorted(metadata.entry_points(group=GROUP), key=lambda p: (p.name, p.value)):
        if found.setdefault(point.name, point.value) != point.value:
            raise KindError(
                f"kind {point.name!r}: there are two, {found[point.name]} and {point.value} (entry points of {GROUP}); "
                "rename one, or uninstall its package"
            )
    return found


def names() -> tuple[str, ...]:
    """Every kind."""
    return tuple(paths())


@cache
def get(name: str) -> Kind:
    """The kind `name`, which imports its file; a `KindError` where there is none."""
    path = paths().get(name)
    if path is None:
        raise KindError(unknown(name))
    module, _, attribute = path.partition(":")
    try:
        found = getattr(importlib.import_module(module), attribute)
    except (ModuleNotFoundError, AttributeError) as error:
        raise KindError(f"kind {name!r}: the entry point {name} = {path} of {GROUP} leads nowhere: {error}") from error
    base = importlib.import_module(BASE).Kind
    if not (isinstance(found, type) and issubclass(found, base)):
        raise KindError(f"kind {name!r}: {path} is no class derived from {BASE}.Kind")
    made: Kind = found()
    return made


def of(stream: Stream) -> Kind:
    """The kind of a stream."""
    return get(stream.kind)


def alike(a: str, b: str) -> bool:
    """Whether a reader that gives the one kind can give the other: both bands with as many axes, or both texts."""
    if a == b:
        return True
    one, other = get(a), get(b)
    return one.stored != "own" and (one.stored, one.axes) == (other.stored, other.axes)


def unknown(name: str) -> str:
    """The sentence for a kind that is not there."""
    near = difflib.get_close_matches(name, paths(), 1, 0.0)[0]
    return f"{name!r} is not a kind; there are {', '.join(paths())} (nearest: {near})"


def forget() -> None:
    """Clear the memoised kinds, after a package was installed."""
    for found in (built_in, paths, get):
        found.cache_clear()

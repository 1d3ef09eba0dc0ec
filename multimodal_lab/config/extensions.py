"""Entry points of installed packages that add components, checked in their source without importing it."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from functools import cache

from multimodal_lab.config.problem import Problem
from multimodal_lab.config.signature import Module, SourceError, locate, module_named
from multimodal_lab.config.targets import GROUP, entry_points
from multimodal_lab.text import nearest


@cache
def extension_problems() -> tuple[Problem, ...]:
    """What is wrong with any entry point: told where a config names a part of another package, before it is imported."""
    return tuple(_problems(entry_points()))


def _problems(points: tuple[tuple[str, str], ...]) -> Iterator[Problem]:
    """points: (name, `package.module:Class`) of each."""
    first: dict[str, str] = {}
    for name, value in points:
        key = f"entry point {name} of {GROUP}"
        if first.setdefault(name, value) != value:
            yield Problem(key, value, f"a part of this name is there already, {first[name]}; rename one of the two")
        module, colon, attribute = value.partition(":")
        if not colon or not attribute:
            yield Problem(key, value, "expected package.module:Class or package.module:function")
        elif (problem := _missing(module, attribute)) is not None:
            yield Problem(key, value, *problem)


def _missing(module: str, attribute: str) -> tuple[str, str] | None:
    """What is not there, and the nearest that is."""
    try:
        name, rest = locate(f"{module}.{attribute}")
    except (SourceError, ValueError, ImportError):  # of a name that no package could have
        return f"there is no module {module}", ""
    if name != module:
        return f"there is no module {module}, only {name}", ""
    try:
        found = module_named(name)
    except (SourceError, OSError) as error:
        return f"{module} can't be read: {error}", ""
    if rest in found.imports:
        owner, original = found.imports[rest]
        return f"{module} imports {rest}; name the file that defines it", f"{owner}:{original}"
    if rest not in found.definitions:
        choices = _parts(found)
        near = f"{module}:{nearest(rest, choices)[0]}" if choices else ""
        return f"{module} defines no {rest}; it has {', '.join(choices) or 'no class and no function'}", near
    return None


def _parts(module: Module) -> list[str]:
    return [
        k for k, node in module.definitions.items() if isinstance(node, ast.ClassDef | ast.FunctionDef) and k[0] != "_"
    ]

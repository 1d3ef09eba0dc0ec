"""The import graph of the package, read from its source: rooms, arrows, floors, circles.

A room is a folder of the package, or a module in its root, as in `tests/floors.py`; what `python -m` runs of a room below the
commands, its `__main__`, is a command, and so a room of its own. With `nested` a folder within a room is one, too, and has no
arrow to its neighbours there. An arrow is a pair (room A imports room B). Every import counts, inside functions and under
`TYPE_CHECKING` too, but of what is `BELOW_ALL` in that table. Floors are the rooms in the longest chain of arrows; rooms in a
circle all count, as none can be read without the others. Circles are groups of modules that import each other at their top
level, `TYPE_CHECKING` included.
"""

from __future__ import annotations

import ast
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[2] / "tests"))
from floors import BELOW_ALL, FLOORS

Graph = dict[str, set[str]]
CONTRACT, COMMANDS = FLOORS[0].rooms, FLOORS[-1].rooms
FUNCTIONS = (ast.FunctionDef, ast.AsyncFunctionDef, ast.Lambda)


def modules(package: Path) -> dict[str, Path]:
    """{dotted name: file} of every module of the package."""
    found = {}
    for path in sorted(package.rglob("*.py")):
        parts = path.relative_to(package.parent).with_suffix("").parts
        found[".".join(parts[:-1] if parts[-1] == "__init__" else parts)] = path
    return found


def _statements(node: ast.AST, lazy: bool) -> Iterator[ast.AST]:
    for child in ast.iter_child_nodes(node):
        if lazy or not isinstance(child, FUNCTIONS):
            yield child
            yield from _statements(child, lazy)


def _named(node: ast.AST, package: str) -> Iterator[tuple[str, str]]:
    """(module, name or "") of each thing that an import statement names; a relative import counts from `package`."""
    if isinstance(node, ast.Import):
        yield from ((alias.name, "") for alias in node.names)
    elif isinstance(node, ast.ImportFrom):
        base = package.split(".")[: len(package.split(".")) - node.level + 1] if node.level else []
        module = ".".join([*base, *([node.module] if node.module else [])])
        yield from ((module, alias.name) for alias in node.names)


def graph(known: Mapping[str, Path], lazy: bool) -> Graph:
    """{module: modules of the package that it imports}; `lazy`: those inside functions too."""
    found: Graph = {}
    for module, path in known.items():
        package = module if path.name == "__init__.py" else module.rpartition(".")[0]
        pairs = (pair for node in _statements(ast.parse(path.read_text()), lazy) for pair in _named(node, package))
        wanted = {f"{base}.{name}" if f"{base}.{name}" in known else base for base, name in pairs}
        found[module] = {other for other in wanted if other in known and other != module}
    return found


def room(module: str, path: Path, nested: bool = False) -> str:
    """The folder of the package that holds a module, or the module itself in the root; "" for the package's own __init__."""
    parts = module.split(".")[1:]
    if parts[-1:] == ["__main__"] and parts[0] not in COMMANDS:
        return ".".join(parts)
    folder = parts if path.name == "__init__.py" else parts[:-1]
    return ".".join(folder if nested else folder[:1]) or ".".join(parts)


def rooms(known: Mapping[str, Path], nested: bool = False) -> Graph:
    """{room: rooms that it imports}, neighbours below one top-level folder left out."""
    found: Graph = {}
    for module, others in graph(known, lazy=True).items():
        here = room(module, known[module], nested)
        there = {room(other, known[other], nested) for other in others - {BELOW_ALL}} - {""}
        if here:
            apart = {r for r in there if r != here and not (nested and r.split(".")[0] == here.split(".")[0])}
            found.setdefault(here, set()).update(apart)
    reached = set().union(*found.values())
    return {name: found.get(name, set()) for name in found.keys() | reached}


def components(edges: Graph) -> list[list[str]]:
    """Strongly connected components (Tarjan 1972), each after those that it leads to."""
    order: dict[str, int] = {}
    low: dict[str, int] = {}
    stack: list[str] = []
    found: list[list[str]] = []

    def visit(node: str) -> None:
        order[node] = low[node] = len(order)
        stack.append(node)
        for other in sorted(edges[node]):
            if other not in order:
                visit(other)
                low[node] = min(low[node], low[other])
            elif other in stack:
                low[node] = min(low[node], order[other])
        if low[node] == order[node]:
            cut = stack.index(node)
            found.append(sorted(stack[cut:]))
            del stack[cut:]

    for node in sorted(edges):
        if node not in order:
            visit(node)
    return found


def floors(edges: Graph) -> int:
    """Nodes in the longest chain of arrows, those of a circle all counted."""
    height: dict[str, int] = {}
    for group in components(edges):
        below = {other for node in group for other in edges[node]} - set(group)
        height |= dict.fromkeys(group, len(group) + max((height[other] for other in below), default=0))
    return max(height.values(), default=0)


def circles(edges: Graph) -> list[list[str]]:
    """Groups of more than one node that lead to each other."""
    return [group for group in components(edges) if len(group) > 1]

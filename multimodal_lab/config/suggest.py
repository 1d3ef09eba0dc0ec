"""Suggest valid choices of a config group, from the files of `conf/` and the declared facts."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import cache
from pathlib import Path
from typing import Any

import yaml

from multimodal_lab.config.problem import is_target
from multimodal_lab.config.targets import conf_dir
from multimodal_lab.text import nearest

Tree = dict[str, Any]


@cache
def nodes(group: str) -> dict[str, Tree]:
    """{choice: node} of every file of a group that says itself what it builds; the default choice first, then by name."""
    found: dict[str, Tree] = {}
    for file in sorted((conf_dir() / group).glob("[!_]*.yaml")):  # a base that others build on is no choice
        node = _read(file)
        inner: Any = node.get(file.stem)  # a group of several has `{choice: node}`
        found[file.stem] = inner if isinstance(inner, dict) and is_target(inner) else node
    known = {name: node for name, node in found.items() if is_target(node) or is_target(node.get("source"))}
    first = default(group)
    return {name: known[name] for name in sorted(known, key=lambda name: name != first)}


def node(group: str, choice: str, folders: Sequence[Path]) -> Tree:
    """The node of one choice, over all that its defaults list names before it, of its group and of others, such as
    `/backbone@image: convnet`; {} where no folder has it."""
    file = next((f for folder in folders if (f := folder / group / f"{choice}.yaml").is_file()), None)
    own: Tree = {} if file is None else yaml.safe_load(file.read_text(encoding="utf-8")) or {}
    made: Tree = {}
    for name in (n for n in own.get("defaults", ()) if n != "_self_"):
        if isinstance(name, str):
            base, _, at = name.removeprefix(f"/{group}/").partition("@")
            made = _over(made, _within(at, node(group, base, folders)))
            continue
        for of, inner in name.items():
            other, _, at = str(of).removeprefix("/").partition("@")
            made = _over(made, {at: node(other, str(inner), folders)} if at else {})
    return _over(made, own)


def _read(file: Path) -> Tree:
    """A file's own keys over those of the bases (`_NAME.yaml`) that its defaults list names before it."""
    own: Tree = yaml.safe_load(file.read_text(encoding="utf-8")) or {}
    made: Tree = {}
    for name in (n for n in own.get("defaults", ()) if isinstance(n, str) and n.startswith("_") and n != "_self_"):
        base, _, at = name.partition("@")
        made = _over(made, _within(at, _read(file.with_name(f"{base}.yaml"))))
    return _over(made, own)


def _within(package: str, node: Tree) -> Tree:
    """A node where a defaults list puts it, `NAME@package`."""
    for word in reversed(package.split(".") if package else []):
        node = {word: node}
    return node


def _over(base: Tree, own: Tree) -> Tree:
    """`own` over `base`, mapping by mapping, as Hydra merges them."""
    both = {k: _over(base[k], v) for k, v in own.items() if isinstance(v, dict) and isinstance(base.get(k), dict)}
    return {**base, **own, **both}


@cache
def default(group: str) -> str:
    """What `config.yaml` chooses of a group; "" where that is not one choice."""
    chosen = yaml.safe_load((conf_dir() / "config.yaml").read_text(encoding="utf-8"))["defaults"]
    return next((str(line[group]) for line in chosen if isinstance(line, dict) and group in line), "")


def choices(group: str, fits: Callable[[Tree], bool]) -> list[str]:
    """The choices of a group whose node fits, the default first."""
    return [name for name, node in nodes(group).items() if fits(node)]


def one(group: str, fits: Callable[[Tree], bool], like: str = "") -> str:
    """The default choice of a group where it fits, else the one that is named most like `like`; "" where none fits."""
    found = choices(group, fits)
    return found[0] if found and found[0] == default(group) else next(iter(nearest(like, found)), "")

"""Rules of optional packages: what a config needs and is not installed is told before any data are read."""

from __future__ import annotations

import importlib.util
from collections.abc import Iterator, Mapping

from multimodal_lab.config import kind_facts
from multimodal_lab.config.facts import constant, fact
from multimodal_lab.config.problem import Problem
from multimodal_lab.config.rules.wiring import Tree, target
from multimodal_lab.text import install_command


def packages(tree: Tree) -> Iterator[Problem]:
    """Streams whose kind, sources and trackers whose class, and figures that need a package (`requires`) have it.

    `requires` is {package: extra}.
    """
    for name, node in tree["modality"].items():
        requires = kind_facts.fact(str(node.get("kind", "image")), "requires")
        yield from absent_packages(f"modality.{name}.kind", node.get("kind"), requires or {})
    for key, node in _sources(tree["data"].get("source") or {}, "data.source"):
        yield from absent_packages(f"{key}._target_", target(node), fact(target(node), "requires", {}))
    for name, node in (tree.get("log") or {}).items():
        if isinstance(node, dict):
            yield from absent_packages("log", name, fact(target(node), "requires", {}))
    needs = constant("multimodal_lab.report.figures", "REQUIRES")
    for i, figure in enumerate(tree.get("figures") or []):
        yield from absent_packages(f"figures.{i}", figure, needs.get(figure, {}))


def _sources(node: Tree, key: str) -> Iterator[tuple[str, Tree]]:
    """A source, and those that it is made of."""
    yield key, node
    for name, member in (node.get("sources") or {}).items():
        inner = isinstance(member.get("source"), dict)
        yield from _sources(member["source"] if inner else member, f"{key}.sources.{name}{'.source' * inner}")


def absent_packages(key: str, value: object, requires: Mapping[str, str]) -> Iterator[Problem]:
    """A problem for each of {package: extra} that is not installed."""
    for package, extra in requires.items():
        if importlib.util.find_spec(package) is None:
            yield Problem(key, value, f"needs the package {package}, which is not installed: {install_command(extra)}")


EXTRA_RULES = (packages,)

"""Facts that the kinds of data declare, read from source without importing them."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from functools import cache
from typing import Any

from multimodal_lab.config.annotations import Field, parse, problems
from multimodal_lab.config.problem import Problem, not_one_of
from multimodal_lab.config.signature import Module, SourceError, definition, lookup, module_named
from multimodal_lab.data import kinds

CONTRACT = f"{kinds.BASE}.Kind"


def fact(kind: str, name: str) -> Any:
    """A fact of a kind, its own or inherited; None where the kind is unknown or its source does not tell."""
    path = kinds.built_in().get(kind) or kinds.paths().get(kind)
    try:
        return None if path is None else ast.literal_eval(_declared(path)[name])
    except (KeyError, ValueError, SourceError):
        return None


def kind_problems(modality: Any) -> Iterator[Problem]:
    """Kinds that are not there, are there twice, lead nowhere or declare what can't be."""
    for name, node in modality.items() if isinstance(modality, dict) else ():
        kind = node.get("kind") if isinstance(node, dict) else None
        # The entry points of all packages take a moment to read: only a kind that is none of ours needs them.
        if isinstance(kind, str) and kind not in kinds.built_in():
            yield from _problems(f"modality.{name}.kind", kind)


def _problems(key: str, kind: str) -> Iterator[Problem]:
    try:
        found = kinds.paths()
    except kinds.KindError as error:
        yield Problem(key, kind, str(error))
        return
    if kind not in found:
        yield not_one_of(key, kind, list(found))
        return
    try:
        declared = _declared(found[kind])
    except SourceError as error:
        yield Problem(key, kind, f"the entry point {kind} = {found[kind]} of {kinds.GROUP} leads nowhere: {error}")
        return
    for name, expect in _contract().items():
        for said in _wrong(name, declared, expect):
            yield Problem(key, kind, f"{found[kind]} declares {said}")


def _wrong(name: str, declared: dict[str, ast.expr], expect: Field) -> Iterator[str]:
    if name not in declared:
        return
    try:
        value = ast.literal_eval(declared[name])
    except ValueError:
        yield f"{name} = {ast.unparse(declared[name])}, expected {expect.text}, written as a plain value"
        return
    plain = list(value) if isinstance(value, tuple) else value
    if any(problems(expect, plain, name)):
        yield f"{name} = {value!r}, expected {expect.text}"


@cache
def _contract() -> dict[str, Field]:
    """Every fact of a kind and what it may be."""
    module, node = definition(CONTRACT)
    assert isinstance(node, ast.ClassDef)
    found = {}
    for s in node.body:
        match s:
            case ast.AnnAssign(target=ast.Name(id=name), annotation=ast.Subscript(slice=inner)):
                found[name] = parse(inner, module)
    return found


@cache
def _declared(path: str) -> dict[str, ast.expr]:
    """{name: value} of the class attributes of `module:Class`, those of its bases first."""
    module, node = definition(path.replace(":", "."))
    if not isinstance(node, ast.ClassDef):
        raise SourceError(f"{path} is no class")
    return _attributes(module, node)


def _attributes(module: Module, node: ast.ClassDef) -> dict[str, ast.expr]:
    found: dict[str, ast.expr] = {}
    for base in reversed(node.bases):
        if isinstance(base, ast.Name) and (above := _base(module, base.id)):
            found |= _attributes(*above)
    for s in node.body:
        match s:
            case ast.Assign(targets=[ast.Name(id=name)], value=value):
                found[name] = value
            case ast.AnnAssign(target=ast.Name(id=name), value=ast.expr() as value):
                found[name] = value
    return found


def _base(module: Module, name: str) -> tuple[Module, ast.ClassDef] | None:
    """The class that `name` is in `module`, also one of another package, such as ours in a package of a user."""
    try:
        source, original = module.imports.get(name, (module.name, name))
        found = lookup(module_named(source), original)
    except SourceError:
        return None
    return (found[0], found[1]) if found and isinstance(found[1], ast.ClassDef) else None

"""Facts that a component declares (class attributes or module constants), read from source without importing it.

Nothing is imported to read them, so that a config is checked before anything heavy is. A component that states nothing is
refused nothing. At run time the same facts are plain attributes of the class (of a function: of its module).
"""

from __future__ import annotations

import ast
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from typing import Any

from multimodal_lab.config.signature import Module, SourceError, definition, is_bare, lookup, module_named, signature

WAYS = ("max", "min", None)


class FactError(ValueError):
    """A component states a fact of the wrong type: its file, the attribute, what was found, what was expected."""


@dataclass(frozen=True)
class Fact:
    """What a value may be. by_argument: it may also be `{argument: {value: fact, ...: fact of any other value}}`."""

    text: str
    fits: Callable[[object], bool]
    by_argument: bool = False


def is_names(value: object) -> bool:
    """A tuple or list of words."""
    return isinstance(value, tuple | list) and all(isinstance(v, str) for v in value)


def is_flag(value: object) -> bool:
    """True or False."""
    return isinstance(value, bool)


def one_of(*words: str) -> Fact:
    """A fact that is one of these words."""
    return Fact(f"one of {', '.join(words)}", lambda v: v in words)


NAMES = Fact("a tuple of names, such as ('fused',) or ()", is_names)
FLAG = Fact("True or False", is_flag)
TEXT = Fact("text", lambda v: isinstance(v, str))
WORDS = Fact("a dict of text, such as {'accuracy': 'accuracy'}",
             lambda v: isinstance(v, dict) and is_names([*v, *v.values()]))  # fmt: skip
SCORES = Fact("a dict such as {'accuracy': 'max', 'loss': 'min', 'n': None}",
              lambda v: isinstance(v, dict) and is_names([*v]) and all(w in WAYS for w in v.values()))  # fmt: skip
COUNT = Fact("an integer >= 1", lambda v: isinstance(v, int) and not is_flag(v) and v >= 1, by_argument=True)
SWITCH = Fact("True or False", is_flag, by_argument=True)
PARTS = Fact(NAMES.text, is_names, by_argument=True)
RELATED = {"relations": WORDS}  # see `multimodal_lab.bounds`
# Stage: the facts that its components may state. docs/extend explains them, a page a stage, with an example.
STAGES: dict[str, dict[str, Fact]] = {
    "backbone": {"kinds": NAMES, "steps": FLAG, "wavelengths": FLAG, "sound": FLAG, "grid": FLAG, "initial": WORDS,
                 **RELATED},
    "fusion": {"emits": NAMES, "acts_on": NAMES, "keeps_grid": NAMES, **RELATED},
    "head": {
        "takes": one_of("all", "streams", "fused", "first"), "by_name": FLAG, "own_weights": SWITCH, "gives": NAMES,
        "reads_heads": NAMES, "pairs": SWITCH, "per_pixel": FLAG, "over_time": NAMES,
        "names": WORDS, "reads_inputs": NAMES, **RELATED,
    },
    "loss": {
        "views": COUNT, "pairs": SWITCH, "joins": SWITCH, "leaves_out": PARTS, "samples": COUNT, "weights": NAMES,
        "targets": NAMES, "terms": NAMES, "squared_error": FLAG, "below_zero": NAMES, "as_head": NAMES,
        "as_target": PARTS,
    },
    "evaluate": {
        "scores": SCORES, "either_way": NAMES, "by": one_of("label", "pair", "name"), "prefix": TEXT, "shown": WORDS,
        "title": TEXT, "reads": one_of("embeddings", "heads"),
        "stand_in": FLAG, "beside_chance": FLAG, "predicts": FLAG, "also": NAMES, "adds": NAMES,
        "names": WORDS, "splits": PARTS,
    },
    "op": {"kinds": NAMES, "ranged": FLAG, "adds_targets": WORDS, "steps": FLAG, "names": WORDS, **RELATED},
    "adapt": {"freezes": PARTS, "freezes_argument": TEXT, "runs_argument": TEXT, "after_gradient": FLAG},
    "system": {"parts": NAMES},
    "log": {"requires": WORDS},
    "launcher": {"requires": WORDS, "remote": SWITCH},
}  # fmt: skip
FACTS = {name: known for stage in STAGES.values() for name, known in stage.items()}


def fact(target: str, name: str, default: Any = None, arguments: Mapping[str, Any] | None = None) -> Any:
    """What `target` states as `name`, `default` where it states nothing or its source can't be read.

    arguments: what the config gives it; what it leaves out is looked up in the signature. `FactError` for a wrong type.
    """
    found = declared(target, name)
    if found is None:
        return default
    if FACTS[name].by_argument and isinstance(found.value, dict):
        return _chosen(target, found.value, arguments or {}, default)
    return found.value


def problems(target: str, stage: str) -> Iterator[FactError]:
    """Every fact of a component that has the wrong type."""
    for name in STAGES[stage]:
        try:
            declared(target, name)
        except FactError as error:
            yield error


@dataclass(frozen=True)
class Declared:
    """A value as written in a source file."""

    value: Any


@cache
def declared(target: str, name: str) -> Declared | None:
    """The value of a fact as its component, or a base class of it, states it; None where it is not stated."""
    try:
        module, node = definition(target)
    except SourceError:
        return None
    found = _of_class(module, node, name) if isinstance(node, ast.ClassDef) else _constant(module, name)
    if found is None:
        return None
    owner, expression = found
    value = _literal(owner, expression, name)
    known = FACTS[name]
    inner = [v for by in value.values() for v in by.values()] if _by_argument(known, value) else [value]
    if not all(map(known.fits, inner)):
        raise _wrong(owner, expression, name, value)
    return Declared(value)


def other_values(target: str, name: str, fits: Callable[[Any], bool]) -> dict[str, list[Any]]:
    """{argument: its values, `...` for any that is not named} for which a fact would fit; {} where it depends on none."""
    found = declared(target, name)
    if found is None or not _by_argument(FACTS[name], found.value):
        return {}
    return {argument: [v for v, one in by.items() if fits(one)] for argument, by in found.value.items()}


def constant(module: str, name: str) -> Any:
    """The literal that a module of this package calls `name`."""
    owner = module_named(module)
    expression = owner.definitions[name]
    assert isinstance(expression, ast.expr)
    return ast.literal_eval(expression)


def _of_class(module: Module, node: ast.ClassDef, name: str) -> tuple[Module, ast.expr] | None:
    """What the class, else the first of its bases that does, assigns to `name`; bases of other packages are not read."""
    for statement in node.body:
        match statement:
            case ast.Assign(targets=[ast.Name(id=found)], value=value) if found == name:
                return module, value
            case ast.AnnAssign(target=ast.Name(id=found), value=ast.expr() as value) if found == name:
                return module, value
    for base in node.bases:
        owner = None if is_bare(base) else lookup(module, ast.unparse(base).partition("[")[0])
        if owner and isinstance(owner[1], ast.ClassDef) and (inherited := _of_class(owner[0], owner[1], name)):
            return inherited
    return None


def _constant(module: Module, name: str) -> tuple[Module, ast.expr] | None:
    """A constant beside a function counts for every function of its file: one that differs has a file of its own."""
    value = module.definitions.get(name)
    return (module, value) if isinstance(value, ast.expr) else None


def _literal(module: Module, expression: ast.expr, name: str) -> Any:
    match expression:
        case ast.Name(id=word):
            found = lookup(module, word)
        case ast.Attribute(value=ast.Name(id=of), attr=word) if of in module.imports:  # such as files.REQUIRES
            found = lookup(module_named(".".join(module.imports[of])), word)
        case _:
            found = None
    if found:
        module, expression = found[0], found[1] if isinstance(found[1], ast.expr) else expression
    try:
        return ast.literal_eval(expression)
    except ValueError:
        raise _wrong(module, expression, name, ast.unparse(expression), "written out, ") from None


def _wrong(module: Module, at: ast.expr, name: str, found: object, how: str = "") -> FactError:
    shown = found if how else repr(found)
    return FactError(f"{module.path}:{at.lineno}: {name} = {shown}: expected {how}{FACTS[name].text}")


def _by_argument(known: Fact, value: object) -> bool:
    return known.by_argument and isinstance(value, dict) and all(isinstance(by, dict) for by in value.values())


def _chosen(target: str, value: Mapping[str, Mapping[Any, Any]], arguments: Mapping[str, Any], default: Any) -> Any:
    """The fact of the first argument whose value it is stated for."""
    for argument, by in value.items():
        given = arguments.get(argument, default_of(target, argument))
        if isinstance(given, str | int | float | None) and given in by:
            return by[given]
        if ... in by:
            return by[...]
    return default


def default_of(target: str, argument: str) -> Any:
    """The plain default of an argument; None where it has none."""
    known = signature(target).parameters.get(argument)
    written = known.default if known else None
    return written.value if isinstance(written, ast.Constant) else None

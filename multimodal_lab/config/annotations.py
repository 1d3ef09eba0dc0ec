"""Check a config value against a type annotation, with the sentence for a value that does not fit."""

from __future__ import annotations

import ast
import math
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from difflib import get_close_matches
from functools import cache

from multimodal_lab import bounds
from multimodal_lab.config.problem import MISSING, Problem, Unknown, is_target, join, show, unknown_key
from multimodal_lab.config.signature import Module, Parameter, Signature, is_dataclass, lookup, of_class
from multimodal_lab.runs.aliases import renamed_value
from multimodal_lab.text import distinct, nearest


@dataclass(frozen=True)
class Field:
    """The values an annotation allows: `fits` looks at the value itself, `items` and `fields` at what it holds."""

    text: str
    fits: Callable[[object], bool]
    choices: tuple[str, ...] = ()
    clamp: Callable[[float], float | None] = lambda _: None
    items: tuple[Field, ...] = ()  # one for all items, or one for each
    fields: Signature | None = None
    options: tuple[Field, ...] = ()

    @property
    def is_list(self) -> bool:
        """A list of any number of items of one kind."""
        return len(self.items) == 1 and self.text.startswith("a list of ")

    def near(self, value: object) -> str:
        """The nearest valid value, as it would be typed; "" if there is none to name."""
        every = (self, *self.options)
        if isinstance(value, int | float) and is_number(value):
            clamped = [option.clamp(value) for option in every]
            if inside := [c for c in clamped if c is not None]:
                return f"{inside[0]:g}"
        choices = [choice for option in every for choice in option.choices]
        if any(o.is_list and o.items[0].fits(value) for o in every) and not get_close_matches(str(value), choices):
            return f"[{show(value)}]"
        return nearest(value, choices)[0] if choices else ""


def problems(expect: Field, value: object, key: str) -> Iterator[Problem]:
    """Everything in `value`, found at `key`, that `expect` does not allow."""
    if isinstance(value, Unknown) or value == MISSING:
        return
    if expect.options:
        yield from _union_problems(expect, value, key)
    elif not expect.fits(value):
        near = renamed_value(key, value) or expect.near(value)
        yield Problem(key, value, f"expected {expect.text}", _typed(key, near))
    elif isinstance(value, list) and expect.items:
        if len(expect.items) > 1 and len(value) != len(expect.items):
            yield Problem(key, value, f"expected {len(expect.items)} values, {expect.text}, found {len(value)}")
            return
        if expect.items == (TEXT,) and len(distinct(value)) < len(value):
            yield Problem(
                key, value, "one name stands there twice; expected each once", f"{key}={show(distinct(value))}"
            )
        each = expect.items if len(expect.items) > 1 else expect.items * len(value)
        for i, (item, v) in enumerate(zip(each, value)):
            yield from problems(item, v, f"{key}.{i}")
    elif isinstance(value, dict) and "_target_" not in value:
        for k, v in value.items() if expect.items else ():
            yield from problems(expect.items[0], v, f"{key}.{k}")
        if expect.fields:
            yield from field_problems(expect.fields, value, key)


def field_problems(known: Signature, node: dict[str, object], key: str) -> Iterator[Problem]:
    """Unknown, missing and wrong keys of a plain node whose keys are the fields of a dataclass."""
    yield from value_problems(known.parameters, node, key)
    for k in (k for k in node if k not in known.parameters):
        yield unknown_key(join(key, str(k)), node[k], list(known.parameters), key or "the config")
    for k in known.parameters.keys() - node.keys():
        if known.parameters[k].required:
            yield Problem(join(key, k), None, f"missing; expected {expected(known.parameters[k]).text}")


def value_problems(known: Mapping[str, Parameter], node: Mapping[str, object], key: str) -> Iterator[Problem]:
    """Wrong values in a node of the parameters that are `known`."""
    before = f"{key}." if key else ""
    for k in (k for k in node if k in known):
        yield from problems(expected(known[k]), node[k], f"{before}{k}")


def expected(parameter: Parameter) -> Field:
    """What the annotation of a parameter allows; a default of None is allowed besides."""
    found = parse(parameter.annotation, parameter.module)
    null = isinstance(parameter.default, ast.Constant) and parameter.default.value is None
    return _union([found, NULL]) if null and found is not ANYTHING else found


def parse(node: ast.expr | None, module: Module) -> Field:
    """An annotation, its names looked up in `module`, as an `Field`."""
    match node:
        case None:
            return ANYTHING
        case ast.Constant(value=None):
            return NULL
        case ast.Constant(value=str(text)):
            return parse(ast.parse(text, mode="eval").body, module)
        case ast.BinOp(left=left, op=ast.BitOr(), right=right):
            return _union([parse(left, module), parse(right, module)])
        case ast.Subscript(value=ast.Name(id=name) | ast.Attribute(attr=name), slice=inner):
            return _generic(name, inner.elts if isinstance(inner, ast.Tuple) else [inner], module)
        case ast.Name(id=name) | ast.Attribute(attr=name):
            return _named(name, module)
    return ANYTHING


def is_number(value: object) -> bool:
    """A finite int or float; a bool is neither."""
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)


def is_whole(value: object) -> bool:
    """An int that is not a bool."""
    return isinstance(value, int) and not isinstance(value, bool)


ANYTHING = Field("anything", lambda _: True)
NULL = Field("null", lambda v: v is None, ("null",))
WHOLE = Field("an integer", is_whole)
NUMBER = Field("a number", is_number)
TEXT = Field("text", lambda v: isinstance(v, str))
FLAG = Field("true or false", lambda v: isinstance(v, bool), ("true", "false"))
NODE = Field("a node with a _target_", is_target)
TENSOR = Field("a path such as out.projection", lambda _: False)  # no config holds a tensor
LIST = Field("a list", lambda v: isinstance(v, list))
DICT = Field("a dict", lambda v: isinstance(v, dict))
_PLAIN = {"int": WHOLE, "float": NUMBER, "str": TEXT, "Path": TEXT, "bool": FLAG, "None": NULL}
_PLAIN |= {"Callable": NODE, "Module": NODE, "Tensor": TENSOR}
_PLAIN |= {"list": LIST, "tuple": LIST, "set": LIST, "Sequence": LIST, "Iterable": LIST, "dict": DICT, "Mapping": DICT}


def _named(name: str, module: Module) -> Field:
    if name in _PLAIN and name not in module.definitions:
        return _PLAIN[name]
    if module.imports.get(name, ("",))[0] == bounds.__name__ and hasattr(bounds, name):
        base, interval = getattr(bounds, name).__origin__, getattr(bounds, name).__metadata__[0]
        return _ranged(_PLAIN[base.__name__], interval)
    found = lookup(module, name)
    if found is None:
        return ANYTHING
    owner, definition = found
    if isinstance(definition, ast.ClassDef):
        fields = of_class(owner, definition) if is_dataclass(definition) else None
        return Field("a dict", lambda v: isinstance(v, dict), fields=fields) if fields else NODE
    return parse(definition, owner) if isinstance(definition, ast.expr) else ANYTHING


@cache
def _ranged(plain: Field, interval: bounds.Range) -> Field:
    def clamp(value: float) -> float | None:
        inside = min(max(value, interval.low), interval.high)
        return inside if inside in interval else None

    return replace(plain, text=f"{plain.text} {interval}", fits=lambda v: plain.fits(v) and v in interval, clamp=clamp)  # type: ignore[operator]


def _generic(name: str, inner: list[ast.expr], module: Module) -> Field:
    if name == "Literal":
        return _literal(inner)
    if name == "Annotated":
        return _annotated(inner, module)
    if name in {"Optional", "Union"}:
        return _union([parse(i, module) for i in inner] + ([NULL] if name == "Optional" else []))
    if name in {"list", "Sequence", "Iterable", "set"} or (name == "tuple" and ast.unparse(inner[-1]) == "..."):
        item = parse(inner[0], module)
        return Field(f"a list of {item.text}", LIST.fits, items=(item,))
    if name == "tuple":
        items = tuple(parse(i, module) for i in inner)
        return Field(f"[{', '.join(i.text for i in items)}]", LIST.fits, items=items)
    if name in {"dict", "Mapping"}:
        item = parse(inner[-1], module)
        return Field(f"a dict of {item.text}", DICT.fits, items=(item,))
    return _named(name, module)


def _literal(inner: list[ast.expr]) -> Field:
    values = [ast.literal_eval(i) for i in inner]
    words = tuple(map(show, values))
    return Field(f"one of {', '.join(words)}", lambda v: any(v == w and type(v) is type(w) for w in values), words)


def _annotated(inner: list[ast.expr], module: Module) -> Field:
    plain = parse(inner[0], module)
    call = inner[1] if len(inner) > 1 else None
    if isinstance(call, ast.Call) and ast.unparse(call.func).endswith("Range"):
        numbers = {k.arg or "": ast.literal_eval(k.value) for k in call.keywords}
        return _ranged(plain, bounds.Range(*map(ast.literal_eval, call.args), **numbers))
    return plain


def _union(options: list[Field]) -> Field:
    flat = list({o.text: o for option in options for o in (option.options or (option,))}.values())
    if any(o is ANYTHING for o in flat):
        return ANYTHING
    return Field(" or ".join(o.text for o in flat), lambda v: any(o.fits(v) for o in flat), options=tuple(flat))


def _union_problems(expect: Field, value: object, key: str) -> Iterator[Problem]:
    found = [list(problems(option, value, key)) for option in expect.options if option.fits(value)]
    if not found:
        yield Problem(key, value, f"expected {expect.text}", _typed(key, expect.near(value)))
    elif all(found):
        yield from found[0]


def _typed(key: str, near: str) -> str:
    return f"{key}={near}" if near else ""

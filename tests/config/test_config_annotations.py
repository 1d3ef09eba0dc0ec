import pytest

from multimodal_lab.config.annotations import expected, problems
from multimodal_lab.config.problem import UNKNOWN, show
from multimodal_lab.config.signature import Module, Parameter

SOURCE = """
from __future__ import annotations
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal, Optional, Union
import numpy as np
from torch import Tensor, nn
from multimodal_lab.bounds import Count, Fraction, Natural, NonNegative, Positive, Range

Kind = Literal["linear", "mlp"]

class Op: ...

@dataclass
class Box:
    low: float
    high: float = 1.0

def f(
    whole: int, number: float, text: str, flag: bool, path: Path, count: Count, natural: Natural, positive: Positive,
    nonnegative: NonNegative, fraction: Fraction, kind: Kind, maybe: str | None, old: Optional[int],
    either: Union[int, str], words: list[str], pair: tuple[float, float], many: tuple[int, ...],
    table: dict[str, Positive], nested: list[list[int]],
    op: Op, ops: dict[str, Op], call: Callable[..., int], box: Box, anything: Any, untyped, array: np.ndarray,
    knob: Positive | Tensor, module: nn.Module | None, odd: Annotated[int, Range(low=1, high=9)], quoted: "Count",
    level: Literal[1, 2, None], plain: Sequence, null: int = None,
): ...
"""


@pytest.fixture(scope="module")
def parameters(tmp_path_factory):
    path = tmp_path_factory.mktemp("m") / "m.py"
    path.write_text(SOURCE)
    module = Module("m", path)
    args = module.definitions["f"].args
    defaults = [None] * (len(args.args) - len(args.defaults)) + args.defaults
    return {a.arg: Parameter(a.arg, a.annotation, d, module) for a, d in zip(args.args, defaults)}


NODE = {"_target_": "x"}
GOOD = {
    "whole": [0, -3, 10**12],
    "number": [0, 1, -0.5, 1e-9],
    "text": ["", "a"],
    "flag": [True, False],
    "path": ["/a"],
    "count": [1, 7],
    "natural": [0],
    "positive": [1e-12, 3],
    "nonnegative": [0, 0.0],
    "fraction": [0, 1, 0.5],
    "kind": ["linear", "mlp"],
    "maybe": ["a", None],
    "old": [1, None],
    "either": [1, "a"],
    "words": [[], ["a", "b"]],
    "pair": [[0, 1.5]],
    "many": [[], [1], [1, 2, 3]],
    "table": [{}, {"a": 0.1}],
    "nested": [[[1], [2, 3]]],
    "op": [NODE],
    "ops": [{}, {"a": NODE}],
    "call": [NODE],
    "box": [{"low": 0}, {"low": 0, "high": 2}, NODE],
    "anything": [None, 1, "a", [1], {}],
    "untyped": [None, 1, "a", [1], {}],
    "array": [[1, 2]],
    "knob": [0.1],
    "module": [None, NODE],
    "odd": [1, 9],
    "quoted": [1],
    "level": [1, None],
    "plain": [[], [1, "a"]],
    "null": [None, 3],
}
INF, NAN = float("inf"), float("nan")
BAD = {
    "whole": [1.0, "1", True, None, []],
    "number": ["abc", True, None, INF, NAN, {}],
    "text": [1, None, ["a"]],
    "flag": [0, 1, "true", None],
    "path": [1],
    "count": [0, -1, 1.5, True],
    "natural": [-1],
    "positive": [0, -1, INF],
    "nonnegative": [-1e-9],
    "fraction": [1.01, -0.1, NAN],
    "kind": ["Linear", 1, None],
    "maybe": [1],
    "old": ["a", 1.5],
    "either": [1.5, None],
    "words": ["a", ["a", 1], {}],
    "pair": [[1], [1, 2, 3], [1, "a"], 1],
    "many": [[1, "a"], 1],
    "table": [{"a": 0}, [], {"a": "b"}],
    "nested": [[1], [["a"]]],
    "op": [{}, "a", None, 1],
    "ops": [{"a": {}}, []],
    "call": ["a", {}],
    "box": [{}, {"low": "a"}, {"low": 0, "hihg": 1}, 1],
    "knob": [0, -1],
    "module": [1, {}],
    "odd": [0, 10],
    "quoted": [0],
    "level": [3, True, "1"],
    "plain": [1],
    "null": ["a"],
}


@pytest.mark.parametrize(("name", "value"), [(k, v) for k, values in GOOD.items() for v in values])
def test_what_an_annotation_allows(parameters, name, value):
    assert list(problems(expected(parameters[name]), value, name)) == []


@pytest.mark.parametrize(("name", "value"), [(k, v) for k, values in BAD.items() for v in values])
def test_what_an_annotation_refuses(parameters, name, value):
    found = list(problems(expected(parameters[name]), value, name))
    assert found
    assert all(p.key.split(".")[0] == name and p.expected for p in found)


def test_every_annotation_of_the_source_is_tried(parameters):
    assert set(GOOD) == set(parameters)


@pytest.mark.parametrize(
    ("name", "value", "sentence"),
    [
        ("count", 0, "count=0: expected an integer >= 1 (nearest: count=1)"),
        ("fraction", 1.5, "fraction=1.5: expected a number in [0, 1] (nearest: fraction=1)"),
        ("positive", 0, "positive=0: expected a number > 0"),
        ("kind", "liner", "kind=liner: expected one of linear, mlp (nearest: kind=linear)"),
        ("flag", "ture", "flag=ture: expected true or false (nearest: flag=true)"),
        ("maybe", 3, "maybe=3: expected text or null (nearest: maybe=null)"),
        ("table", {"a": -1}, "table.a=-1: expected a number > 0"),
        ("pair", [1], "pair=[1]: expected 2 values, [a number, a number], found 1"),
        ("box", {"low": 0, "hihg": 1}, "box.hihg=1: no such key; box has low, high (nearest: box.high)"),
    ],
)
def test_sentences(parameters, name, value, sentence):
    assert [str(p) for p in problems(expected(parameters[name]), value, name)] == [sentence]


def test_an_interpolation_and_a_missing_value_are_judged_elsewhere(parameters):
    assert list(problems(expected(parameters["count"]), UNKNOWN, "count")) == []
    assert list(problems(expected(parameters["count"]), "???", "count")) == []


def test_values_are_shown_as_they_are_typed():
    assert show({"a": [True, None, 1.5, "b"]}) == "{a: [true, null, 1.5, b]}"
    assert len(show("x" * 500)) == 78

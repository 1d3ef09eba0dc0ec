"""What a modality YAML says of a map: the class of each stored value, and the values that are none."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from typing import Any

import numpy as np

from multimodal_lab.data.kind import Kind
from multimodal_lab.data.source import DataError
from multimodal_lab.types import Stream

OF_MAP = ("names", "ignore")


def of_map(name: str, facts: dict[str, Any], kind: Kind) -> dict[str, Any]:
    """The classes of a map by the value that is stored, a list from 0 on, and the values that are none."""
    if not kind.pixelwise:
        if odd := [key for key in OF_MAP if facts.get(key) is not None and key not in kind.keys]:
            raise DataError(f"modality.{name}: {odd[0]} belongs to a map, this one is {facts.get('kind', Stream.kind)}")
        return {}
    if facts.get("role", "input") == "input":
        raise DataError(f"modality.{name}: a {facts['kind']} is what a head tells of every pixel; give it role: target")
    given = facts.get("names") or {}
    named = dict(given if isinstance(given, Mapping) else enumerate(given))
    if wrong := [k for k in named if not _is_number(k)]:
        raise DataError(
            f"modality.{name}.names: {wrong[0]!r} is no stored value, expected numbers, such as {{1: water, 2: forest}}"
        )
    names = {float(k): str(v) for k, v in named.items()}
    ignore = tuple(float(v) for v in facts.get("ignore") or ())
    if twice := [v for v, n in Counter(names.values()).items() if n > 1]:
        raise DataError(f"modality.{name}.names: {twice[0]!r} names two values, expected each class once")
    if both := [v for v in names if v in ignore]:
        raise DataError(
            f"modality.{name}: {both[0]:g} is in names ({names[both[0]]}) and in ignore, expected in one of them"
        )
    if len(names) == 1:
        raise DataError(
            f"modality.{name}.names: one class, {next(iter(names.values()))!r}; expected two or more, or none"
        )
    return {"names": names, "ignore": ignore}


def _is_number(value: object) -> bool:
    try:
        return bool(np.isfinite(float(str(value))))
    except ValueError:
        return False

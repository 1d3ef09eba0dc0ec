"""The form of a data record: what each of its entries is, so that one of another type is refused before it is used."""

from __future__ import annotations

import types
from collections.abc import Mapping
from typing import Any, get_args, get_origin

RECORD: dict[str, Any] = {
    "labels": list[str],
    "split": dict[str, Any],
    "classes": dict[str, list[str]],
    "several": list[str],
    "numbers": dict[str, list[list[float | None]]],  # null is NaN, as of a band that was nowhere measured
    "counts": dict[str, dict[str, dict[str, int]]],
    "bad": dict[str, str],
    "notes": list[str],
    "splits": dict[str, list[str]],
}
STREAM: dict[str, Any] = {
    "kind": str,
    "target": bool,
    "layout": dict[str, Any],
    "resize": dict[str, Any],
    "frames": dict[str, Any],
    "scaling": dict[str, Any],
    "pca": dict[str, Any],
    "marks": dict[str, Any],
    "missing": dict[str, float],
    "ranges": dict[str, Any],
    "tokenizer": str,
    **dict.fromkeys(("mean", "std", "fill"), list[float | None]),
    **dict.fromkeys(("length", "size", "steps", "vocab"), int | None),
    "unit": float,
}
CHOICES: dict[str, Any] = {"scaling": dict[str, Any], "resize": dict[str, Any], "background": str}
SCALING: dict[str, Any] = {"policy": str}
SPLIT: dict[str, Any] = {"by": str | list[str] | None, "stratify": str | None, "column": str | None}
LAYOUT: dict[str, Any] = {
    "shape": list[int],
    "dtype": str | None,
    "full_scale": float,
    "masked": bool,
    "rate": float | None,
}


def unlike(record: Mapping[str, Any]) -> str:
    """The first entry that has another form than in any record, and what it should be; "" for none. One that lacks is none."""
    chosen = record["choices"]
    said = _of(record, RECORD, "") or _of(chosen, CHOICES, "choices.")
    said = said or _of(chosen.get("scaling", {}), SCALING, "choices.scaling.")
    said = said or _of(record.get("split", {}), SPLIT, "split.")
    for name, own in record["streams"].items():
        where = f"streams.{name}"
        said = said or _of(own, STREAM, f"{where}.") or _of(own.get("layout", {}), LAYOUT, f"{where}.layout.")
    return said


def fits(value: Any, form: Any) -> bool:
    """Whether a JSON value is of a type: a plain one, list[…], dict[str, …], one of several; a whole number is a float, too."""
    if form is Any:
        return True
    if isinstance(form, types.UnionType):
        return any(fits(value, one) for one in get_args(form))
    if (origin := get_origin(form)) is list:
        return isinstance(value, list) and all(fits(v, get_args(form)[0]) for v in value)
    if origin is dict:
        return isinstance(value, dict) and all(fits(v, get_args(form)[1]) for v in value.values())
    if form in (int, float):
        return isinstance(value, (int, float) if form is float else int) and not isinstance(value, bool)
    return isinstance(value, form)


def entry_unlike(found: Mapping[str, Any], forms: Mapping[str, Any]) -> str:
    """The first of the entries `forms` that lacks, or has another form, and what it should be; "" for none."""
    lacking = next((key for key in forms if key not in found), None)
    return f"{lacking} is missing, expected {_named(forms[lacking])}" if lacking is not None else _of(found, forms, "")


def _of(found: Mapping[str, Any], forms: Mapping[str, Any], where: str) -> str:
    wrong = next((key for key, form in forms.items() if key in found and not fits(found[key], form)), None)
    return "" if wrong is None else f"{where}{wrong} is {str(found[wrong])[:40]!r}, expected {_named(forms[wrong])}"


def _named(form: Any) -> str:
    return form.__name__ if isinstance(form, type) and get_origin(form) is None else str(form).replace("typing.", "")

"""Resolve a head's input name and its number of classes, with the nearest valid name in the error."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from multimodal_lab.text import expected_one_of


def known(what: str, name: str, names: Iterable[str]) -> str:
    """`name` if it is one of `names`, else a ValueError that lists them and names the nearest."""
    names = list(names)
    if name in names:
        return name
    raise ValueError(f"{what}={name!r} is not there; {expected_one_of(name, names)}")


def reading(head: str, dims: Mapping[str, int], input: str | None) -> str:
    """The name to read: `input`, else fused, else the only stream; ValueError with several streams and no fused."""
    if input is not None:
        return known(f"head={head}: input", input, dims)
    if "fused" in dims:
        return "fused"
    if len(dims) == 1:
        return next(iter(dims))
    raise ValueError(
        f"head={head} reads one vector, and there are {len(dims)} streams ({', '.join(dims)}) and no fused: "
        "choose a fusion that gives it, set input to one stream, or use a head that reads every stream"
    )


def count(head: str, classes: Mapping[str, int], label: str) -> int:
    """How many classes `label` has in the data; ValueError for a label that the data lack, or that is a number."""
    if not (found := classes[known(f"head={head}: label", label, classes)]):
        raise ValueError(f"head={head}: label={label} is a number, which has no classes; use head=regressor")
    return found

"""What the data say of themselves: streams, labels, samples, groups, parts. Plain facts, made by `look`; no torch."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

Kind = Literal["class", "several", "number"]


@dataclass(frozen=True)
class Input:
    """One stream of the modality. node: its entry of the modality, as composed. shape: what a sample of it is: the sides of an
    image, the steps of a series, both of a video; () of a vector or a text. rate: its steps in Hz, 0 where nobody says it.
    wavelengths: whether every band has one. numbers: values a sample."""

    name: str
    kind: str
    node: Mapping[str, Any]
    timed: bool = False
    rate: float = 0.0
    bands: tuple[str, ...] = ()
    wavelengths: bool = False
    shape: tuple[int, ...] = ()
    numbers: int = 0


@dataclass(frozen=True)
class Label:
    """One label. classes: how many; 0 of a number. notes: what is odd about it and refused by nobody, a sentence each."""

    name: str
    kind: Kind
    classes: int = 0
    notes: tuple[str, ...] = ()


@dataclass(frozen=True)
class Facts:
    """All of it. split: overrides of `data.split`, nested, that follow from the data; stacked: the node of the stream that
    holds the bands of all inputs, None where they can't be stacked, for the reason `apart`. groups: what is held out as a
    whole, counted, and the column or columns that make it, None where each sample is one. side: of images, where it was derived.
    beside: columns that subgroups are told by and no head learns."""

    inputs: tuple[Input, ...]
    labels: tuple[Label, ...]
    samples: int
    train: int
    test: int
    groups: int
    by: str | list[str] | None
    official: bool
    split: Mapping[str, Any]
    stacked: Mapping[str, Any] | None
    apart: str
    side: int | None = None
    beside: tuple[str, ...] = ()

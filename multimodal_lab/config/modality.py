"""The schema of a modality: one `StreamConfig` a stream."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from multimodal_lab.bounds import Count, Margin, Natural, Positive


@dataclass
class Take:
    """One rule that takes bands: every n-th, regions in nm, the nearest to wavelengths in nm, places."""

    every: Count | None = None
    nm: list[tuple[float, float]] | None = None
    nearest: list[float] | None = None
    index: list[Natural] | None = None


@dataclass
class Moments:
    """What a stream is normalised by: a number, or one a band, in the units that scaling makes."""

    mean: float | list[float]
    std: Positive | list[Positive]


@dataclass
class StreamConfig:
    """One entry of a modality: which stored bands or field it is cut from, and as what."""

    kind: str = "image"  # one of `data.kinds`, see `kind_problems`
    bands: str | list[str] | list[Natural] | Take | None = None
    field: str | None = None
    pca: Count | None = None
    repeat: Count = 1
    role: Literal["input", "target"] = "input"
    vocab: Count | None = None
    length: Count | None = None
    names: list[str] | dict[str, str] | None = None  # of a map: the class of each stored value, a list from 0 on
    ignore: list[float] | None = None  # of a map: stored values that are no class
    tokens: str | None = None  # word, bpe, or the path of a tokenizer, see `rules.towers`
    steps: Count | None = None  # given, if null, it is a time axis
    rate: Positive | None = None
    longer: Literal["refuse", "cut"] = "refuse"
    size: Count | None = None
    resize: Literal["area", "bicubic", "none", "backbone"] | None = None
    resize_mode: Literal["pad", "stretch", "crop", "crop_floor"] | None = None
    crop_pct: Margin | None = None
    resize_stored: bool = False  # resize the stored whole numbers of 8 bits, before they are scaled
    normalise: Literal["train", "imagenet", "sat493m", "backbone"] | Moments | None = None
    white_level: Positive | None = None  # stored value that statistics of pictures take for 1

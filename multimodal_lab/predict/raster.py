"""A scene of any size: its bands, and how its rows are read."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

import numpy as np

from multimodal_lab.data.source import DataError
from multimodal_lab.text import spanned


@dataclass(frozen=True)
class Raster:
    """rows(first, end) gives (C, end - first, W) as stored. bands: their names, () where the file has none. nodata: the value of
    pixels that were not measured, as the file declares it. geo: TIFF tags that say where on the ground it lies, as
    `tifffile` writes them; () where the file doesn't tell, `nowhere` why not, where it tries to."""

    name: str
    height: int
    width: int
    count: int
    dtype: np.dtype
    rows: Callable[[int, int], np.ndarray]
    bands: tuple[str, ...] = ()
    nodata: float | int | None = None
    geo: tuple[tuple[Any, ...], ...] = field(default_factory=tuple)
    nowhere: str = ""


def places(raster: Raster, wanted: Sequence[str], given: Sequence[str] | Literal["run"] | None, key: str) -> list[int]:
    """Where the bands of a stream stand in a scene, by name. given: the names of the scene's bands where the file has none,
    or `run`: it holds those of the run, in their order. key: where they are given, for messages."""
    names: Sequence[str] = raster.bands if given is None else given
    if given == "run":
        names = wanted
    if not names:
        raise DataError(
            f"{raster.name} does not name its {raster.count} bands; name them in their order, {key}=[{','.join(wanted[:3])}…], "
            f"or say {key}=run where they are the run's own {len(wanted)}, in that order: {spanned(wanted, 'bands')}"
        )
    if len(names) != raster.count:
        raise DataError(
            f"{raster.name} has {raster.count} bands, and {key} names {len(names)}: {spanned(names, 'bands')}"
        )
    if lacking := [name for name in wanted if name not in names]:
        raise DataError(
            f"{raster.name} has no band {lacking[0]}, which the run was trained on ({spanned(wanted, 'bands')}); it has "
            f"{spanned(names, 'bands')}"
        )
    return [list(names).index(name) for name in wanted]

"""Write a map: a GeoTIFF of classes or numbers, its legend, and a preview."""

from __future__ import annotations

import json
import tempfile
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any
from xml.sax.saxutils import escape

import numpy as np
import tifffile

from multimodal_lab import files
from multimodal_lab.data.readers import nodata
from multimodal_lab.data.source import DataError
from multimodal_lab.report.palette import class_colour

TILE = 256  # pixels a side of a tile of the file
PREVIEW = 1200  # pixels of its longer side
Rows = Iterable[tuple[np.ndarray, np.ndarray]]
Colour = tuple[int, int, int]


def colours(count: int) -> list[Colour]:
    """The first `count` colours of classes, as every figure has them, in 0 to 255."""
    found = [class_colour(i) for i in range(count)]
    return [(round(red * 255), round(green * 255), round(blue * 255)) for red, green, blue in found]


def codes(classes: Mapping[float, str], ignored: Iterable[float]) -> tuple[np.ndarray, int]:
    """(K,) uint8 or uint16: the stored value of each class, and one that is none, for pixels without a class.

    `DataError` for values that no such file can hold.
    """
    values = list(classes)
    if any(v != int(v) or not 0 <= v < 65_535 for v in values):
        raise DataError(
            f"the map's classes are stored as {values[0]:g}, …: a file of classes holds whole numbers below 65535"
        )
    taken = {int(v) for v in values}
    dtype: type = np.uint8 if max(taken) < 255 else np.uint16
    free = [
        int(v) for v in (*ignored, 0, 255, 65_535) if v == int(v) and 0 <= v <= np.iinfo(dtype).max and v not in taken
    ]
    return np.array(values, dtype=dtype), free[0]


def write_classes(
    out: Path, rows: Rows, size: tuple[int, int], classes: Mapping[float, str], ignored: Iterable[float],
    geo: tuple[tuple[Any, ...], ...], probabilities: bool,
) -> dict[str, int]:  # fmt: skip
    """Write OUT (classes by their stored values, with a colour table), OUT.aux.xml (their names, for GDAL), OUT.json (the legend)
    and OUT.png; with `probabilities` OUT_probabilities.tif (H, W, K) float32. Returns pixels by class.

    Rows are spooled to temporary files beside OUT, and each file is there whole or not at all.
    """
    values, none = codes(classes, ignored)
    with tempfile.TemporaryDirectory(prefix=f".{out.name}.", dir=out.parent) as folder:
        ids = np.memmap(Path(folder) / "classes", values.dtype, "w+", shape=size)
        chances = (
            np.memmap(Path(folder) / "chances", np.float32, "w+", shape=(*size, len(values))) if probabilities else None
        )
        top = 0
        for chance, known in rows:
            part = slice(top, top + chance.shape[1])
            ids[part] = np.where(known, values[chance.argmax(0)], none)
            if chances is not None:
                chances[part] = np.where(known[..., None], np.moveaxis(chance, 0, 2), np.nan)
            top = part.stop
        palette = {int(v): c for v, c in zip(values, colours(len(values)), strict=True)}
        colour = (
            {"photometric": "palette", "colormap": _table(palette, values.dtype)} if values.dtype == np.uint8 else {}
        )
        _tiff(out, ids, str(none), geo, **(colour or {"photometric": "minisblack"}))
        if chances is not None:
            _tiff(out.with_name(f"{out.stem}_probabilities{out.suffix}"), chances, "nan", geo, photometric="minisblack")
        counts = {name: int((ids == v).sum()) for v, name in zip(values, classes.values(), strict=True)}
        legend = [
            {
                "value": int(v),
                "name": name,
                "colour": "#{:02x}{:02x}{:02x}".format(*palette[int(v)]),
                "pixels": counts[name],
            }
            for v, name in zip(values, classes.values(), strict=True)
        ]
        files.write_text(out.with_name(f"{out.name}.aux.xml"), _named({int(v): n for v, n in classes.items()}, none))
        files.write_text(out.with_name(f"{out.stem}.json"), json.dumps({"nodata": none, "classes": legend}, indent=1))
        _preview(out.with_suffix(".png"), _shown(ids, palette), legend, int((ids == none).sum()))
    return counts


def write_numbers(out: Path, rows: Rows, size: tuple[int, int], geo: tuple[tuple[Any, ...], ...]) -> dict[str, float]:
    """Write OUT, (H, W) float32, NaN where nothing was measured, and OUT.png; returns its least, mean and largest number."""
    with tempfile.TemporaryDirectory(prefix=f".{out.name}.", dir=out.parent) as folder:
        values = np.memmap(Path(folder) / "numbers", np.float32, "w+", shape=size)
        top = 0
        for said, known in rows:
            values[top : top + said.shape[1]] = np.where(known, said[0], np.nan)
            top += said.shape[1]
        _tiff(out, values, "nan", geo, photometric="minisblack")
        small = values[:: _step(size), :: _step(size)]
        low, high = np.nanpercentile(small, (1, 99)) if np.isfinite(small).any() else (0.0, 1.0)
        grey = (np.clip((small - low) / max(high - low, 1e-12), 0, 1) * 255).astype(np.uint8, copy=False)
        _preview(out.with_suffix(".png"), np.repeat(np.nan_to_num(grey)[..., None], 3, 2), [], 0)
        return {
            "least": float(np.nanmin(values)),
            "mean": float(np.nanmean(values)),
            "largest": float(np.nanmax(values)),
        }


def _tiff(out: Path, values: np.ndarray, none: str, geo: tuple[tuple[Any, ...], ...], **how: Any) -> None:
    """Tiles, deflated, with the tags of the ground and of pixels without a value."""

    def tiles() -> Iterator[np.ndarray]:
        for top in range(0, values.shape[0], TILE):
            for left in range(0, values.shape[1], TILE):
                part = values[top : top + TILE, left : left + TILE]
                full = np.zeros((TILE, TILE, *part.shape[2:]), part.dtype)
                full[: part.shape[0], : part.shape[1]] = part
                yield full

    def write(file: Any) -> None:
        with tifffile.TiffWriter(file, bigtiff=values.nbytes > 3 << 30) as tif:
            tif.write(
                tiles(), shape=values.shape, dtype=values.dtype, tile=(TILE, TILE), compression="zlib", metadata=None,
                planarconfig="contig" if values.ndim == 3 else None,
                extratags=[*geo, (nodata.TAG, 2, len(none) + 1, none, True)], **how,
            )  # fmt: skip

    files.atomic_write(out, write)


def _table(palette: Mapping[int, Colour], dtype: np.dtype) -> np.ndarray:
    """(3, 256) uint16: TIFF's colour map; other values are black."""
    table = np.zeros((3, 256), dtype=np.uint16)
    for value, colour in palette.items():
        table[:, value] = np.array(colour) * 257
    return table


def _named(names: Mapping[int, str], none: int) -> str:
    """GDAL's side file, which names the values."""
    called = "".join(f"<Category>{escape(names.get(i, ''))}</Category>" for i in range(max([*names, none]) + 1))
    return f'<PAMDataset><PAMRasterBand band="1"><CategoryNames>{called}</CategoryNames></PAMRasterBand></PAMDataset>\n'


def _step(size: tuple[int, ...]) -> int:
    return max(1, -(-max(size[:2]) // PREVIEW))


def _shown(ids: np.ndarray, palette: Mapping[int, Colour]) -> np.ndarray:
    """(h, w, 3) uint8; pixels without a class are white."""
    small = np.asarray(ids[:: _step(ids.shape), :: _step(ids.shape)])
    found = np.full((*small.shape, 3), 255, dtype=np.uint8)
    for value, colour in palette.items():
        found[small == value] = colour
    return found


def _preview(out: Path, picture: np.ndarray, legend: list[dict[str, Any]], none: int) -> None:
    """The picture, and beside it the classes that it has, the most frequent first, with their shares."""
    from matplotlib.patches import Patch

    from multimodal_lab.report import style

    total = max(1, none + sum(one["pixels"] for one in legend))
    there = sorted((one for one in legend if one["pixels"]), key=lambda one: -one["pixels"])
    patches = [
        Patch(color=one["colour"], label=f"{style.short(one['name'])}  {one['pixels'] / total:.1%}") for one in there
    ]
    with style.look():
        height, width = picture.shape[:2]
        figure, axes = style.panels(1, 1, width=max(2.0, 6 * width / max(height, width)) + 2.4 * bool(patches),
                                    height=max(2.0, 6 * height / max(height, width)))  # fmt: skip
        axes[0, 0].imshow(picture, interpolation="nearest")
        style.bare(axes[0, 0])
        if patches:
            figure.legend(handles=patches, loc="outside right upper", fontsize=8, alignment="left")
        style.save(figure, out)

"""What a reader owes: `Made(name, open, folder)`, then every one of `CHECKS`; `damaged` too where it reads files."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from copy import copy
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from contract.owed import owed
from multimodal_lab.data.readers.fingerprint import fingerprint
from multimodal_lab.data.source import DataError, Source
from multimodal_lab.types import Band, Stream

KINDS = ("image", "vector", "text")
ROWS = 4  # of each set that are read


@dataclass
class Made:
    """A reader: `open(folder)` writes made-up files there, where it needs any, and opens them; `field` of its images."""

    name: str
    open: Callable[[Path], Source]
    folder: Path
    field: str = ""


def whole(source: Source, field: str = "") -> Stream:
    """A stream of all that is stored in a field, of the first kind that the reader gives."""
    for kind in ("image", "vector"):
        stream = Stream("whole", kind, stored(source, field), field=field)
        try:
            source.read(0, [stream])
            return stream
        except DataError:
            continue
    raise AssertionError("a reader gives an image or a vector of all its bands; each was refused")


def stored(source: Source, field: str = "") -> tuple[Band, ...]:
    """The bands of the field, where fields have bands of their own."""
    found: tuple[Band, ...] = getattr(source, "field_bands", {}).get(field, source.bands)
    return found


def sample_table(one: Made) -> None:
    """A row a sample, with unique names; bands have names of their own."""
    source, told = one.open(one.folder), f"reader {one.name}"
    owed(isinstance(source.samples, pd.DataFrame), f"{told}: set self.samples to a pandas table")
    owed(len(source.samples) > 0, f"{told}: its table of samples is empty; refuse a set without samples")
    owed("id" in source.samples, f"{told}: its table has no column id; found {', '.join(map(str, source.samples))}")
    ids = source.samples["id"]
    owed(ids.map(type).eq(str).all() and ids.is_unique, f"{told}: the column id must hold text, and no name twice")
    names = [band.name for band in source.bands]
    owed(isinstance(source.bands, tuple), f"{told}: set self.bands to a tuple of Band")
    owed(len(names) == len(set(names)), f"{told}: two bands have one name: {', '.join(names)}")


def bands_as_asked(one: Made) -> None:
    """A stream has the bands that it asks for, in its order."""
    source = one.open(one.folder)
    stream = whole(source, one.field)
    every = np.asarray(source.read(0, [stream]).inputs["whole"])
    told, wanted, bands = f"reader {one.name}", {"image": 3, "vector": 1}[stream.kind], stored(source, one.field)
    owed(
        every.ndim in (wanted, wanted + 1) and len(every) == len(bands),  # one more is time
        f"{told}: gives {every.shape}; expected {len(bands)} bands first, in {wanted} axes ({stream.kind})",
    )
    order = [*range(len(bands))][::-2]
    some = Stream("some", stream.kind, tuple(bands[i] for i in order), field=one.field)
    both = source.read(0, [some, stream]).inputs
    owed(set(both) == {"some", "whole"}, f"{told}: asked for streams some and whole, it gives {', '.join(both)}")
    right = np.array_equal(both["some"], every[order]) and np.array_equal(both["whole"], every)
    owed(right, f"{told}: bands {[bands[i].name for i in order]} are not in the order asked; use bands.indices")


def any_order(one: Made) -> None:
    """A sample is the same whenever it is read, and after others."""
    source = one.open(one.folder)
    stream, rows = whole(source, one.field), range(min(ROWS, len(source.samples)))
    forward = {i: copy(source.read(i, [stream]).inputs["whole"]) for i in rows}
    for i in reversed(rows):
        again = source.read(i, [stream]).inputs["whole"]
        there = forward[i] is not None and again is not None  # a row may lack the stream
        same = np.array_equal(forward[i], again, equal_nan=True) if there else forward[i] is again
        owed(same, f"reader {one.name}: sample {i} is another when it is read again; keep nothing of one for the next")


def full_scale(one: Made) -> None:
    """No stored integer is larger than the full scale, by which dtype_max divides."""
    source = one.open(one.folder)
    raw = source.read(0, [whole(source, one.field)])
    x = np.asarray(raw.inputs["whole"])
    fits = x.dtype.kind == "f" or x.max() <= raw.scale("whole")
    owed(
        fits,
        f"reader {one.name}: full_scale is {raw.scale('whole'):g}, and a value is {x.max()}; name the type's largest",
    )
    mask = raw.mask is None or (raw.mask.dtype == bool and raw.mask.shape == x.shape[1:])
    owed(mask, f"reader {one.name}: expected a mask (H, W) bool of the image's size, or None")


def other_kinds(one: Made) -> None:
    """A kind that the format has not is refused by a `DataError` that names the stream."""
    source, refused = one.open(one.folder), 0
    for kind in KINDS:
        bands = () if kind == "text" else stored(source, one.field)
        try:
            source.read(0, [Stream("asked", kind, bands, field=one.field)])
        except DataError as error:
            refused += 1
            owed("asked" in str(error), f"reader {one.name}: refuses a {kind} without naming the stream: {error}")
        except Exception as error:
            raise AssertionError(
                f"reader {one.name}: {type(error).__name__} for a {kind}; call need_kind first"
            ) from error
    owed(refused, f"reader {one.name}: gives every kind alike; call need_kind with those that the format has")


def same_mark(one: Made) -> None:
    """The fingerprint is the same at each opening, and another with other files."""
    source = one.open(one.folder)
    mark = fingerprint(source, str(one.folder))
    again = fingerprint(one.open(one.folder), str(one.folder))
    owed(
        mark == again, f"reader {one.name}: two openings give two fingerprints; sort files, and draw nothing at random"
    )
    for path in _paths(source, one.folder):
        stored = path.read_bytes()
        path.write_bytes(stored[:-1] + bytes([stored[-1] ^ 1]))
        moved = fingerprint(source, str(one.folder)) != mark
        path.write_bytes(stored)
        owed(moved, f"reader {one.name}: {path.name} may change unnoticed; name it in the column path")


def damaged(one: Made) -> None:
    """A file that is spoilt after the set was opened is told in one sentence that names it."""
    source = one.open(one.folder)
    stream, paths = whole(source, one.field), list(_paths(source, one.folder))
    owed(paths, f"reader {one.name}: the column path names no file below the folder")
    stored = paths[0].read_bytes()
    paths[0].write_bytes(bytes(range(200, 255)))
    told = f"reader {one.name}: a damaged {paths[0].name}"
    try:
        source.read(0, [stream])
    except DataError as error:
        owed(paths[0].stem in str(error), f"{told} is not named: {error}")
    except Exception as error:
        raise AssertionError(f"{told} is a {type(error).__name__}; parse inside readable(name, what)") from error
    else:
        raise AssertionError(f"{told} is read without an error")
    finally:
        paths[0].write_bytes(stored)


def _paths(source: Source, folder: Path) -> Iterator[Path]:
    found = source.samples.get("path", [])
    yield from sorted({path for name in found if (path := folder / str(name)).is_file()})


CHECKS = (sample_table, bands_as_asked, any_order, full_scale, other_kinds, same_mark)
"""Of every reader; `damaged` besides of those that open a file at each reading."""

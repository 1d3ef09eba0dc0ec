"""The sources of which a joined or mixed one is made: their names, folders and tables, and the columns they share."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from multimodal_lab.data import kinds
from multimodal_lab.data.source import DataError, NoStream, Raw, Source
from multimodal_lab.data.streams.labels import CLASSES, COMPLETE
from multimodal_lab.data.streams.resize import Resize
from multimodal_lab.text import some
from multimodal_lab.types import Band, Stream

if TYPE_CHECKING:
    from multimodal_lab.data.dataset import Data


@dataclass
class Member:
    """One of several sources: `key` is where its settings stand in the config; `scaling`: of a data set."""

    name: str
    source: Source
    root: str | None
    key: str
    scaling: Any = None
    _masks: dict[tuple[str, ...], bool] = field(default_factory=dict)

    @property
    def table(self) -> pd.DataFrame:
        """Its samples."""
        return self.source.samples

    @property
    def fields(self) -> dict[str, tuple[Band, ...]]:
        """The bands of its columns of images, where these have bands of their own."""
        return dict(getattr(self.source, "field_bands", {}))

    @property
    def apart(self) -> list[str]:
        """Columns that speak of this source's own things, whatever another one's column of that name says."""
        known = [*getattr(self.source, "images", ()), *getattr(self.source, "text_columns", ())]
        known += [getattr(self.source, "together", None), *(getattr(self.source, "items", None) or {}).values()]
        return [c for c in dict.fromkeys(known) if c is not None]

    def require(self, stream: Stream) -> None:
        """Raise `NoStream` where it has no such stream; one that its first sample is only too bad to give is there."""
        try:
            self.source.read(0, [stream])
        except NoStream:
            raise
        except DataError:  # told when it is read
            pass

    def masks(self, streams: Sequence[Stream]) -> bool:
        """Whether its images come with a mask, as its first sample tells."""
        asked = [s for s in streams if kinds.of(s).spatial]
        names = tuple(s.name for s in asked)
        if names not in self._masks:
            try:
                self._masks[names] = bool(asked) and self.source.read(0, asked).mask is not None
            except DataError:  # whoever reads it says why
                return False
        return self._masks[names]


def members(sources: Mapping[str, Source | Data]) -> dict[str, Member]:
    """{name: member} of sources, or of data sets, whose reader and folder are taken; `DataError` for names that can't be."""
    if len(sources) < 2:
        raise DataError(f"data.source.sources: {', '.join(sources) or 'none'}; expected two sources or more")
    found: dict[str, Member] = {}
    for name, given in sources.items():
        if not str(name).isidentifier():
            raise DataError(f"data.source.sources: {name!r} is no name; expected letters, digits and _")
        inner: Any = getattr(given, "source", given)
        key = f"data.source.sources.{name}" + (".source" if inner is not given else "")
        root = getattr(inner, "root", None)
        scaling = getattr(given, "scaling", None)
        found[str(name)] = Member(str(name), inner, None if root is None else str(root), key, scaling)
    return found


def to_size(all_of: Mapping[str, Member], resizes: Mapping[str, Resize]) -> None:
    """Tell the sources what brings each stream to size, as `SampleReader` tells them; those that ask for it."""
    for member in all_of.values():
        if (told := getattr(member.source, "to_size", None)) is not None:
            told(resizes)


def below(root: str | None, member: Member, path: object) -> object:
    """A path of a member relative to the common root where it lies below it, else as the member has it."""
    if not isinstance(path, str) or member.root is None or root is None:
        return path
    place, base = Path(member.root) / path, Path(root).expanduser().resolve()
    return place.relative_to(base).as_posix() if place.is_relative_to(base) else path


def column(values: Sequence[Any], dtypes: Sequence[Any]) -> pd.Series:
    """One column of values out of columns of these types, None where missing: whole numbers stay whole, text stays text."""
    known = [None if _missing(v) else v for v in values]
    if dtypes and all(pd.api.types.is_float_dtype(t) for t in dtypes):
        return pd.Series(known, dtype="float64")
    if dtypes and all(pd.api.types.is_integer_dtype(t) for t in dtypes):
        return pd.Series(known, dtype="Int64")
    if dtypes and all(pd.api.types.is_numeric_dtype(t) and not pd.api.types.is_bool_dtype(t) for t in dtypes):
        return pd.Series(known, dtype="float64")
    return pd.Series(known, dtype=object)


def complete(all_of: Mapping[str, Member], table: pd.DataFrame, rows: Mapping[str, np.ndarray]) -> dict[str, str]:
    """{column: the key that lets it have gaps} of columns that a member wants whole, and that lack a value in rows it has.

    rows[member] (N,): its row in each row of `table`, -1 where it has none: there, a gap is no fault.
    """
    found: dict[str, str] = {}
    for name, member in all_of.items():
        for label, key in (member.table.attrs.get(COMPLETE) or {}).items():
            if label in table and (table[label].isna().to_numpy(dtype=bool) & (rows[name] >= 0)).any():
                found[label] = key.replace("data.source", member.key, 1)
    return found


def classes(all_of: Mapping[str, Member], table: pd.DataFrame) -> dict[str, list[str]]:
    """{column: its classes in order} of columns whose classes a member declares, and no other member has otherwise."""
    found: dict[str, list[str]] = {}
    for member in all_of.values():
        for label, names in (member.table.attrs.get(CLASSES) or {}).items():
            others = [m.table.attrs.get(CLASSES, {}).get(label) for m in all_of.values() if label in m.table]
            if label in table and all(other == names for other in others):
                found[label] = names
    return found


def notes(all_of: Mapping[str, Member]) -> list[str]:
    """What each member has to tell, with its name."""
    found = []
    for name, member in all_of.items():
        for note in getattr(member.source, "notes", []):
            warned = note.startswith("warning: ")
            found.append(f"{'warning: ' * warned}{name}: {note.removeprefix('warning: ')}")
    return found


def common_mask(raws: Mapping[str, Raw], masked: Callable[[], bool]) -> np.ndarray | None:
    """The one mask of a sample's images, True where all that have one are; without any, of everything if others have one."""
    masks = {name: raw.mask for name, raw in raws.items() if raw.mask is not None}
    if len({m.shape for m in masks.values()}) > 1:
        said = " and ".join(f"of {m.shape} in {name}" for name, m in masks.items())
        raise DataError(f"two masks, {said}: all images of a sample share one; take them off all but one source")
    if masks:
        return np.asarray(np.logical_and.reduce(list(masks.values())))
    images = [x for raw in raws.values() for x in raw.inputs.values() if isinstance(x, np.ndarray) and x.ndim == 3]
    return np.ones(images[0].shape[1:], dtype=bool) if images and masked() else None


def same(a: Any, b: Any) -> bool:
    """Whether two values of a column mean one thing: 1 and "1" do."""
    if isinstance(a, list | tuple | set) or isinstance(b, list | tuple | set):
        return bool(a == b)
    return bool(a == b) or str(a) == str(b)


def listed(names: Sequence[object]) -> str:
    """How many, and the first few of them."""
    return f"{len(names)} ({some(names)})"


def _missing(value: Any) -> bool:
    return value is None or (not isinstance(value, list | tuple | set | np.ndarray) and bool(pd.isna(value)))

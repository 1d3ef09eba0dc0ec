"""One sample from its source to finished arrays: read, check, scale, mask, resize."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from multimodal_lab.data.plan import Fitted, Plan, project
from multimodal_lab.data.resize import Resize
from multimodal_lab.data.scaling import Scaling, inside_mask
from multimodal_lab.data.source import DataError, Raw, Source


@dataclass
class Item:
    """inputs[stream]: (C, S, S) or (C,) float32, None where missing; texts[stream]; mask (S, S) bool or None."""

    inputs: dict[str, np.ndarray | None]
    texts: dict[str, list[str]]
    mask: np.ndarray | None


class Samples:
    """Reads samples of one source for a set of plans; every error names the sample and its path."""

    def __init__(
        self, source: Source, plans: dict[str, Plan], scaling: Scaling, resize: Resize, zero: bool, cache: bool
    ) -> None:
        self.source, self.plans, self.scaling, self.resize, self.zero = source, plans, scaling, resize, zero
        self.table: pd.DataFrame = source.samples
        self.names = [str(i) for i in self.table["id"]]
        self.paths = list(self.table["path"]) if "path" in self.table else []
        self.fitted = {name: Fitted() for name in plans}
        self.tokens: dict[str, Any] = {}
        self.kept: dict[int, Raw] = {}
        self.last: dict[int, tuple[int, Raw]] = {}  # of each thread: all streams of one sample are cut from one reading
        self.cache = cache
        self.watch: Callable[[int], None] | None = None

    def called(self, row: int) -> str:
        """How messages name a sample."""
        path = self.paths[row] if self.paths else None
        return f"sample {self.names[row]!r}" + (f" ({path})" if isinstance(path, str) else "")

    def raw(self, row: int) -> Raw:
        """The stored arrays, checked: shape, type, finite values, a mask that isn't empty. Threads may share this."""
        thread = threading.get_ident()
        at, raw = self.last.get(thread) or (row, self.kept.get(row))
        if at == row and raw is not None:
            return raw
        if self.watch is not None:
            self.watch(row)
        try:
            raw = self.source.read(row, [p.stored for p in self.plans.values()])
        except DataError as error:
            raise self._named(row, error) from error
        except Exception as error:  # a decoder may raise anything: the sample must be named all the same
            raise DataError(f"{self.called(row)}: can't be read: {type(error).__name__}: {error}") from error
        self._check(row, raw)
        if self.cache:
            self.kept[row] = raw
        else:
            self.last[thread] = row, raw
        return raw

    def require(self, row: int) -> None:
        """Raise what reading and resizing one sample would raise."""
        raw = self.raw(row)
        if raw.mask is not None and any(p.stored.kind != "text" for p in self.plans.values()):
            self._small(row, raw.mask)
        for name, plan in self.plans.items():
            x = raw.inputs[name]
            if plan.stored.kind == "image" and x is not None:
                try:
                    self.resize.require(x.shape[1:])
                except DataError as error:
                    raise self._named(row, error) from error

    def scaled(self, row: int, name: str) -> tuple[np.ndarray, np.ndarray | None] | None:
        """Stream `name` of one sample as float32 in stored shape, and its mask; None where it is missing."""
        raw = self.raw(row)
        x = raw.inputs[name]
        if x is None:
            return None
        mask = raw.mask if x.ndim == 3 else None
        return self.scaling.apply(x, mask, raw.scale(name), self.fitted[name].scaling), mask

    def item(self, row: int) -> Item:
        """All streams of one sample."""
        arrays = [name for name, plan in self.plans.items() if plan.stored.kind != "text"]
        inputs = {name: self.finished(row, name)[0] for name in arrays}
        texts = {name: self.captions(row, name) for name in self.plans if name not in arrays}
        mask = self.raw(row).mask if arrays else None
        return Item(inputs, texts, None if mask is None else self._small(row, mask))

    def drop(self, row: int) -> None:
        """Let go of the stored arrays of one sample."""
        self.kept.pop(row, None)

    def finished(self, row: int, name: str) -> tuple[np.ndarray | None, np.ndarray | None]:
        """Stream `name` as a network sees it before normalisation, and its mask; (None, None) where it is missing."""
        found = self.scaled(row, name)
        if found is None:
            return None, None
        x, mask = found
        if self.plans[name].pca:
            x = project(x, self.fitted[name].pca)
        if x.ndim == 1:
            return x, None
        small = None if mask is None else self._small(row, mask)
        try:
            x = self.resize.image(x, mask if self.zero else None)
        except DataError as error:
            raise self._named(row, error) from error
        if self.zero and small is not None:
            x = np.where(small, x, np.float32(0))
        return x, small

    def captions(self, row: int, name: str) -> list[str]:
        """All texts of one sample, stripped; empty where missing."""
        text = self.raw(row).inputs[name]
        texts = [text] if isinstance(text, str) else list(text or [])
        return [t.strip() for t in texts if t and t.strip()]

    def pixels(self, rows: np.ndarray, name: str, scaled: bool) -> Iterator[np.ndarray]:
        """(C, n) values inside the mask of every row that has stream `name`, as stored or scaled."""
        for row in rows:
            raw = self.raw(int(row))
            found = self.scaled(int(row), name) if scaled else (raw.inputs[name], raw.mask)
            if found is not None and found[0] is not None:
                yield inside_mask(*found)

    def _named(self, row: int, error: DataError) -> DataError:
        known = self.names[row] in str(error)
        return DataError(str(error) if known else f"{self.called(row)}: {error}")

    def _small(self, row: int, mask: np.ndarray) -> np.ndarray:
        try:
            small = self.resize.mask(mask)
        except DataError as error:
            raise self._named(row, error) from error
        if not small.any():
            raise DataError(
                f"{self.called(row)}: nothing is left of its mask ({mask.sum()} pixels) at data.size {self.resize.size}"
            )
        return small

    def _check(self, row: int, raw: Raw) -> None:
        for name, plan in self.plans.items():
            x = raw.inputs.get(name)
            if name not in raw.inputs:
                raise DataError(f"{self.called(row)}: the reader gave no stream {name!r}")
            if x is None or plan.stored.kind == "text":
                continue
            self._check_array(row, name, plan, x, raw)

    def _check_array(self, row: int, name: str, plan: Plan, x: np.ndarray, raw: Raw) -> None:
        image = plan.stored.kind == "image"
        if x.ndim != (3 if image else 1) or len(x) != plan.stored.channels:
            wanted = f"({plan.stored.channels}{', H, W' if image else ','})"
            raise DataError(f"{self.called(row)}: stream {name} has shape {x.shape}, expected {wanted}")
        mask = raw.mask if image else None
        if mask is not None and mask.shape != x.shape[1:]:
            raise DataError(f"{self.called(row)}: its mask has shape {mask.shape}, stream {name} has {x.shape[1:]}")
        if mask is not None and not mask.any():
            raise DataError(f"{self.called(row)}: its mask is all zero, so that no pixel is left")
        if x.dtype.kind == "f":
            self._check_finite(row, name, plan, x, mask)
        self._check_layout(row, name, x, raw, mask)

    def _check_finite(self, row: int, name: str, plan: Plan, x: np.ndarray, mask: np.ndarray | None) -> None:
        bad = ~np.isfinite(x)
        if mask is not None and self.zero:
            bad &= mask
        if bad.any():
            per_band = bad.reshape(len(x), -1).sum(1)
            first = int(per_band.argmax())
            band = plan.stored.bands[first].name
            raise DataError(
                f"{self.called(row)}: {per_band[first]} NaN or infinite values in band {band} of stream {name} "
                f"({int(per_band.sum())} in all its bands)"
            )

    def _check_layout(self, row: int, name: str, x: np.ndarray, raw: Raw, mask: np.ndarray | None) -> None:
        found = {
            "shape": list(x.shape),
            "dtype": str(x.dtype),
            "full_scale": raw.scale(name),
            "masked": mask is not None,
        }
        layout = self.fitted[name].layout
        if not layout:
            self.fitted[name].layout = found
            return
        resized = self.resize.size is not None and self.resize.rule == "area"
        for fact, first in layout.items():
            if found[fact] != first and not (fact == "shape" and resized):
                said = {"masked": ("a mask", "no mask")}.get(fact)
                now, then = (said[not found[fact]], said[not first]) if said else (f"{fact} {found[fact]}", f"{first}")
                hint = "; set data.size to resize them" if fact == "shape" else ""
                raise DataError(f"{self.called(row)}: stream {name} has {now}, the samples before it {then}{hint}")

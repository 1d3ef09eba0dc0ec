"""Tell every pixel of a scene of any size with a trained run, window by window."""

from __future__ import annotations

import copy
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch
from torch.nn import functional as F

from multimodal_lab.data import kinds
from multimodal_lab.data.source import DataError
from multimodal_lab.device.eval_mode import eval_mode
from multimodal_lab.predict.blend import Blend, Lattice
from multimodal_lab.predict.open_raster import Axes, opened
from multimodal_lab.predict.predictor import Predictor
from multimodal_lab.predict.raster import Raster, places
from multimodal_lab.predict.strip import Strip
from multimodal_lab.progress import Bar
from multimodal_lab.text import expected_one_of

Names = Sequence[str] | Literal["run"]


@dataclass(frozen=True)
class Asked:
    """What a scene is read and told by. scenes: {stream: its file}, or {"": a file that holds all streams' bands}. bands and
    keys: of the same names, see `rasters`. head: None is the only one that tells a map. window, overlap, margin: pixels, see
    `blend.Lattice`; None is the size that the run was trained on, a quarter of it, and a quarter of that."""

    scenes: Mapping[str, Path]
    bands: Mapping[str, Names] = field(default_factory=dict)
    keys: Mapping[str, str] = field(default_factory=dict)
    axes: Axes = "hwc"
    head: str | None = None
    window: int | None = None
    overlap: int | None = None
    margin: int | None = None


class SceneTeller:
    """The rows of a map, some at a time: `for rows in teller` gives (K, n, W) probabilities, or (1, n, W) numbers, and
    (n, W) bool, which pixels were measured. notes: what to tell of how the scene is read."""

    def __init__(self, predictor: Predictor, asked: Asked) -> None:
        self.predictor = predictor
        self.notes: list[str] = []
        self.head = _head(predictor, asked.head)
        self.label = str(predictor.system.labels[self.head])
        module: Any = predictor.system.heads[self.head]
        self.count = int(module.count)
        self._streams(asked)
        self.lattice = self._lattice(asked)
        self._fit_records()

    @property
    def raster(self) -> Raster:
        """The first scene: its size and place are those of the map."""
        return next(iter(self.rasters.values()))[0]

    @property
    def classes(self) -> dict[float, str]:
        """{stored value: class} of the map that the run was trained on; {} of numbers."""
        return dict(self._plan.names)

    @property
    def ignored(self) -> tuple[float, ...]:
        """The stored values that are no class."""
        return tuple(self._plan.ignore)

    def _streams(self, asked: Asked) -> None:
        expected = {n: e for n, e in self.predictor.expected.items() if kinds.get(e.kind).spatial}
        others = [n for n in self.predictor.expected if n not in expected]
        if unknown := [n for n in asked.scenes if n and n not in expected]:
            raise DataError(f"scene.{unknown[0]}: no image stream of the run; {expected_one_of(unknown[0], expected)}")
        files = {name: asked.scenes.get(name, asked.scenes.get("")) for name in expected}
        known: dict[tuple[Path, str | None], Raster] = {}
        self.rasters: dict[str, tuple[Raster, list[int]]] = {}
        for name, path in files.items():
            if path is None:
                self.notes.append(f"stream {name} has no scene.{name}: it is missing everywhere")
                continue
            own = name if name in asked.scenes else ""
            at = (path, asked.keys.get(own))
            if at not in known:
                known[at] = opened(path, asked.axes, at[1])
            raster = known[at]
            key = f"bands.{own}" if own else "bands"
            found = places(raster, [b.name for b in expected[name].bands], asked.bands.get(own), key)
            wanted = np.dtype(expected[name].layout["dtype"])
            if raster.dtype != wanted and not (wanted.kind == "f" and raster.dtype.kind == "f"):
                raise DataError(
                    f"{raster.name}: values of type {raster.dtype}, expected {wanted}, as the run was trained on"
                )
            self.rasters[name] = (raster, found)
        if not self.rasters:
            raise DataError(f"no scene; give scene=FILE, or {' '.join(f'scene.{n}=FILE' for n in expected)}")
        if others:
            self.notes.append(f"streams that are no images are missing everywhere: {', '.join(others)}")
        first = self.raster
        for raster, _ in self.rasters.values():
            if (raster.height, raster.width) != (first.height, first.width):
                raise DataError(
                    f"{raster.name} is of {raster.height} x {raster.width} pixels and {first.name} of {first.height} x "
                    f"{first.width}; expected scenes on one grid: resample one of them"
                )
        if not first.geo:
            why = first.nowhere or "says nowhere where it lies on the ground"
            self.notes.append(f"{first.name}: {why}: the map is written without georeference")

    def _lattice(self, asked: Asked) -> Lattice:
        record = self.predictor.record["streams"]
        sides = {name: int(record[name]["layout"]["shape"][-1]) for name in self.rasters}
        if len(set(sides.values())) > 1:
            raise DataError(f"the run's streams have images of {sides} pixels; a scene is one grid, expected one size")
        self.trained, choices = next(iter(sides.values())), self.predictor.record["choices"]["resize"]
        self.size = int(record[next(iter(self.rasters))]["size"])
        if choices.get("fit") == "crop" and self.size != self.trained:
            raise DataError("the run saw centres of its images alone (data.resize_mode=crop); expected pad or stretch")
        side = asked.window or self.trained
        if side != self.trained and self.size != self.trained:
            raise DataError(
                f"window={side}: the run resizes its images of {self.trained} pixels, expected window={self.trained}"
            )
        overlap = side // 4 if asked.overlap is None else asked.overlap
        return Lattice(side, overlap, overlap // 4 if asked.margin is None else asked.margin)

    def _fit_records(self) -> None:
        """A record in which images have the size of a window: they are prepared as the run's own are."""
        self._record = copy.deepcopy(self.predictor.record)
        for own in self._record["streams"].values():
            if "shape" in own["layout"]:
                own["layout"]["shape"][-2:] = [self.lattice.side] * 2
            if self.size == self.trained and own["size"]:
                own["size"] = self.lattice.side
        empty = self._prepared(Strip({}, {}, [0], self.lattice.side, *self.predictor.facts()))
        self._plan = empty.reader.plans[self.label]

    def _prepared(self, source: Strip) -> Any:
        return self.predictor.prepared(source, self._record)

    def __iter__(self) -> Iterator[tuple[np.ndarray, np.ndarray]]:
        raster, lattice = self.raster, self.lattice
        blend = Blend(lattice, max(self.count, 1), raster.height, raster.width)
        starts = lattice.starts(raster.height)
        # windows near each other would be read twice from a scene's last rows: a strip is small
        with Bar("telling rows", raster.height) as bar, eval_mode(self.predictor.system), torch.no_grad():
            for i, row in enumerate(starts):
                measured = self._strip(row, blend)
                until = starts[i + 1] if i + 1 < len(starts) else raster.height
                values, spoke = blend.done(until)
                yield values, spoke & measured[: until - row]
                bar.update(until)

    def _strip(self, row: int, blend: Blend) -> np.ndarray:
        """Let every window of a row of windows speak; (rows, W) bool, where any stream was measured."""
        raster, side = self.raster, self.lattice.side
        end = min(row + side, raster.height)
        width = max(raster.width, side)
        read: dict[int, np.ndarray] = {}
        values, missing = {}, {}
        rule = self.predictor.record["choices"].get("nodata", "any")
        measured = np.zeros((end - row, raster.width), dtype=bool)
        for name, (own, bands) in self.rasters.items():
            if id(own) not in read:
                read[id(own)] = own.rows(row, end)
            stored = read[id(own)][bands]
            gone = _gone(stored, own.nodata)
            seen = gone.all(0) if rule == "all" else gone.any(0)
            measured |= ~seen
            pad = (
                (0, 0),
                (0, side - stored.shape[1]),
                (0, width - stored.shape[2]),
            )  # of a scene smaller than a window
            values[name] = np.pad(stored, pad).astype(np.dtype(self.predictor.expected[name].layout["dtype"]))
            missing[name] = np.pad(gone, pad, constant_values=True)
        columns = [c for c in self.lattice.starts(raster.width) if measured[:, c : c + side].any()]
        if not columns:
            return measured
        data = self._prepared(Strip(values, missing, columns, side, *self.predictor.facts()))
        done = 0
        for batch in data.batches("all"):
            said = self._said(batch)
            for k, column in enumerate(columns[done : done + len(said)]):
                blend.add(row, column, said[k])
            done += len(said)
        return measured

    def _said(self, batch: Any) -> np.ndarray:
        """(N, K, side, side) probabilities, or numbers, of a batch of windows."""
        _, out = self.predictor.system.encode(batch.to(self.predictor.device))
        said = out[self.head].float()
        if said.shape[-1] != self.lattice.side:
            said = F.interpolate(said, (self.lattice.side,) * 2, mode="bilinear", align_corners=False)
        if not torch.isfinite(said).all():
            raise ValueError(f"head {self.head} says numbers that are not finite: the model diverged")
        found: np.ndarray = (said.softmax(1) if self.count else said).cpu().numpy()
        return found


def _gone(stored: np.ndarray, nodata: float | int | None) -> np.ndarray:
    """(C, H, W) bool: no value."""
    gone = np.isnan(stored) if stored.dtype.kind == "f" else np.zeros(stored.shape, dtype=bool)
    return gone if nodata is None or nodata != nodata else gone | (stored == stored.dtype.type(nodata))


def _head(predictor: Predictor, wanted: str | None) -> str:
    """The head that tells a map."""
    there = [name for name, head in predictor.system.heads.items() if getattr(head, "per_pixel", False)]
    if not there:
        said = (
            ", ".join(f"{name} tells {label}" for name, label in predictor.system.labels.items())
            or "none tells a label"
        )
        raise DataError(f"{predictor.folder}: no head tells a map (head=segment); {said}")
    if wanted is not None and wanted not in there:
        raise DataError(f"head={wanted}: {expected_one_of(wanted, there)}")
    return wanted or there[0]

"""Look at the data of a request: open the source, choose the labels and the split, read every sample once."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd

from multimodal_lab.cache.start import StartCache
from multimodal_lab.config.instantiate import safe_instantiate
from multimodal_lab.config.problem import StudyError
from multimodal_lab.data import kinds
from multimodal_lab.data.dataset import Data
from multimodal_lab.data.prepared import Prepared
from multimodal_lab.data.source import DataError, Source, content_columns
from multimodal_lab.data.split import auto
from multimodal_lab.data.split.split import Split
from multimodal_lab.data.streams.bands import plan
from multimodal_lab.data.streams.source_bands import asked_bands
from multimodal_lab.study.compare import labels, sound
from multimodal_lab.study.compare.facts import Facts, Input
from multimodal_lab.study.compare.request import Request
from multimodal_lab.study.compare.stack import stacked

DEFAULT = {"train": 0.7, "val": 0.1, "test": 0.2}  # of `data.split`, where a data set says nothing
SHARES = {"train": 0.7, "val": 0.0, "test": 0.3}  # nothing is tuned, and small data need every test sample
SIDE = (
    64  # pixels: a small network learns from nothing what there is to see at this size, in a quarter of the time of 128
)
SMALL = 500  # test samples: with fewer, an official split says little, and splits are drawn anew


def look(node: Mapping[str, Any], modality: dict[str, Any], asked: Request) -> Facts:
    """What the data of a plain `data` node say. `StudyError`, one sentence, for what no study can be made of."""
    try:
        factory: Data = safe_instantiate(node)
        side = _side(factory, modality, asked)
        if side is not None:
            factory.resize.size = side
        modality = {name: _placed(factory.source, name, own) for name, own in modality.items()}
        table, source = factory.source.samples, factory.source
        sound.require_samples(table)
        chosen = labels.choose(table, factory, asked)
        labels.require_differ(chosen, asked)
        beside = labels.beside(table, chosen, factory, asked)
        choice, official = _split(factory, chosen, asked)
        choice.split.seed = first_split(asked)
        held = table.iloc[choice.split.placed(table)]
        groups = choice.split.groups(held)
        sound.require_groups(groups, choice.split.by)
        parts = choice.split.assign(table)
        if "test" not in parts:
            raise StudyError("data.split.test: 0 leaves nothing to judge on; expected a share such as 0.3")
        found = [labels.describe(held, name, groups, choice.split.by, factory, asked) for name in chosen]
        factory.labels, factory.split, factory.verify = [*chosen, *beside], choice.split, "none"
        factory.seen = seen = sound.Seen()
        data = factory.prepare(modality, 0, memory=StartCache())  # what it learns the cells find
        inputs = tuple(_input(name, data, modality[name]) for name in data.streams)
        sound.require_streams(data, [label.name for label in found if label.kind == "class"], seen)
    except DataError as error:
        raise StudyError(f"study=compare: {error}") from error
    node_of_all, apart = _stacked(source, inputs)
    split = {
        k: getattr(choice.split, k) for k in ("by", "stratify", "column", "min_class_policy")
    } | choice.split.shares
    return Facts(
        inputs, tuple(found), len(table), len(parts["train"]), len(parts["test"]), len(np.unique(groups)),
        choice.split.by, official, split, node_of_all, apart, side, tuple(beside),
    )  # fmt: skip


def first_split(asked: Request) -> int:
    """The seed of the first split that cells of the study have."""
    return int((asked.study.get("splits") or [0])[0])


def _side(data: Data, modality: Mapping[str, Any], asked: Request) -> int | None:
    """The side of images that a network learns from nothing: as stored, `SIDE` at most; None where that is not asked here."""
    configured = data.resize.size
    spatial = [n for n, own in modality.items() if kinds.get(own.get("kind", "image")).spatial and not own.get("size")]
    if not spatial or asked.gives("data.size", "backbone", "backbones"):
        return None
    table = data.source.samples
    stored = int(table[["height", "width"]].to_numpy().max()) if {"height", "width"} <= {*table.columns} else None
    known = [n for n in (configured, stored) if n]
    return min(*known, SIDE) if known and min(*known, SIDE) != configured else None


def _placed(source: Source, name: str, node: Mapping[str, Any]) -> dict[str, Any]:
    """A stream's entry with the field that it is read from: a control sees it again under another name."""
    parts = {k for fact in ("field_bands", "members", "aliases") for k in getattr(source, fact, {})}
    own = name in parts or not kinds.get(node.get("kind", "image")).has_bands
    return {**node, "field": name} if own and not node.get("field") else dict(node)


def _split(factory: Data, chosen: list[str], asked: Request) -> tuple[auto.Choice, bool]:
    """The split that the data and the line give, with no `auto` left, and whether it is an official one."""
    table, source = factory.source.samples, factory.source
    split = auto.with_column(factory.split, table)
    for key in ("by", "stratify"):
        if getattr(split, key) is None and not asked.gives(f"data.split.{key}"):
            setattr(split, key, auto.AUTO)
    if not asked.gives(*(f"data.split.{name}" for name in DEFAULT)) and split.shares == DEFAULT:
        split.shares = dict(SHARES)
    if split.column and not asked.gives("data.split.column") and _few(split, table):
        split.column = None
    choice = auto.choose(table, chosen, split, content_columns(source), getattr(source, "together", None))
    return choice, choice.split.column is not None


def _few(split: Split, table: pd.DataFrame) -> bool:
    names = table[split.column].astype(str).str.lower() if split.column in table else pd.Series(dtype=str)
    return int(names.isin(["test", "testing"]).sum()) < SMALL


def _input(name: str, data: Prepared, node: Mapping[str, Any]) -> Input:
    stream = data.streams[name]
    shape: tuple[int, ...] = (stream.size, stream.size) if kinds.get(stream.kind).spatial and stream.size else ()
    shape = (stream.steps, *shape) if stream.steps else shape
    return Input(
        name, stream.kind, node, stream.steps is not None, stream.rate or 0.0, tuple(b.name for b in stream.bands),
        bool(stream.bands) and all(b.nm is not None for b in stream.bands), shape,
        int(np.prod([max(1, stream.channels), *shape])),
    )  # fmt: skip


def _stacked(source: Source, inputs: tuple[Input, ...]) -> tuple[Mapping[str, Any] | None, str]:
    """The node of early fusion's one stream, and why there is none."""
    node, apart = stacked(inputs)
    if node is None:
        return None, apart
    try:
        if len({i.node.get("field") or i.name for i in inputs}) > 1 and _apart(source, inputs):
            raise DataError("they are stored apart")
        plan("stacked", dict(node), asked_bands(source, "stacked", node))
    except DataError as error:
        return None, str(error)
    return node, ""


def _apart(source: Source, inputs: tuple[Input, ...]) -> bool:
    """Whether streams are read from fields of their own."""
    return bool(getattr(source, "field_bands", None) or getattr(source, "members", None) or hasattr(source, "bands_of"))

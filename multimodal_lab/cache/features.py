"""Train on cached features of the backbones that are frozen: encode every sample once, then look the features up."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Mapping, Sequence
from copy import copy
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn

from multimodal_lab.cache import facts
from multimodal_lab.cache.encode import encode
from multimodal_lab.cache.encodings import Encodings, Lookup
from multimodal_lab.cache.index_collator import IndexCollator
from multimodal_lab.cache.store import CacheError, CacheStore, key
from multimodal_lab.cache.texts import TextEncodings, TextLookup, encode_texts
from multimodal_lab.cache.unchanged import Augment, require_ops_elsewhere
from multimodal_lab.data.loading.collate import Collator
from multimodal_lab.device.eval_mode import restored_modes
from multimodal_lab.system import System


class CachedFeatures(CacheStore):
    """The feature cache of a run; root: see `CacheStore`. It also caches fitted statistics.

    notes: what was encoded and what was kept, and which streams are encoded at every step, a sentence a stream.
    """

    def __init__(self, *, root: str | None = None) -> None:
        super().__init__(root)
        self.notes: list[str] = []

    def serve(
        self, system: System, data: Any, augment: Callable[..., Any], nodes: Mapping[str, Any], device: torch.device
    ) -> Augment:
        """Switch `system` and `data` to cached features; returns the augmentation to train with.

        In place: batches of `data` carry row numbers for the streams whose backbones are frozen, and these, whose weights stay
        for the checkpoints, look them up. The other streams are read and encoded as ever. augment: its factory. nodes: the
        config of each stream's backbone. What is kept already is not encoded again, and if that is all there is to read, no
        sample is. `ValueError` where no stream's features can be kept, or the augmentation changes one whose are.
        """
        moving = left_out(system)
        cached = [name for name in data.streams if name not in moving]
        given: Augment = augment(streams=data.streams).to(device)
        require_ops_elsewhere(given, cached)
        whole = data.stack
        plain, sources, moved = _apart(whole)
        data.restack(plain)
        own = {name: facts.encoding(system, data, name, nodes[name], device, moved.get(name, {})) for name in cached}
        tables, made = self._tables(own, partial(_encoded, system, data, given, device))
        self.notes += [f"features: {name} is encoded at every step: its backbone {why}" for name, why in moving.items()]
        data.reader.kept.clear()
        data.restack(IndexCollator(tables, sources, whole))
        if data.stack.rest is None:
            data.workers = 0  # no sample is read any more: a loading process would only copy row numbers
        else:
            arrays = [name for name in made if not isinstance(tables[name], TextEncodings)]
            data.read_all(seen=bool(arrays) and not data.workers)  # what processes have read leaves no digests here
        for name, table in tables.items():
            backbone: Any = system.backbones.each[name]
            there = table.to(device)
            # on the instance, so that names and state_dict are untouched
            backbone.__dict__["forward"] = (
                TextLookup(there, backbone.forward) if isinstance(there, TextEncodings) else Lookup(there)
            )
            # the features were made of normalised inputs; what comes here is a row number
            system.normalise[name].active = False  # type: ignore[assignment]
        # A row number stands for each array: no kind of its own, and as a vector nothing looks for height and width.
        numbers = {
            name: replace(data.streams[name], kind="vector")
            for name, table in tables.items()
            if not isinstance(table, TextEncodings)
        }
        served: Augment = augment(streams={**data.streams, **numbers}).to(device)
        return served

    def _tables(
        self, own: Mapping[str, dict[str, Any]], make: Callable[[Sequence[str]], dict[str, Encodings]]
    ) -> tuple[dict[str, Encodings], list[str]]:
        """{stream: table} by the facts of each, and of which streams they were made now, by one process: what was not kept."""
        first = {key(its): name for name, its in reversed(list(own.items()))}  # streams of one key are encoded once
        found = {k: self._kept(own[name]) for k, name in first.items()}
        # in one order in every process: two that want the same entries can't each hold what the other waits for
        missing = {k: name for k, name in sorted(first.items()) if found[k] is None}
        with contextlib.ExitStack() as held:
            for name in missing.values():
                held.enter_context(self.alone(own[name]))
            found |= {k: self._kept(own[name]) for k, name in missing.items()}  # another process may have made it
            missing = {k: name for k, name in missing.items() if found[k] is None}
            began = time.monotonic()
            made = make(list(missing.values())) if missing else {}
            for name, table in made.items():
                self.put_tensors(own[name], vars(table))
            found |= {k: self._kept(own[name]) for k, name in missing.items()}
        took = f"encoded in {time.monotonic() - began:.1f} s"
        tables = {name: _there(found[key(its)], self.folder(its)) for name, its in own.items()}
        for name, its in own.items():
            how = took if key(its) in missing else "kept"
            self.notes.append(f"features: {name}, {_size(tables[name])}, {how}: {self.folder(its)}")
        return tables, list(missing.values())

    def _kept(self, its: Mapping[str, Any]) -> Encodings | None:
        found = self.get_tensors(its)
        return None if found is None else (TextEncodings if "words" in found else Encodings)(**found)


def _encoded(
    system: System, data: Any, augment: Augment, device: torch.device, names: Sequence[str]
) -> dict[str, Encodings]:
    """The tables of the streams `names`: of arrays in one pass over the data, of texts each in its own."""
    texts = [name for name in names if data.reader.kinds[name].drawn_each_epoch]
    arrays = [name for name in names if name not in texts]
    found = encode(system, data, arrays, augment=augment, device=device) if arrays else {}
    return {**found, **{name: encode_texts(system, data, name, device) for name in texts}}


def left_out(system: System) -> dict[str, str]:
    """{stream: what its backbone does so that its features can't be kept}; `ValueError` where that is every stream."""
    each = system.backbones.each
    found = {n: moves(each[n]) if n in each else "reads several streams together" for n in system.streams}
    if all(found.values()):
        name, why = next(iter(found.items()))
        raise ValueError(
            f"cache=features: the backbone of stream {name} {why}, and those of no other stream are frozen, so that features "
            "change while training; give backbone.freeze=true or adapt=freeze, or cache=none"
        )
    return {name: why for name, why in found.items() if why}


def moves(backbone: nn.Module) -> str:
    """What in a backbone may change during training, or ""."""
    trained = [name for name, p in backbone.named_parameters() if p.requires_grad]
    if trained:
        return f"trains ({trained[0]})"
    with restored_modes(backbone):
        backbone.train()
        awake = [name for name, m in backbone.named_modules() if m.training]
    return f"leaves evaluation mode when training begins ({awake[0] or 'all of it'})" if awake else ""


def _apart(whole: Collator) -> tuple[Collator, dict[str, np.ndarray], dict[str, dict[str, np.ndarray]]]:
    """A collator that re-pairs no whole stream, which the lookup does; the sources of those; and, by stream, bands that are
    re-paired, which encoding must see.
    """
    mixed = [name for name, places in whole.bands.items() if places is not None and name in whole.sources]
    sources = {name: source for name, source in whole.sources.items() if name not in mixed}
    plain = copy(whole)
    plain.sources = {name: whole.sources[name] for name in mixed}
    bands = {n: {"from": plain.sources[n], "bands": np.asarray(whole.bands[n], np.int64)} for n in mixed}
    return plain, sources, bands


def _there(table: Encodings | None, folder: Path) -> Encodings:
    if table is None:
        raise CacheError(f"cache.root: {folder} was written and can't be read back; give another cache.root")
    return table


def _size(table: Encodings) -> str:
    texts = f", {len(table.words) - 1} texts" if isinstance(table, TextEncodings) else ""
    return f"{len(table.present)} samples{texts}, {table.size / 2**20:.1f} MB"

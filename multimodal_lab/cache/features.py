"""Train on cached features of frozen backbones: encode every sample once, then look the features up."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn

from multimodal_lab.cache import facts
from multimodal_lab.cache.encode import Augment, encode
from multimodal_lab.cache.encodings import Encodings, IndexCollator, Lookup
from multimodal_lab.cache.store import CacheError, CacheStore, key
from multimodal_lab.data.loading.collate import Collator
from multimodal_lab.evaluate.eval_mode import restored_modes
from multimodal_lab.system import System


class CachedFeatures(CacheStore):
    """The feature cache of a run whose backbones are frozen; root: see `CacheStore`. It also caches fitted statistics.

    notes: what was encoded and what was kept, a sentence a stream.
    """

    def __init__(self, *, root: str | None = None) -> None:
        super().__init__(root)
        self.notes: list[str] = []

    def serve(
        self, system: System, data: Any, augment: Callable[..., Any], nodes: Mapping[str, Any], device: torch.device
    ) -> Augment:
        """Switch `system` and `data` to cached features; returns the augmentation to train with.

        In place: batches of `data` carry row numbers, and the backbones, whose weights stay for the checkpoints, look them up.
        augment: its factory. nodes: the config of each stream's backbone. What is kept already is not encoded again, and
        if all is, no sample is read. `ValueError` where a backbone isn't frozen or reads several streams.
        """
        require_frozen(system)
        given: Augment = augment(streams=data.streams).to(device)
        sources, moved = _apart(data.stack)
        own = {
            name: facts.encoding(system, data, name, nodes[name], device, moved.get(name, {})) for name in data.streams
        }
        tables = self._tables(own, partial(encode, system, data, augment=given, device=device))
        data.reader.kept.clear()
        # no sample is read any more: a loading process would only copy row numbers
        data.stack, data.workers = IndexCollator(tables, sources), 0
        for name, table in tables.items():
            # the features were made of normalised inputs; what comes here is a row number
            system.normalise[name].active = False  # type: ignore[assignment]
            # on the instance, so that names and state_dict are untouched
            system.backbones.each[name].__dict__["forward"] = Lookup(table.to(device))
        # A row number stands for each input: no kind of its own, and as a vector nothing looks for height and width.
        rows = augment(streams={n: replace(s, kind="vector") for n, s in data.streams.items()})
        served: Augment = rows.to(device)
        return served

    def _tables(
        self, own: Mapping[str, dict[str, Any]], make: Callable[[Sequence[str]], dict[str, Encodings]]
    ) -> dict[str, Encodings]:
        """{stream: table} by the facts of each; what is not kept yet is made in one pass, by one process."""
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
        for k, name in first.items():
            self.notes.append(
                f"features: {name}, {_size(found[k])}, {took if k in missing else 'kept'}: {self.root / k}"
            )
        return {name: _there(found[key(its)], self.folder(its)) for name, its in own.items()}

    def _kept(self, its: Mapping[str, Any]) -> Encodings | None:
        found = self.get_tensors(its)
        return None if found is None else Encodings(**found)


def require_frozen(system: System) -> None:
    """`ValueError` unless every stream has its own backbone and that is frozen."""
    if system.backbones.shared is not None:
        raise ValueError(
            "cache=features: the backbone reads several streams together, and features are cached stream by stream; choose "
            "a backbone for each, or cache=none"
        )
    for name, backbone in system.backbones.each.items():
        if why := moves(backbone):
            raise ValueError(
                f"cache=features: the backbone of stream {name} {why}, so that its features change while training; give "
                "backbone.freeze=true or adapt=freeze, or cache=none"
            )


def moves(backbone: nn.Module) -> str:
    """What in a backbone may change during training, or ""."""
    trained = [name for name, p in backbone.named_parameters() if p.requires_grad]
    if trained:
        return f"trains ({trained[0]})"
    with restored_modes(backbone):
        backbone.train()
        awake = [name for name, m in backbone.named_modules() if m.training]
    return f"leaves evaluation mode when training begins ({awake[0] or 'all of it'})" if awake else ""


def _apart(stack: Collator) -> tuple[dict[str, np.ndarray], dict[str, dict[str, np.ndarray]]]:
    """Whole streams that are re-paired, which the lookup does; and, by stream, bands that are, which encoding must see.

    The stacker is left with the second.
    """
    mixed = [name for name, places in stack.bands.items() if places is not None and name in stack.sources]
    whole = {name: source for name, source in stack.sources.items() if name not in mixed}
    stack.sources = {name: stack.sources[name] for name in mixed}
    return whole, {n: {"from": stack.sources[n], "bands": np.asarray(stack.bands[n], np.int64)} for n in mixed}


def _there(table: Encodings | None, folder: Path) -> Encodings:
    if table is None:
        raise CacheError(f"cache.root: {folder} was written and can't be read back; give another cache.root")
    return table


def _size(table: Encodings | None) -> str:
    return "" if table is None else f"{len(table.present)} samples, {table.size / 2**20:.1f} MB"

"""Load frozen encoders from finished runs; refuse any that were trained on samples held out here."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
from torch import Tensor

from multimodal_lab.adapt import freeze
from multimodal_lab.checkpoint.store import CheckpointStore, weights
from multimodal_lab.data.fitted_cache import choices
from multimodal_lab.data.record import choice
from multimodal_lab.runs import directory
from multimodal_lab.runs.hashes import SUMMARY
from multimodal_lab.runs.records import DATA, read_config, read_record
from multimodal_lab.system import System
from multimodal_lab.text import nearest

EACH = "backbones.each."
freezes = ("backbones",)
runs_argument = "runs"


class EncoderError(ValueError):
    """A trained run whose encoders cannot be used here: which run, what was found, what was expected."""


@dataclass(frozen=True)
class Trained:
    """A finished run as a source of encoders: its data record, weights and checkpoint."""

    folder: Path
    record: dict[str, Any]
    weights: dict[str, Tensor]
    checkpoint: Path

    def stream(self, bands: list[str], kind: str, name: str) -> str | None:
        """Its stream of these bands; of several, the one most like `name`."""
        own = self.record["streams"]
        same = [
            n for n, s in own.items() if s["kind"] == kind and not s["target"] and [b[0] for b in s["bands"]] == bands
        ]
        same = [n for n in same if any(k.startswith(f"{EACH}{n}.") for k in self.weights)]
        return next(iter(nearest(name, same)), None)


def encoders(system: System, *, data: Any, runs: list[str]) -> None:
    """Give each stream the backbone, and the normalisation, of the run in `runs` that was trained on the same bands; freeze all.

    data: what `system` will be trained and judged on; None where its weights will be loaded anyhow. Raises `EncoderError` where
    no run has a stream's bands, a run isn't finished, saw its inputs otherwise than this one, or was trained on samples or
    groups that are held out here.
    """
    if system.backbones.shared is not None:
        raise EncoderError("adapt=encoders: a shared backbone reads several streams; choose one for each")
    if data is not None:
        found = [load(run) for run in runs]
        taken = [_give(system, data, name, found) for name in system.backbones.each]
        for run in {id(run): run for run in taken}.values():
            require_unseen(run, data)
    freeze.freeze(system, modules=["backbones"])


def load(run: str) -> Trained:
    """The record and weights of a finished run: its best checkpoint if it monitored a score, else the newest."""
    folder = Path(run).expanduser()
    for name in (SUMMARY, DATA, directory.CONFIG):
        if not (folder / name).is_file():
            raise EncoderError(f"adapt.runs: {folder} is no finished run (expected {name} in it)")
    at = (folder / SUMMARY).stat()
    return _loaded(folder, at.st_mtime_ns)


@lru_cache(maxsize=8)
def _loaded(folder: Path, _: int) -> Trained:
    """Memoised per process: the jobs of a study share their encoders."""
    record = read_record(folder)
    monitor = read_config(folder)["train"].get("monitor")
    store = CheckpointStore(folder / "checkpoints", 1)
    path = (store.best() if monitor else None) or store.newest()
    if path is None:
        raise EncoderError(f"adapt.runs: {folder} has no checkpoint")
    return Trained(folder, record, weights(path), path)


def _give(system: System, data: Any, name: str, found: Sequence[Trained]) -> Trained:
    stream = data.streams[name]
    bands = [b.name for b in stream.bands]
    giver = next(((t, s) for t in found if (s := t.stream(bands, stream.kind, name)) is not None), None)
    if giver is None:
        there = "; ".join(f"{t.folder} has {', '.join(t.record['streams'])}" for t in found) or "no run is given"
        raise EncoderError(
            f"adapt.runs: stream {name} takes {', '.join(bands) or stream.kind}, and no run has a backbone for that; {there}"
        )
    run, its = giver
    _require_same_inputs(run, its, data, name)
    for module, prefix in (
        (system.backbones.each[name], f"{EACH}{its}."),
        (system.normalise[name], f"normalise.{its}."),
    ):
        own = {k.removeprefix(prefix): v for k, v in run.weights.items() if k.startswith(prefix)}
        try:
            module.load_state_dict(own)
        except RuntimeError as error:
            why = " ".join(str(error).split()).partition(":")[2].strip()[:200]
            raise EncoderError(
                f"adapt.runs: the backbone of {its} in {run.folder} is not built as that of {name} here; choose the backbone "
                f"of that run ({why})"
            ) from error
    data.notes.append(f"encoder: {name} is {its} of {run.checkpoint}, frozen")
    return run


def _require_same_inputs(run: Trained, its: str, data: Any, name: str) -> None:
    """Scaled, resized and masked as in training, to the same facts."""
    for key, now in choices(data.reader).items():
        if (then := choice(run.record, key)) != now:
            raise EncoderError(f"data.{key}: {now} here, but {run.folder} was trained with {then}")
    fitted, before = data.reader.fitted[name], run.record["streams"][its]
    if fitted.tokenizer != before["tokenizer"]:
        here, there = (
            hashlib.sha256(text.encode()).hexdigest()[:8] for text in (fitted.tokenizer, before["tokenizer"])
        )
        raise EncoderError(
            f"adapt.runs: stream {name} has tokenizer {here} here, and {run.folder} read {its} with tokenizer {there}: the "
            f"same numbers mean other words; train encoders on this split of these data, with the same modality.{name}.vocab "
            "and tokens"
        )
    if data.streams[name].length != before["length"]:
        raise EncoderError(
            f"modality.{name}.length: {data.streams[name].length} here, but {run.folder} read {its} at {before['length']}; "
            f"add modality.{name}.length={before['length']}"
        )
    for key in ("scaling", "pca", "size"):
        if getattr(fitted, key) != before[key]:
            raise EncoderError(
                f"adapt.runs: {run.folder} saw stream {its} with another {key} than {name} has here, as it learnt it from "
                "other samples; train encoders on this split of these data"
            )


def require_unseen(run: Trained, data: Any) -> None:
    """No held-out sample, nor another of its group, took part in training or choosing the encoder."""
    names = [str(i) for i in data.samples["id"]]
    for held, parts in (("test", ("train", "val")), ("val", ("train",))):
        used = {i for part in parts for i in run.record["splits"].get(part, ())}
        known = np.fromiter((name in used for name in names), bool, len(names))
        rows = data.splits.get(held, np.zeros(0, dtype=np.int64))
        seen = rows[known[rows] | np.isin(data.groups[rows], np.unique(data.groups[known]))]
        if len(seen):
            raise EncoderError(
                f"adapt.runs: {run.folder} was trained on {len(seen)} of the {len(rows)} {held} samples here, or on others of "
                f"their groups (such as {names[seen[0]]}): scores would be of what the encoder has seen. Train encoders "
                f"on this split{_differs(run, data.facts)}"
            )


def _differs(run: Trained, facts: Mapping[str, Any]) -> str:
    seed = (read_config(run.folder)["data"].get("split") or {}).get("seed")
    same = run.record["split"] == facts["split"] and run.record["fingerprint"] == facts["fingerprint"]
    return f", or give that run's (data.split.seed={seed})" if same and seed is not None else ""

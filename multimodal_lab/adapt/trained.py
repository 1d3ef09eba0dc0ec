"""Finished runs whose weights a training begins with: read, and held to the inputs and the split of the data here."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

from torch import Tensor

from multimodal_lab.adapt.unseen import seen
from multimodal_lab.checkpoint.store import CheckpointStore, weights
from multimodal_lab.data.content import LEARNT_FROM, learnt_from
from multimodal_lab.data.fitted_cache import choices
from multimodal_lab.data.record import choice
from multimodal_lab.data.streams import taken_frames
from multimodal_lab.data.streams.own_scaling import of_stream
from multimodal_lab.runs import directory
from multimodal_lab.runs.hashes import SUMMARY
from multimodal_lab.runs.records import DATA, read_config, read_record
from multimodal_lab.text import nearest, show

EACH = "backbones.each."


class TrainedRunError(ValueError):
    """A finished run whose weights cannot be used here: which run, what was found, what was expected."""


@dataclass(frozen=True)
class Trained:
    """A finished run as a source of weights: its data record, weights and checkpoint; the key of the config that names it."""

    folder: Path
    record: dict[str, Any]
    weights: dict[str, Tensor]
    checkpoint: Path
    key: str = "adapt.runs"

    def stream(self, bands: list[str], kind: str, name: str) -> str | None:
        """Its stream of these bands; of several, the one most like `name`."""
        own = self.record["streams"]
        same = [
            n for n, s in own.items() if s["kind"] == kind and not s["target"] and [b[0] for b in s["bands"]] == bands
        ]
        same = [n for n in same if any(k.startswith(f"{EACH}{n}.") for k in self.weights)]
        return next(iter(nearest(name, same)), None)


def load(run: str, key: str = "adapt.runs") -> Trained:
    """The record and weights of a finished run: its best checkpoint if it monitored a score, else the newest.

    key: of the config, that names the run. `TrainedRunError` where it isn't finished, or has low-rank updates beside its layers.
    """
    folder = Path(run).expanduser()
    for name in (SUMMARY, DATA, directory.CONFIG):
        if not (folder / name).is_file():
            raise TrainedRunError(f"{key}: {folder} is no finished run (expected {name} in it)")
    at = (folder / SUMMARY).stat()
    return _loaded(folder, key, at.st_mtime_ns)


@lru_cache(maxsize=8)
def _loaded(folder: Path, key: str, _: int) -> Trained:
    """Memoised per process: the jobs of a study share their encoders."""
    record = read_record(folder)
    monitor = read_config(folder)["train"].get("monitor")
    store = CheckpointStore(folder / "checkpoints", 1)
    path = (store.best() if monitor else None) or store.newest()
    if path is None:
        raise TrainedRunError(f"{key}: {folder} has no checkpoint")
    own = weights(path)
    if any(".lora_" in name for name in own):
        raise TrainedRunError(
            f"{key}: {folder} holds low-rank updates beside its layers; merge them first: "
            f"python -m multimodal_lab.merge run={folder} out={folder}_merged"
        )
    return Trained(folder, record, own, path, key)


def require_same_inputs(run: Trained, its: str, data: Any, name: str) -> None:
    """Scaled, resized and masked as in training, to the same facts."""
    kind, plan = data.reader.kinds[name], data.reader.plans[name]
    for key, now in choices(data.reader).items() if kind.has_bands else ():
        then = choice(run.record, key)
        if key == "scaling":  # of this stream alone: sources that are joined have policies of their own
            now = of_stream(now, name, {"field": plan.stored.field})
            then = of_stream(then, its, run.record["modality"].get(its, {}))
        if then != now and (key != "resize" or kind.spatial):
            raise TrainedRunError(f"data.{key}: {now} here, but {run.folder} was trained with {then}")
    fitted, before = data.reader.fitted[name], run.record["streams"][its]
    own, theirs = plan.resize, before.get("resize", {})
    if own != theirs:
        raise TrainedRunError(
            f"modality.{name}: resized by {show(own) if own else 'data.size'} here, but {run.folder} read {its} resized by "
            f"{show(theirs) if theirs else 'data.size'}"
        )
    if fitted.tokenizer != before["tokenizer"]:
        here, there = (
            hashlib.sha256(text.encode()).hexdigest()[:8] for text in (fitted.tokenizer, before["tokenizer"])
        )
        raise TrainedRunError(
            f"{run.key}: stream {name} has tokenizer {here} here, and {run.folder} read {its} with tokenizer {there}: the "
            f"same numbers mean other words; train encoders on this split of these data, with the same modality.{name}.vocab "
            "and tokens"
        )
    if data.streams[name].length != before["length"]:
        raise TrainedRunError(
            f"modality.{name}.length: {data.streams[name].length} here, but {run.folder} read {its} at {before['length']}; "
            f"add modality.{name}.length={before['length']}"
        )
    for key in ("scaling", "pca", "size"):
        if getattr(fitted, key) != before[key]:
            raise TrainedRunError(
                f"{run.key}: {run.folder} saw stream {its} with another {key} than {name} has here, as it learnt it from "
                "other samples; train encoders on this split of these data"
            )


def other_frames(run: Trained, its: str, data: Any, name: str) -> list[str]:
    """A warning where a stream of videos has other frames here than the run was trained with."""
    own = taken_frames.of_stream(data.reader.source, data.reader.plans[name])
    here, there = taken_frames.difference(own, run.record["streams"][its].get("frames", {}))
    return [f"warning: stream {name} has the frames of {here} here, and {run.folder} was trained with {there}"] * bool(
        here
    )


def require_unseen(run: Trained, data: Any, streams: Mapping[str, str]) -> None:
    """No held-out sample, nor another of its group, took part in training or choosing the encoder.

    streams: {stream here: that of the run}. A sample is known by its name and, in these streams, by what it holds.
    """
    try:
        for held in ("test", "val"):
            if found := seen(run.record, data, held, streams):
                raise TrainedRunError(
                    f"{run.key}: {run.folder} was trained on {len(found)} of the {len(data.splits[held])} {held} samples here, "
                    f"or on others of their groups (such as {found[0]}): scores would be of what the encoder has seen. Train "
                    f"encoders on this split{_differs(run, data.facts)}"
                )
    except ValueError as error:
        if isinstance(error, TrainedRunError):
            raise
        raise TrainedRunError(f"{run.key}: {run.folder}: the digests of its samples are damaged ({error})") from error
    if any(learnt_from(run.record, its, LEARNT_FROM) is None for its in streams.values()):
        data.notes.append(
            f"warning: {run.folder} keeps no digests of the samples that it was trained on, as runs of an earlier version don't: "
            "whether it has seen held-out ones is known by their names alone"
        )


def _differs(run: Trained, facts: Mapping[str, Any]) -> str:
    seed = (read_config(run.folder)["data"].get("split") or {}).get("seed")
    same = run.record["split"] == facts["split"] and run.record["fingerprint"] == facts["fingerprint"]
    return f", or give that run's (data.split.seed={seed})" if same and seed is not None else ""

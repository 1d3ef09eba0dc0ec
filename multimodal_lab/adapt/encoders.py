"""Start from encoders of finished runs, frozen or fine-tuned; refuse any that were trained on samples held out here."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

from torch import Tensor

from multimodal_lab.adapt.freeze import freeze as freeze_modules
from multimodal_lab.adapt.unseen import seen
from multimodal_lab.checkpoint.store import CheckpointStore, left_out, weights
from multimodal_lab.data.content import LEARNT_FROM, learnt_from
from multimodal_lab.data.fitted_cache import choices
from multimodal_lab.data.record import choice
from multimodal_lab.data.streams import taken_frames
from multimodal_lab.data.streams.own_scaling import of_stream
from multimodal_lab.runs import directory
from multimodal_lab.runs.hashes import SUMMARY
from multimodal_lab.runs.records import DATA, read_config, read_record
from multimodal_lab.system import System
from multimodal_lab.text import expected_one_of, nearest, show

EACH = "backbones.each."
freezes = {"freeze": {True: ("backbones",), False: ()}}
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


def encoders(
    system: System,
    *,
    data: Any,
    runs: list[str],
    freeze: bool = True,
    strict: bool | dict[str, bool] = True,
    rebuild: bool = False,
) -> None:
    """Give each stream the backbone, and the normalisation, of the run in `runs` that was trained on the same bands.

    freeze: they stay as they are; else they are where the training begins. strict, of all streams or {stream: …}: every tensor
    comes from a run; where it is false, what fits is taken, and a stream that no run has a backbone for starts from scratch.
    data: what `system` will be trained and judged on; None where its weights will be loaded anyhow, with rebuild all but the
    frozen ones. Raises `EncoderError` where no run has a stream's bands, a run isn't finished, saw its inputs otherwise than
    this one, or was trained on samples or groups that are held out here.
    """
    if system.backbones.shared is not None:
        raise EncoderError("adapt=encoders: a shared backbone reads several streams; choose one for each")
    names = list(system.backbones.each)
    if isinstance(strict, dict) and (odd := [name for name in strict if name not in names]):
        raise EncoderError(f"adapt.strict.{odd[0]}: no such stream; {expected_one_of(odd[0], names)}")
    if data is not None or (rebuild and freeze):
        found = [load(run) for run in runs]
        whole = {name: strict.get(name, True) if isinstance(strict, dict) else strict for name in names}
        taken: dict[int, tuple[Trained, dict[str, str]]] = {}
        for name in names:
            if (given := _give(system, data, name, found, whole[name], freeze)) is not None:
                taken.setdefault(id(given[0]), (given[0], {}))[1][name] = given[1]
        for run, streams in taken.values():
            if data is not None:
                require_unseen(run, data, streams)
    if freeze:
        freeze_modules(system, modules=["backbones"])


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
    own, gone = weights(path), left_out(path).get("names", ())
    if any(".lora_" in name for name in own if name.startswith(EACH)):
        raise EncoderError(
            f"adapt.runs: {folder} holds low-rank updates beside its layers; merge them first: "
            f"python -m multimodal_lab.merge run={folder} out={folder}_merged"
        )
    if backbones := [name for name in gone if name.startswith(EACH)]:
        raise EncoderError(
            f"adapt.runs: {path} holds the trained weights alone (train.save=trained), without {backbones[0]}; give the run, or "
            "the weights, that its frozen backbones came from"
        )
    return Trained(folder, record, own, path)


def _give(
    system: System, data: Any, name: str, found: Sequence[Trained], strict: bool, freeze: bool
) -> tuple[Trained, str] | None:
    """Load the backbone of one stream; the run and the stream that it is of, None where it starts from scratch."""
    stream, notes = system.streams[name], [] if data is None else data.notes
    bands = [b.name for b in stream.bands]
    giver = next(((t, s) for t in found if (s := t.stream(bands, stream.kind, name)) is not None), None)
    if giver is None:
        have = "; ".join(f"{t.folder} has {', '.join(t.record['streams'])}" for t in found) or "no run is given"
        said = f"stream {name} takes {', '.join(bands) or stream.kind}, and no run has a backbone for that; {have}"
        if strict:
            raise EncoderError(f"adapt.runs: {said}")
        _require_trained(name, freeze, said)
        notes.append(f"encoder: {name} starts from scratch")
        return None
    run, its = giver
    if data is not None:
        _require_same_inputs(run, its, data, name)
        here, there = taken_frames.difference(
            taken_frames.of_stream(data.reader.source, data.reader.plans[name]),
            run.record["streams"][its].get("frames", {}),
        )
        notes += [f"warning: encoder: {name} has the frames of {here} here, and was trained with {there}"] * bool(here)
    backbone, normalise = system.backbones.each[name], system.normalise[name]
    own = {k.removeprefix(f"{EACH}{its}."): v for k, v in run.weights.items() if k.startswith(f"{EACH}{its}.")}
    there = backbone.state_dict()
    left = [] if strict else [k for k in there if k not in own or own[k].shape != there[k].shape]
    if left:
        _require_trained(name, freeze, f"{run.folder} lacks {len(left)} of {len(there)} tensors of {name} ({left[0]})")
    if not strict:
        own = {k: there[k] if k in left else own[k] for k in there}
    try:
        if len(left) == len(there):
            raise RuntimeError("none of its tensors: has the same name and shape")
        backbone.load_state_dict(own)
    except RuntimeError as error:
        why = " ".join(str(error).split()).partition(":")[2].strip()[:200]
        cure = " or take what fits with adapt.strict=false adapt.freeze=false" if strict else ""
        raise EncoderError(
            f"adapt.runs: the backbone of {its} in {run.folder} is not built as that of {name} here; choose the backbone "
            f"of that run{cure} ({why})"
        ) from error
    prefix = f"normalise.{its}."
    normalise.load_state_dict({k.removeprefix(prefix): v for k, v in run.weights.items() if k.startswith(prefix)})
    how = "frozen" if freeze else "to be trained on"
    less = f", but for {len(left)} of {len(there)} tensors, such as {left[0]}" if left else ""
    notes.append(f"encoder: {name} is {its} of {run.checkpoint}{less}, {how}")
    return run, its


def _require_trained(name: str, freeze: bool, said: str) -> None:
    """What starts from scratch is trained."""
    if freeze:
        raise EncoderError(
            f"adapt.strict: {said}, and adapt.freeze=true would freeze it untrained; add adapt.freeze=false"
        )


def _require_same_inputs(run: Trained, its: str, data: Any, name: str) -> None:
    """Scaled, resized and masked as in training, to the same facts."""
    kind, plan = data.reader.kinds[name], data.reader.plans[name]
    for key, now in choices(data.reader).items() if kind.has_bands else ():
        then = choice(run.record, key)
        if key == "scaling":  # of this stream alone: sources that are joined have policies of their own
            now = of_stream(now, name, {"field": plan.stored.field})
            then = of_stream(then, its, run.record["modality"].get(its, {}))
        if then != now and (key != "resize" or kind.spatial):
            raise EncoderError(f"data.{key}: {now} here, but {run.folder} was trained with {then}")
    fitted, before = data.reader.fitted[name], run.record["streams"][its]
    own, theirs = plan.resize, before.get("resize", {})
    if own != theirs:
        raise EncoderError(
            f"modality.{name}: resized by {show(own) if own else 'data.size'} here, but {run.folder} read {its} resized by "
            f"{show(theirs) if theirs else 'data.size'}"
        )
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


def require_unseen(run: Trained, data: Any, streams: Mapping[str, str]) -> None:
    """No held-out sample, nor another of its group, took part in training or choosing the encoder.

    streams: {stream here: that of the run}. A sample is known by its name and, in these streams, by what it holds.
    """
    try:
        for held in ("test", "val"):
            if found := seen(run.record, data, held, streams):
                raise EncoderError(
                    f"adapt.runs: {run.folder} was trained on {len(found)} of the {len(data.splits[held])} {held} samples here, "
                    f"or on others of their groups (such as {found[0]}): scores would be of what the encoder has seen. Train "
                    f"encoders on this split{_differs(run, data.facts)}"
                )
    except ValueError as error:
        if isinstance(error, EncoderError):
            raise
        raise EncoderError(f"adapt.runs: {run.folder}: the digests of its samples are damaged ({error})") from error
    if any(learnt_from(run.record, its, LEARNT_FROM) is None for its in streams.values()):
        data.notes.append(
            f"warning: {run.folder} keeps no digests of the samples that it was trained on, as runs of an earlier version don't: "
            "whether it has seen held-out ones is known by their names alone"
        )


def _differs(run: Trained, facts: Mapping[str, Any]) -> str:
    seed = (read_config(run.folder)["data"].get("split") or {}).get("seed")
    same = run.record["split"] == facts["split"] and run.record["fingerprint"] == facts["fingerprint"]
    return f", or give that run's (data.split.seed={seed})" if same and seed is not None else ""

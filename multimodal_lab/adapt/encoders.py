"""Start from encoders of finished runs, frozen or fine-tuned; refuse any that were trained on samples held out here."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from multimodal_lab.adapt.freeze import freeze as freeze_modules
from multimodal_lab.adapt.trained import (
    EACH,
    Trained,
    TrainedRunError,
    load,
    other_frames,
    require_same_inputs,
    require_unseen,
)
from multimodal_lab.checkpoint.store import left_out
from multimodal_lab.system import System
from multimodal_lab.text import expected_one_of

freezes = {"freeze": {True: ("backbones",), False: ()}}
runs_argument = "runs"


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
    frozen ones. Raises `TrainedRunError` where no run has a stream's bands, a run isn't finished, saw its inputs otherwise than
    this one, or was trained on samples or groups that are held out here.
    """
    if system.backbones.shared is not None:
        raise TrainedRunError("adapt=encoders: a shared backbone reads several streams; choose one for each")
    names = list(system.backbones.each)
    if isinstance(strict, dict) and (odd := [name for name in strict if name not in names]):
        raise TrainedRunError(f"adapt.strict.{odd[0]}: no such stream; {expected_one_of(odd[0], names)}")
    if data is not None or (rebuild and freeze):
        found = [_whole(load(run)) for run in runs]
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


def _whole(run: Trained) -> Trained:
    """The same run, if its checkpoint holds its backbones."""
    if backbones := [name for name in left_out(run.checkpoint).get("names", ()) if name.startswith(EACH)]:
        raise TrainedRunError(
            f"adapt.runs: {run.checkpoint} holds the trained weights alone (train.save=trained), without {backbones[0]}; give "
            "the run, or the weights, that its frozen backbones came from"
        )
    return run


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
            raise TrainedRunError(f"adapt.runs: {said}")
        _require_trained(name, freeze, said)
        notes.append(f"encoder: {name} starts from scratch")
        return None
    run, its = giver
    if data is not None:
        require_same_inputs(run, its, data, name)
        notes += other_frames(run, its, data, name)
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
        raise TrainedRunError(
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
        raise TrainedRunError(
            f"adapt.strict: {said}, and adapt.freeze=true would freeze it untrained; add adapt.freeze=false"
        )

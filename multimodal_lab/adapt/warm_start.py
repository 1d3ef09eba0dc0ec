"""Begin a training with all weights of a finished run of the same system, before it is adapted: `train.warm_start=RUN`."""

from __future__ import annotations

from typing import Any

from multimodal_lab.adapt.trained import (
    Trained,
    TrainedRunError,
    load,
    other_frames,
    require_same_inputs,
    require_unseen,
)
from multimodal_lab.checkpoint.frozen import require_known
from multimodal_lab.checkpoint.store import left_out
from multimodal_lab.runs.aliases import upgrade_weight
from multimodal_lab.runs.records import is_previous
from multimodal_lab.system import System
from multimodal_lab.text import expected_one_of

KEY = "train.warm_start"


def warm_start(system: System, run: str, data: Any) -> None:
    """Give `system`, which isn't adapted yet, every weight of the finished run `run`: backbones, heads, what its loss has learnt.

    So are heads trained on frozen towers first, and then the towers with them, which random heads would distort (Kumar et al.
    2022, LP-FT). data: what `system` will be trained and judged on; None where its weights will be loaded anyhow. Frozen weights
    that the run's checkpoint left out must be in `system`, bit for bit. Its optimizer, schedule and steps are not continued.
    `TrainedRunError` for a run that isn't finished, is of another system, saw its inputs otherwise, or was trained on samples or
    groups that are held out here; `CheckpointError` for other frozen weights.
    """
    given = load(run, KEY)
    if data is not None:
        streams = {name: name for name in data.streams}
        for name in streams:
            if name not in given.record["streams"]:
                near = expected_one_of(name, list(given.record["streams"]))
                raise TrainedRunError(f"{KEY}: {given.folder} has no stream {name!r}; {near}")
            require_same_inputs(given, name, data, name)
            data.notes += other_frames(given, name, data, name)
        require_unseen(given, data, streams)
    apart = _fill(system, given)
    if data is not None:
        but = f", but for {', '.join(apart)} of the loss" if apart else ""
        data.notes.append(f"warm start: all weights are those of {given.checkpoint}{but}")


def _fill(system: System, given: Trained) -> list[str]:
    """Load every weight; one that a side lacks or has in another shape is named; of the loss, such are left, and returned."""
    there, gone = system.state_dict(), left_out(given.checkpoint)
    rename = upgrade_weight if is_previous(given.folder) else str
    # a teacher is a copy of what the training begins with
    own = {rename(k): v for k, v in given.weights.items() if not k.startswith("teacher.")}
    shapes = [{k: tuple(v.shape) for k, v in state.items()} for state in (there, own)]
    odd = [k for k in {**there, **own} if shapes[0].get(k) != shapes[1].get(k) and k not in gone.get("names", ())]
    for name in odd:
        if not name.startswith("losses."):
            here, its = (state.get(name, "none") for state in shapes)
            raise TrainedRunError(
                f"{KEY}: {name} is {here} here, and {its} in {given.folder}; choose the modality, backbone, fusion and head of "
                "that run: adapt and loss alone may be others"
            )
    if gone:
        require_known(there, gone, given.checkpoint)
    system.load_state_dict({**there, **{k: v for k, v in own.items() if k not in odd}})
    return odd

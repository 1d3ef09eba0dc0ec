"""Resume: the facts that must match for it to be exact, and the checkpoint it starts from."""

from __future__ import annotations

import importlib.metadata
import platform
from collections.abc import Mapping, Sequence
from typing import Any, Literal

import torch

from multimodal_lab.checkpoint.state import State, TrainingState
from multimodal_lab.checkpoint.store import CheckpointStore, load, read_state
from multimodal_lab.device import distributed
from multimodal_lab.log.log import Log
from multimodal_lab.metric import direction
from multimodal_lab.runs.hashes import comparable, flat, incomparable, source_hash

Resume = Literal["never", "auto", "drift"]
FINGERPRINT = "data fingerprint"
CONFIG = ("seed", "modality", "system", "augment", "optim", "train", "adapt", "cache", "data")


def facts(
    plain: Mapping[str, Any], data: Any, device: torch.device, scored: Sequence[direction.Scored] = ()
) -> dict[str, Any]:
    """Plain facts of a resolved config, its prepared data and this machine; a checkpoint carries them, `fit` compares them.

    scored: what evaluators state of their scores, so that `train.mode=auto` is reported as what it comes to.
    """
    found: dict[str, Any] = {}
    for key in CONFIG:
        found |= flat(plain[key], key)
    if "train.mode" in found:  # what it comes to: checkpoints from before `auto` say min or max
        found["train.mode"] = direction.resolve(found["train.mode"], found.get("train.monitor"), scored)
    return {**found, FINGERPRINT: data.fingerprint, **machine(device)}


def resume_from(store: CheckpointStore, parts: TrainingState, now: Mapping[str, Any], mode: Resume, log: Log) -> None:
    """Load the newest good checkpoint, if any, and cut the log back to it; refuse one that was made under other facts.

    `drift` goes on all the same: what changed is reported, and kept in the state permanently.
    """
    state = parts["state"]
    assert isinstance(state, State)
    if mode != "never":
        newest = store.newest() if distributed.rank() == 0 else None
        name = distributed.broadcast_text("" if newest is None else newest.name)
        if name:
            before = read_state(store.folder / name)
            changed = changes(before["facts"], now)
            if changed and mode != "drift":
                raise ValueError(
                    f"this run can't go on exactly: {'; '.join(changed)}. Restore these, start a new run, "
                    "or give resume=drift to go on with a run that is marked as changed"
                )
            load(store.folder / name, parts)
            state.facts, state.drift = dict(now), [*state.drift, *(f"step {state.step}: {c}" for c in changed)]
            log.say("\n".join([f"resumed from {store.folder / name} at step {state.step}", *state.drift]))
    log.rewind(state.logged)


def machine(device: torch.device) -> dict[str, Any]:
    """What the same config may compute other bits on."""
    cuda = device.type == "cuda"
    return {
        "world": distributed.world(),
        "device": torch.cuda.get_device_name(device) if cuda else device.type,
        "threads": None if cuda else torch.get_num_threads(),
        "python": platform.python_version(),
        "torch": torch.__version__,
        "cudnn": torch.backends.cudnn.version() if cuda else None,  # type: ignore[no-untyped-call]
        "numpy": importlib.metadata.version("numpy"),
        "kornia": importlib.metadata.version("kornia"),
        "tf32": [torch.backends.cuda.matmul.allow_tf32, torch.backends.cudnn.allow_tf32] if cuda else None,
        "matmul": torch.get_float32_matmul_precision(),
        "deterministic": torch.are_deterministic_algorithms_enabled(),
        "code": source_hash(),
    }


def changes(before: Mapping[str, Any], now: Mapping[str, Any]) -> list[str]:
    """One line a fact that differs: its name, the old value and the new one."""
    absent = "absent"
    return [
        _change(k, before.get(k, absent), now.get(k, absent))
        for k in sorted(before.keys() | now.keys())
        if before.get(k, absent) != now.get(k, absent)
    ]


def _change(name: str, then: Any, now: Any) -> str:
    if name == FINGERPRINT and not comparable(then, now):
        return f"{name}: {incomparable(then, now)}, so that it can't tell whether these data are the same"
    return f"{name}: was {then!r}, is {now!r}"

"""Checkpoint store: atomic save, hash verification, and resume from the newest valid checkpoint."""

from __future__ import annotations

import hashlib
import json
import os
import re
import shutil
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from multimodal_lab.checkpoint.frozen import FROZEN, require_known
from multimodal_lab.checkpoint.later import with_later
from multimodal_lab.checkpoint.manifest import CORRUPT, MANIFEST, CheckpointError, manifest, verify
from multimodal_lab.checkpoint.safetensors_reader import read as read_tensors
from multimodal_lab.checkpoint.safetensors_writer import write
from multimodal_lab.checkpoint.state import State, TrainingState, join, require_parts, require_same, size, split
from multimodal_lab.files import retried, write_bytes
from multimodal_lab.runs.guarded import read_json
from multimodal_lab.text import printable

STATE = "state.json"
NAME = re.compile(r"step_\d+(_\d\d+)?")


class CheckpointStore:
    """The checkpoints of one run, `folder/step_00000123/`, the newest `keep` of them and the best."""

    def __init__(self, folder: Path, keep: int) -> None:
        self.folder, self.keep = folder, keep

    def require_space(self, parts: TrainingState) -> None:
        """Refuse to start where `keep` + 1 checkpoints and the best won't fit beside what else is on the disk."""
        # the newest `keep`, the best, and the one that is being written
        needed = (self.keep + 2) * size(parts)
        there = next(p for p in self.folder.parents if p.exists())
        free = shutil.disk_usage(there).free + sum(p.stat().st_size for p in self.folder.rglob("*") if p.is_file())
        if needed > free:
            raise CheckpointError(
                f"{self.folder}: {needed:,} bytes needed for checkpoints, {free:,} free; lower train.keep_last"
            )

    def save(self, parts: TrainingState, best_step: int | None = None) -> Path:
        """Write a checkpoint atomically; the older ones stay intact. A failure is a `CheckpointError`."""
        require_parts(parts, "saving")
        final = self._put({name: part.state_dict() for name, part in parts.items()})
        self._prune(best_step)
        return final

    def save_weights(self, system: nn.Module, step: int) -> Path:
        """Write a checkpoint of weights alone: it can be read as any other, and no training goes on from it."""
        return self._put({"model": system.state_dict(), "state": State(step=step).state_dict()})

    def _put(self, packed: Mapping[str, Mapping[str, Any]]) -> Path:
        name = f"step_{packed['state']['step']:08d}"
        aside = self.folder / f".tmp_{name}"
        try:
            self._sweep()
            aside.mkdir(parents=True)
            final = self._free_name(name)
            _write(aside, final.name, packed)
            # atomic: a folder with a checkpoint's name is whole. The rename itself is on the disk once its folder is synced
            os.rename(aside, final)
            _sync(self.folder)
            _sync(self.folder.parent)
        except (OSError, ValueError, TypeError) as error:
            shutil.rmtree(aside, ignore_errors=True)
            raise CheckpointError(
                f"{self.folder / name}: not saved ({error}); the checkpoints before it are intact"
            ) from error
        return final

    def all(self) -> list[Path]:
        """Oldest first. A folder that can't be listed is an `OSError`, never an empty list (as `glob` would have it)."""
        names = retried(lambda: os.listdir(self.folder)) if self.folder.exists() else []
        return sorted(self.folder / name for name in names if NAME.fullmatch(name))

    def newest(self) -> Path | None:
        """The newest valid checkpoint, all hashes verified; damaged ones are renamed `.corrupt`.

        `CheckpointError` where all are damaged, or where one can't be read: that is no damage, and an older one no answer.
        """
        found = self.all()
        for path in reversed(found):
            if (reason := verify(path)) is None:
                return path
            told = printable(f"checkpoint {path} is damaged ({reason})", one_line=True)
            print(f"{told}; set aside as {self._quarantine(path).name}", flush=True)
        if found or (self.folder.exists() and any(CORRUPT in name for name in os.listdir(self.folder))):
            raise CheckpointError(f"{self.folder}: all checkpoints are damaged; start a new run")
        return None

    def best(self) -> Path | None:
        """The checkpoint with the best monitored score, as the newest one records it, if any; a damaged one is an error."""
        newest = self.newest()
        step = None if newest is None else read_state(newest).get("best_step")
        if step is None:
            return None
        found = [p for p in self.all() if _step(p) == step]
        if not found:
            raise CheckpointError(f"{self.folder}: the best checkpoint, of step {step}, is not here")
        return found[-1]

    def _free_name(self, wanted: str) -> Path:
        """A name of its own for a second save at one step: the first is never touched while the second is not whole."""
        path, n = self.folder / wanted, 1
        while path.exists():
            n += 1
            path = self.folder / f"{wanted}_{n:02d}"
        return path

    def _quarantine(self, path: Path) -> Path:
        n, aside = 1, path.with_name(path.name + CORRUPT)
        while aside.exists():
            n += 1
            aside = path.with_name(f"{path.name}{CORRUPT}{n}")
        os.rename(path, aside)
        return aside

    def _prune(self, best_step: int | None) -> None:
        try:
            found = self.all()
            best = [p for p in found if _step(p) == best_step][-1:]
            for path in found[: -self.keep]:
                if path not in best:
                    gone = path.with_name(f".old_{path.name}")  # half deleted, it must not look like a checkpoint
                    os.rename(path, gone)
                    shutil.rmtree(gone)
        except OSError as error:
            raise CheckpointError(f"{self.folder}: saved, but an old checkpoint can't be removed ({error})") from error

    def _sweep(self) -> None:
        """Remove what a killed save left behind."""
        for name in os.listdir(self.folder) if self.folder.exists() else ():
            if name.startswith((".tmp_", ".old_")):
                shutil.rmtree(self.folder / name)


def read_state(folder: Path) -> dict[str, Any]:
    """The training progress saved in a checkpoint."""
    plain = _plain(folder)
    if not isinstance(plain.get("state"), dict):
        raise CheckpointError(f"{folder / STATE}: expected the state of a training in it")
    state: dict[str, Any] = join(plain["state"], {})
    return state


def _plain(folder: Path) -> dict[str, Any]:
    try:
        found = read_json(folder / STATE)
    except ValueError as error:
        raise CheckpointError(f"{folder / STATE}: can't be read ({error})") from error
    if not isinstance(found, dict):
        raise CheckpointError(f"{folder / STATE}: expected the parts of a training")
    return found


def load(folder: Path, parts: TrainingState) -> None:
    """Load a verified checkpoint into `parts`; one that is missing, unknown or does not fit is an error that names it."""
    require_parts(parts, "resuming")
    plain = _plain(folder)
    require_parts(plain, str(folder / STATE), like=parts)
    for name, part in parts.items():
        file = folder / f"{name}.safetensors"
        state = join(plain[name], read_tensors(file) if file.exists() else {})
        if name == "model":
            state = with_later(part, state)
            require_same(f"the model in {folder}", state, part.state_dict())
        part.load_state_dict(state)
        if isinstance(part, torch.optim.Optimizer):
            _keep_layout(part)


def load_weights(folder: Path, system: nn.Module, rename: Callable[[str], str] | None = None) -> None:
    """Load a checkpoint's weights into `system`, each renamed by `rename`. Every name must match.

    Of a checkpoint without frozen weights the rest must be in `system`, bit for bit; else `CheckpointError`.
    """
    found = {rename(k) if rename else k: v for k, v in weights(folder).items()}
    if left := left_out(folder):
        require_known(system.state_dict(), left, folder)
        found = {**system.state_dict(), **found}
    found = with_later(system, found)
    try:
        require_same(f"{folder}: the checkpoint", found, system.state_dict())
    except ValueError as error:
        raise CheckpointError(
            f"{error}; the run's config and data record say another system than it trained"
        ) from error
    system.load_state_dict(found)


def left_out(folder: Path) -> dict[str, Any]:
    """What a checkpoint says of the frozen weights that it does not hold: digest and names; {} where it holds all."""
    model = _plain(folder).get("model")
    found = model.get(FROZEN) if isinstance(model, dict) else None
    return found if isinstance(found, dict) and isinstance(found.get("names"), list) and "digest" in found else {}


def weights(folder: Path) -> dict[str, Tensor]:
    """The weights of a checkpoint by name, verified: the EMA if the run kept one."""
    if reason := verify(folder):
        raise CheckpointError(f"{folder}: {reason}")
    average = folder / "ema.safetensors"
    found = read_tensors(average if average.exists() else folder / "model.safetensors")
    return {k.removeprefix("weights."): v for k, v in found.items()} if average.exists() else found


def _write(folder: Path, name: str, packed: Mapping[str, Mapping[str, Any]]) -> None:
    plain, hashes = {}, {}
    for part, state in packed.items():
        tensors: dict[str, Tensor] = {}
        plain[part] = split(state, tensors)
        if tensors:
            hashes[f"{part}.safetensors"] = write(folder / f"{part}.safetensors", tensors)
    hashes[STATE] = _write_file(folder / STATE, json.dumps(plain, indent=1, allow_nan=False).encode())
    _write_file(folder / MANIFEST, manifest(name, hashes))
    _sync(folder)


def _keep_layout(optimizer: torch.optim.Optimizer) -> None:
    """Moments in the memory layout of their parameters: another one may add up in another order."""
    for parameter, moments in optimizer.state.items():
        for name, value in moments.items():
            if torch.is_tensor(value) and value.shape == parameter.shape:
                moments[name] = torch.empty_like(parameter, dtype=value.dtype).copy_(value)


def _step(path: Path) -> int:
    return int(path.name.split("_")[1])


def _write_file(path: Path, content: bytes) -> str:
    write_bytes(path, content)
    return hashlib.sha256(content).hexdigest()


def _sync(path: Path) -> None:
    fd = os.open(path, os.O_RDONLY)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)

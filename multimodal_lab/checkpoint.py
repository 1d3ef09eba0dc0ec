"""Checkpoints that are data: safetensors and JSON, written aside, hashed, then renamed; a damaged one is set aside, not used."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import nn

MANIFEST = "manifest.json"


class CheckpointError(RuntimeError):
    """A checkpoint that can't be written or read: the file and the reason."""


class Store:
    """The checkpoints of one run, `folder/step_00000123/`, the newest `keep` of them and the best."""

    def __init__(self, folder: Path, keep: int) -> None:
        self.folder, self.keep = folder, keep

    def require_space(self, system: nn.Module) -> None:
        """Refuse to start where `keep` + 2 checkpoints (weights and two moments each) won't fit."""
        size = 3 * sum(t.numel() * t.element_size() for t in system.state_dict().values())
        needed, free = (self.keep + 2) * size, shutil.disk_usage(self.folder.parent).free
        if needed > free:
            raise CheckpointError(
                f"{self.folder}: {needed:,} bytes needed for checkpoints, {free:,} free; lower train.keep"
            )

    def save(
        self, system: nn.Module, optimizer: torch.optim.Optimizer, state: Mapping[str, Any], best: bool = False
    ) -> Path:
        """Write weights, optimizer and `state` (plain JSON types); at every instant an older good checkpoint remains."""
        final = self.folder / f"step_{state['step']:08d}"
        aside = self.folder / f".tmp_{final.name}"
        shutil.rmtree(aside, ignore_errors=True)
        try:
            aside.mkdir(parents=True)
            write(aside, system, optimizer, state)
            shutil.rmtree(final, ignore_errors=True)
            os.rename(aside, final)
            _sync(self.folder)
            if best:
                _atomic(self.folder / "best.json", json.dumps({"checkpoint": final.name}).encode())
        except (OSError, SafetensorError) as error:
            shutil.rmtree(aside, ignore_errors=True)
            raise CheckpointError(f"{final}: not saved ({error}); the checkpoints before it are intact") from error
        self._prune()
        return final

    def all(self) -> list[Path]:
        """Oldest first."""
        return sorted(p for p in self.folder.glob("step_*") if p.is_dir() and not p.name.endswith(".corrupt"))

    def newest(self) -> Path | None:
        """The newest checkpoint whose every hash holds; damaged ones are renamed `.corrupt`. All damaged: an error."""
        found = self.all()
        for path in reversed(found):
            if (reason := fault(path)) is None:
                return path
            print(f"checkpoint {path} is damaged ({reason}); set aside as {path.name}.corrupt", flush=True)
            os.rename(path, path.with_name(path.name + ".corrupt"))
        if found:
            raise CheckpointError(f"{self.folder}: all {len(found)} checkpoints are damaged; start a new run")
        return None

    def best(self) -> Path | None:
        """The checkpoint with the best monitored score, if any."""
        pointer = self.folder / "best.json"
        return self.folder / json.loads(pointer.read_text())["checkpoint"] if pointer.is_file() else None

    def _prune(self) -> None:
        best = self.best()
        for path in self.all()[: -self.keep]:
            if path != best:
                shutil.rmtree(path)


def write(folder: Path, system: nn.Module, optimizer: torch.optim.Optimizer, state: Mapping[str, Any]) -> None:
    """The files of one checkpoint, the manifest with their hashes last."""
    weights = {k: _own(v) for k, v in system.state_dict().items()}
    packed = optimizer.state_dict()
    moments = {f"{i}.{k}": _own(v) for i, s in packed["state"].items() for k, v in s.items() if torch.is_tensor(v)}
    plain = {str(i): {k: v for k, v in s.items() if not torch.is_tensor(v)} for i, s in packed["state"].items()}
    save_file(weights, folder / "model.safetensors")
    save_file(moments, folder / "optimizer.safetensors")
    text = json.dumps({"state": dict(state), "groups": packed["param_groups"], "plain": plain}, indent=1)
    (folder / "state.json").write_text(text)
    hashes = {p.name: _hash(p) for p in sorted(folder.iterdir())}
    for path in folder.iterdir():
        _sync(path)
    _atomic(folder / MANIFEST, json.dumps(hashes, indent=1).encode())
    _sync(folder)


def fault(folder: Path) -> str | None:
    """Why this checkpoint can't be trusted, or None."""
    try:
        hashes: dict[str, str] = json.loads((folder / MANIFEST).read_bytes())
        wrong = [name for name, digest in hashes.items() if _hash(folder / Path(name).name) != digest]
    except (OSError, ValueError, AttributeError) as error:
        return f"{MANIFEST}: {error}"
    missing = {"model.safetensors", "optimizer.safetensors", "state.json"} - hashes.keys()
    if missing:
        return f"{MANIFEST} lacks {', '.join(sorted(missing))}"
    return f"{wrong[0]}: hash differs from {MANIFEST}" if wrong else None


def load_weights(folder: Path, system: nn.Module) -> None:
    """Weights and buffers of a verified checkpoint into `system`; every name must match."""
    if reason := fault(folder):
        raise CheckpointError(f"{folder}: {reason}")
    system.load_state_dict(load_file(folder / "model.safetensors"))


def load(folder: Path, system: nn.Module, optimizer: torch.optim.Optimizer) -> dict[str, Any]:
    """Weights and optimizer of a verified checkpoint; returns its `state`."""
    load_weights(folder, system)
    record = json.loads((folder / "state.json").read_text())
    tensors: dict[int, dict[str, Any]] = {int(i): dict(s) for i, s in record["plain"].items()}
    for key, value in load_file(folder / "optimizer.safetensors").items():
        index, name = key.split(".", 1)
        tensors.setdefault(int(index), {})[name] = value
    optimizer.load_state_dict({"state": tensors, "param_groups": record["groups"]})
    for parameter, moments in optimizer.state.items():
        for name, value in moments.items():
            if torch.is_tensor(value) and value.shape == parameter.shape:
                moments[name] = torch.empty_like(parameter, dtype=value.dtype).copy_(value)  # its memory format too
    state: dict[str, Any] = record["state"]
    return state


def _own(x: torch.Tensor) -> torch.Tensor:
    """A contiguous copy on the CPU that shares memory with nothing: tied weights are saved under each name."""
    return x.detach().cpu().clone(memory_format=torch.contiguous_format)


def _hash(path: Path) -> str:
    with path.open("rb") as f:
        return hashlib.file_digest(f, "sha256").hexdigest()


def _sync(path: Path) -> None:
    fd = os.open(path, os.O_RDONLY)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)


def _atomic(path: Path, content: bytes) -> None:
    aside = path.with_name(f".tmp_{path.name}")
    with aside.open("wb") as f:
        f.write(content)
        f.flush()
        os.fsync(f.fileno())
    os.replace(aside, path)

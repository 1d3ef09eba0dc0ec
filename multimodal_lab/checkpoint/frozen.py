"""Checkpoints without frozen weights: the trained ones, and a digest by which the frozen ones are known again."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from torch import Tensor, nn

from multimodal_lab.checkpoint.manifest import CheckpointError
from multimodal_lab.checkpoint.safetensors_writer import pour

FROZEN = "frozen"  # its place beside the tensors of a model


class _Nowhere:
    def write(self, chunk: memoryview) -> int:
        return len(chunk)


def digest(tensors: Mapping[str, Tensor]) -> str:
    """SHA-256 of names, types, shapes and values: of the safetensors file that they would make."""
    return pour(_Nowhere(), tensors)


@dataclass
class Trained:
    """`module` as a checkpoint without its frozen parameters holds it: every other parameter, every buffer, and `record`."""

    module: nn.Module
    record: dict[str, Any]

    @classmethod
    def of(cls, module: nn.Module) -> Trained:
        """Its parameters that take no gradient are the frozen ones."""
        state = module.state_dict()
        named = {name for name, p in module.named_parameters() if not p.requires_grad}
        frozen = {name: x for name, x in state.items() if name in named}
        record = {"digest": digest(frozen), "names": sorted(frozen), "bytes": _bytes(frozen)}
        return cls(module, record)

    def state_dict(self) -> dict[str, Any]:
        """The trained tensors by name, and at `frozen` what is known of the others."""
        gone = set(self.record["names"])
        return {**{k: x for k, x in self.module.state_dict().items() if k not in gone}, FROZEN: self.record}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Load them beside the frozen ones that are there; `CheckpointError` where those are others."""
        _require_same(state[FROZEN], self.record["digest"])
        given = {k: x for k, x in state.items() if k != FROZEN}
        self.module.load_state_dict({**self.module.state_dict(), **given})

    def note(self) -> str:
        """How large a checkpoint's weights are, and would be."""
        kept = _bytes(self.state_dict())
        return (
            f"train.save=trained: checkpoints hold {kept / 1e6:.2f} MB of weights and a digest of the frozen ones, instead of "
            f"{(kept + self.record['bytes']) / 1e6:.2f} MB"
        )


def require_known(state: Mapping[str, Tensor], record: Mapping[str, Any], folder: Path | None = None) -> None:
    """`CheckpointError` unless the tensors that a checkpoint left out are, bit for bit, those of `state`."""
    there = all(name in state for name in record["names"])
    _require_same(record, digest({k: state[k] for k in record["names"]}) if there else "", folder)


def _require_same(record: Mapping[str, Any], found: str, folder: Path | None = None) -> None:
    names = record["names"]
    if found != record["digest"]:
        raise CheckpointError(
            f"{folder or 'this checkpoint'} holds the trained weights alone (train.save=trained), and the {len(names)} frozen "
            f"ones (such as {names[0]}) are not those that it was trained with; give back the weights, or the runs, that "
            "they came from"
        )


def _bytes(tensors: Mapping[str, Any]) -> int:
    return sum(x.numel() * x.element_size() for x in tensors.values() if isinstance(x, Tensor))

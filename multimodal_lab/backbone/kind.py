"""Refuse a stream whose kind, or whose time axis, the backbone cannot read."""

from __future__ import annotations

from typing import Protocol

from multimodal_lab.types import Stream


class Backbone(Protocol):
    """A backbone that declares the kinds of stream that it can read."""

    @property
    def kinds(self) -> tuple[str, ...]:
        """Of `types.KindName`."""
        ...


def require(backbone: Backbone, stream: Stream) -> None:
    """ValueError unless `stream` is of one of the backbone's `kinds` and has what it needs: bands, or vocabulary and length.

    A backbone may state `steps`: True, it reads streams with a time axis alone; False, those without one.
    """
    name, kinds = type(backbone).__module__.rpartition(".")[2], backbone.kinds
    if stream.kind not in kinds:
        raise ValueError(
            f"backbone {name} reads {' and '.join(kinds)} streams, but stream {stream.name!r} is {stream.kind}: choose a "
            f"backbone whose `kinds` has it (+backbone@backbones.{stream.name}=…)"
        )
    takes, has = getattr(backbone, "steps", None), stream.steps is not None
    if takes is not None and takes != has:
        raise ValueError(
            f"backbone {name} reads streams {'with' if takes else 'without'} a time axis, but stream {stream.name!r} has "
            f"{f'{stream.steps} steps' if has else 'none (modality.' + stream.name + '.steps=null gives it one)'}"
        )
    if stream.kind == "text" and not (stream.vocab and stream.length):
        raise ValueError(
            f"backbone {name}: stream {stream.name!r} has vocab={stream.vocab} and length={stream.length}; "
            "a text stream needs both"
        )
    if stream.kind != "text" and not stream.bands:
        raise ValueError(f"backbone {name}: stream {stream.name!r} has no bands")

"""Refuse a stream of a kind that a backbone can't read."""

from __future__ import annotations

from multimodal_lab.types import Kind, Stream

READERS: dict[Kind, str] = {
    "image": "convnet, image, hyperspectral or shared",
    "vector": "vector or spectral",
    "text": "text",
}


def require(stream: Stream, kind: Kind, backbone: str) -> None:
    """ValueError unless `stream` is of `kind` and has what that kind needs: bands, or a vocabulary and a length."""
    if stream.kind != kind:
        raise ValueError(
            f"backbone {backbone} reads {kind} streams, but stream {stream.name!r} is {stream.kind}: "
            f"choose {READERS[stream.kind]} (+backbone@backbones.{stream.name}=…)"
        )
    if kind == "text" and not (stream.vocab and stream.length):
        raise ValueError(
            f"backbone {backbone}: stream {stream.name!r} has vocab={stream.vocab} and length={stream.length}; "
            "a text stream needs both"
        )
    if kind != "text" and not stream.bands:
        raise ValueError(f"backbone {backbone}: stream {stream.name!r} has no bands")

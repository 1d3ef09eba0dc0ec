"""The image backbone inside another: what it must read, and what it tells for the one around it."""

from __future__ import annotations

from typing import Any

from multimodal_lab.build import asks


def require_one_stream(image: Any, size: int | None = None) -> None:
    """`ValueError` for a factory of what reads no single image stream, and for what it refuses of `size` pixels itself."""
    if asks(image, "streams") or "image" not in getattr(image.func, "kinds", ("image",)):
        raise ValueError(
            f"backbone.image={_name(image)}: expected a backbone that reads one image stream; nearest: "
            "backbone@backbone.image=convnet"
        )
    if check := getattr(image.func, "require_possible", None):
        check(**{"size": size, **image.keywords})


def told(image: Any, method: str, key: str) -> dict[str, Any]:
    """What its `normalisation` or `resizing` says, for `key`=backbone; `ValueError` where it has none."""
    tell = getattr(image.func, method, None)
    if tell is None:
        raise ValueError(
            f"{key}=backbone: backbone.image ({_name(image)}) has no weights that say it; choose an image backbone with weights"
        )
    found: dict[str, Any] = tell(**image.keywords)
    return found


def _name(image: Any) -> str:
    return str(image.func.__module__).rpartition(".")[2]

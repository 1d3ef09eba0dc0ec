"""What a model's directory says of its input: how images were resized that its weights saw, how sounds were heard."""

from __future__ import annotations

import math
from typing import Any

from multimodal_lab.pretrained.hub import CONFIG, directory
from multimodal_lab.pretrained.tokenizer import read

FILES = ("preprocessor_config.json", "processor_config.json")
RESAMPLING = {2: "area", 3: "bicubic"}  # PIL's BILINEAR and BICUBIC, by the names of `data.resize`


def processor(model: str, key: str) -> Any:
    """What transformers builds of the directory that `model` names; `ValueError` in one sentence, which begins with `key`."""
    folder = directory(model, key)
    if not any((folder / name).is_file() for name in FILES):
        raise ValueError(
            f"{key}={model}: no {' or '.join(FILES)} is in it, so that nothing says how its images were resized; its {CONFIG} is "
            f"of a {read(folder / CONFIG).get('model_type', 'model without a name')}"
        )
    from transformers import AutoImageProcessor

    try:
        return AutoImageProcessor.from_pretrained(folder, local_files_only=True, trust_remote_code=False)
    except Exception as error:  # of many types, by what is wrong
        said = next(iter(str(error).strip().splitlines()), type(error).__name__)
        raise ValueError(f"{key}={model}: its image processor can't be built: {said[:200]}") from error


def feature_extractor(model: str, key: str) -> Any:
    """The feature extractor of sound in the directory that `model` names; `ValueError` in one sentence that begins with `key`."""
    folder = directory(model, key)
    if not any((folder / name).is_file() for name in FILES):
        raise ValueError(f"{key}={model}: no {' or '.join(FILES)} is in it, so that nothing says how it hears a wave")
    from transformers import AutoFeatureExtractor

    try:
        return AutoFeatureExtractor.from_pretrained(folder, local_files_only=True, trust_remote_code=False)
    except Exception as error:  # of many types, by what is wrong
        said = next(iter(str(error).strip().splitlines()), type(error).__name__)
        raise ValueError(f"{key}={model}: its feature extractor can't be built: {said[:200]}") from error


def resizing(found: Any, key: str) -> dict[str, Any]:
    """`size`, `resize`, `resize_mode` and `crop_pct` of an image processor, by the keys of a modality.

    `ValueError`, which begins with `key`, for a way to resize that has no such words: not to a square, or by another resampling.
    """
    size, crop = _sides(found.size), _sides(found.crop_size) if getattr(found, "do_center_crop", False) else {}
    resample = RESAMPLING.get(int(found.resample)) if found.resample is not None else None
    short, square = size.get("shortest_edge"), size.get("height")
    made = {"resize": resample, "crop_pct": 1.0}
    if not found.do_resize or resample is None or getattr(found, "do_pad", False):
        pass
    elif square and size == {"height": square, "width": square} and crop in ({}, size):
        return {"size": square, **made, "resize_mode": "stretch"}
    elif short and [*size] == ["shortest_edge"] and crop and crop["height"] == crop.get("width"):
        side = crop["height"]
        if side <= short:
            return {"size": side, **made, "resize_mode": "crop", "crop_pct": _share(side, short)}
    raise ValueError(
        f"{key}: {type(found).__name__} resizes to {size}{f' and cuts out {crop}' if crop else ''}, resample "
        f"{found.resample}; expected one square side, bilinear or bicubic. Give size, resize and resize_mode yourself"
    )


def _share(side: int, short: int) -> float:
    """side / short, such that floor(side / share) is `short` again."""
    share = side / short
    return share if math.floor(side / share) == short else math.nextafter(share, 0)


def _sides(given: Any) -> dict[str, int]:
    """The sides that a size names, such as {"height": 224, "width": 224}."""
    return {k: int(v) for k, v in dict(given or {}).items() if v is not None}

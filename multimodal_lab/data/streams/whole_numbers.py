"""Images that are resized as they are stored, in whole numbers of 8 bits, before they are scaled (`resize_stored`)."""

from __future__ import annotations

from dataclasses import replace

from multimodal_lab.data.kind import Samples
from multimodal_lab.data.source import DataError, Raw


def resized(samples: Samples, raw: Raw, name: str) -> Raw:
    """A sample whose images of stream `name` are brought to size as they are stored (`Resize.whole`)."""
    x = raw.inputs[name]
    if x is None:
        return raw
    if raw.mask is not None or raw.missing.get(name) is not None:
        what = "a mask" if raw.mask is not None else "pixels without a value"
        raise DataError(
            f"modality.{name}.resize_stored=true: whole pixels are averaged, and these have {what}; set it false"
        )
    small = samples.resizes[name].whole(x.reshape(-1, *x.shape[-2:]))
    return replace(raw, inputs={**raw.inputs, name: small.reshape(*x.shape[:-2], *small.shape[-2:])})

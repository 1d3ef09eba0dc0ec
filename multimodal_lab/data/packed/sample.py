"""One sample of a packed store: its bytes, its row of the index, and the moments of its bands."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from multimodal_lab.data import kinds
from multimodal_lab.data.packed.format import Part, aligned, as_text, index_dtype
from multimodal_lab.data.packed.probe import Offer, single, together
from multimodal_lab.data.source import DataError, Raw, Source
from multimodal_lab.data.streams.statistics import Moments, inside_mask
from multimodal_lab.types import Stream


def record(
    source: Source, offer: Offer, row: int, digest: Callable[[Any], bytes]
) -> tuple[bytearray, np.ndarray, np.ndarray]:
    """The bytes of one sample, its index row (offset 0), and (planes, 3) count, mean and squared deviations a band."""
    named = f"sample {str(source.samples['id'].iloc[row])!r}"
    raw, absent = _read(source, offer, row)
    _check_texts(source, offer, row, raw, named)
    entry = np.zeros((), index_dtype(offer.parts))
    content = bytearray()
    moments: list[np.ndarray] = []
    for i, part in enumerate(offer.parts):
        if part.kind == "mask":
            values = None if raw.mask is None else np.asarray(raw.mask, dtype=bool)
            there = np.array([values is not None])
        elif part.kind == "missing":
            values, there = _holes(raw, absent, int(part.field), offer.parts[int(part.field)])
        else:
            values, there = _block(raw, absent, i, part, offer, named)
            gone, of = _holes(raw, absent, i, part)
            moments.append(_moments(values, there, raw.mask if kinds.get(part.kind).spatial else None, gone, of))
        entry[f"p{i}"]["present"] = np.packbits(there)
        if values is None:
            continue
        sides = values.shape if part.kind == "mask" else values.shape[1 + part.steps :]
        entry[f"p{i}"]["height"], entry[f"p{i}"]["width"] = (0, 0, *sides)[-2:]
        if part.steps:
            rate = raw.rates.get(str(i), 0.0)
            if offer.rate is not None and part.kind != "missing" and rate != offer.rate:
                raise DataError(
                    f"{named}: recorded at {rate:g} Hz, which its reader does not bring to rate={offer.rate:g}"
                )
            entry[f"p{i}"]["steps"], entry[f"p{i}"]["rate"] = values.shape[1], rate
        content += bytes(aligned(len(content)) - len(content))
        content += np.ascontiguousarray(values).astype(part.dtype, copy=False).tobytes()
    entry["bytes"], entry["hash"] = len(content), np.void(digest(content))
    return content, entry, np.concatenate(moments) if moments else np.zeros((0, 3))


def _read(source: Source, offer: Offer, row: int) -> tuple[Raw, dict[int, Raw]]:
    """The whole parts and texts of one sample; for each part that is missing, its bands one by one."""
    arrays = [(i, p) for i, p in enumerate(offer.parts) if p.kind not in ("mask", "missing")]
    streams = [together(p, offer, str(i)) for i, p in arrays]
    streams += [Stream(f"text {t}", "text", field=t) for t in offer.texts]
    raw = source.read(row, streams)
    lacking = [(i, p) for i, p in arrays if raw.inputs[str(i)] is None and len(p.bands) > 1]
    found = {}
    for i, part in lacking:
        found[i] = source.read(row, single(part.kind, part.field, offer, part.bands))
    return raw, found


def _block(
    raw: Raw, absent: dict[int, Raw], i: int, part: Part, offer: Offer, named: str
) -> tuple[np.ndarray | None, np.ndarray]:
    """The bands of a part that are there, stacked, and (bands,) bool which."""
    whole = raw.inputs[str(i)]
    if whole is not None:
        there, values, scale = np.ones(len(part.bands), dtype=bool), whole, raw.scale(str(i))
    elif i not in absent:
        return None, np.zeros(len(part.bands), dtype=bool)
    else:
        found_bands = [absent[i].inputs[f"{part.kind} {part.field} {b}"] for b in part.bands]
        there = np.array([b is not None for b in found_bands])
        if not there.any():
            return None, there
        values = np.concatenate([b for b in found_bands if b is not None])
        scale = absent[i].scale(f"{part.kind} {part.field} {part.bands[int(there.argmax())]}")
    found = (values.dtype.newbyteorder("<").str, scale)
    if found != (part.dtype, part.full_scale):
        names = f"{offer.bands[part.bands[0]].name} to {offer.bands[part.bands[-1]].name}"
        expected = f"{np.dtype(part.dtype)} of full scale {part.full_scale:g} as in the samples before it"
        raise DataError(f"{named}: bands {names} are {values.dtype} of full scale {scale:g}, expected {expected}")
    return values, there


def _holes(raw: Raw, absent: dict[int, Raw], i: int, part: Part) -> tuple[np.ndarray | None, np.ndarray]:
    """(bands, …) bool of the bands of part `i` that lack pixels or steps, True where one was not measured; and which they are."""
    names = [(raw, str(i))] if i not in absent else [(absent[i], f"{part.kind} {part.field} {b}") for b in part.bands]
    found: list[np.ndarray | None] = []
    for one, name in names:
        gone = one.missing.get(name)
        count = len(part.bands) if i not in absent else 1
        sides = () if gone is None else gone.shape[-2:] if one.inputs[name] is None else one.inputs[name].shape[1:]
        whole = None if gone is None else np.broadcast_to(gone, (count, *sides))
        found += [None] * count if whole is None else [m if m.any() else None for m in whole]
    there = np.array([m is not None for m in found])
    return (np.stack([m for m in found if m is not None]) if there.any() else None), there


def _moments(
    values: np.ndarray | None, there: np.ndarray, mask: np.ndarray | None, gone: np.ndarray | None, of: np.ndarray
) -> np.ndarray:
    """Count, mean and squared deviations of each band: of what is in the mask and was measured."""
    made = np.zeros((len(there), 3))
    if values is None:
        return made
    x = values.astype(np.float64)
    if gone is not None:
        at = (there.cumsum() - 1)[of]
        x[at] = np.where(gone, np.nan, x[at])
    inside = inside_mask(x, mask)
    if inside.shape[1]:
        own = Moments()
        own.add(inside)
        made[there] = np.stack([own.count, own.mean, own.square], 1)
    return made


def _check_texts(source: Source, offer: Offer, row: int, raw: Raw, named: str) -> None:
    for text in offer.texts:
        found, kept = raw.inputs[f"text {text}"], as_text(source.samples[text].iloc[row])
        if found != kept:
            raise DataError(f"{named}: its text {text!r} is {found!r}, but the sample table says {kept!r}")

"""One pass over all samples that collects what the audit checks need."""

from __future__ import annotations

import math
from collections.abc import Sequence
from copy import copy
from dataclasses import dataclass

import numpy as np
import pandas as pd

from multimodal_lab.data import kinds
from multimodal_lab.data.audit.signature import is_image, of_steps, signature, thumbnail
from multimodal_lab.data.loading.collate import Stacked
from multimodal_lab.data.packed.format import best_hash, hasher
from multimodal_lab.data.prepared import Prepared
from multimodal_lab.progress import Bar
from multimodal_lab.types import Stream

ENOUGH = 16  # numbers or letters from which equal content can't be chance
AT_ONCE = 1 << 26  # bytes


@dataclass
class Seen:
    """One stream. content (N,): equal where its numbers are equal, -1 where it is missing. blank (N,): all numbers equal.

    thumbs (N, G, 32, 32) uint8, of images; signatures (N, W) float32, of what else has numbers (`image`: of videos); texts: where
    one is drawn of several. size: numbers of a sample.
    """

    present: np.ndarray
    content: np.ndarray
    blank: np.ndarray
    size: int
    image: bool = False
    thumbs: np.ndarray | None = None
    signatures: np.ndarray | None = None
    texts: list[list[str]] | None = None


@dataclass
class View:
    """streams: each input stream; whole (N,): equal where all streams are, -1 where there is too little to tell."""

    streams: dict[str, Seen]
    whole: np.ndarray


def view(data: Prepared) -> View:
    """Look at every sample as a network sees it, `data.shuffle` left aside.

    Costs one reading of the data (none where they are kept in memory), and some 2 KB a sample and stream.
    """
    plain = copy(data.stack)
    plain.sources = {}
    digest = hasher(best_hash())
    rows = len(data.samples)
    arrays = {n: s for n, s in data.streams.items() if not kinds.of(s).drawn_each_epoch}
    marks: dict[str, list[bytes | None]] = {n: [] for n in arrays}
    blank: dict[str, list[bool]] = {n: [] for n in arrays}
    signatures: dict[str, list[np.ndarray]] = {n: [] for n in arrays}
    texts: dict[str, list[list[str]]] = {n: [] for n in data.streams if n not in arrays}
    share = max(1, min(1024, AT_ONCE // max(1, 4 * sum(_size(s) for s in arrays.values()))))
    with Bar("looking for copies and leaks", rows) as bar:
        for start in range(0, rows, share):
            made = plain(np.arange(start, min(rows, start + share)), None)
            for name in arrays:
                x, there = made.values[name].numpy(), made.present[name].numpy()
                marks[name] += [
                    digest(np.ascontiguousarray(one) + np.float32(0)) if t else None for one, t in zip(x, there)
                ]
                valid = made.valid[name].numpy() if name in made.valid else None
                blank[name] += _blank(x, valid).tolist()
                signatures[name].append(_looks(x, valid, arrays[name]))
            _add_texts(texts, made)
            bar.update(min(rows, start + share))
    streams = {n: _array(marks[n], blank[n], signatures[n], arrays[n]) for n in arrays}
    streams |= {n: _text(found) for n, found in texts.items()}
    return View({n: streams[n] for n in data.streams}, _whole(streams, rows))


def _looks(x: np.ndarray, valid: np.ndarray | None, stream: Stream) -> np.ndarray:
    """The thumbnails of images, the signatures of what else."""
    if valid is not None:
        mean, std = (np.asarray(v, dtype=np.float32) for v in (stream.mean, stream.std))
        return of_steps(x, valid, mean, std)
    return thumbnail(x) if is_image(x.shape[1:]) else signature(x)


def _blank(x: np.ndarray, valid: np.ndarray | None) -> np.ndarray:
    """(n,) bool: all numbers equal, of a recording those of its valid steps."""
    if valid is None:
        flat = x.reshape(len(x), -1)
        return np.asarray(flat.max(1) == flat.min(1))
    return np.array([not real.any() or np.ptp(one[:, real]) == 0 for one, real in zip(x, valid, strict=True)])


def _add_texts(texts: dict[str, list[list[str]]], made: Stacked) -> None:
    for name, found in texts.items():
        found += made.texts[name]


def _array(marks: list[bytes | None], blank: list[bool], signatures: list[np.ndarray], stream: Stream) -> Seen:
    content = _codes(marks)
    looks = np.concatenate(signatures)
    thumbs, others = (looks, None) if looks.ndim == 4 else (None, looks)
    blanks = np.array(blank) & (content >= 0)
    return Seen(content >= 0, content, blanks, _size(stream), kinds.of(stream).spatial, thumbs, others)


def _text(texts: list[list[str]]) -> Seen:
    content = _codes([tuple(t) or None for t in texts])
    letters = sum(len(one) for t in texts for one in t) // max(1, len(texts))
    return Seen(content >= 0, content, np.zeros(len(texts), dtype=bool), letters, texts=texts)


def _whole(streams: dict[str, Seen], rows: int) -> np.ndarray:
    """One number for equal samples; -1 where nothing is there but blanks or too few numbers."""
    telling = np.zeros(rows, dtype=np.int64)
    for seen in streams.values():
        telling += np.where(seen.present & ~seen.blank, seen.size, 0)
    every = [seen.content for seen in streams.values()]
    found = _codes(list(zip(*(c.tolist() for c in every))))
    return np.where(telling >= ENOUGH, found, -1)


def _codes(values: Sequence[object]) -> np.ndarray:
    made = np.empty(len(values), dtype=object)
    made[:] = values
    return np.asarray(pd.factorize(made)[0], dtype=np.int64)


def _size(stream: Stream) -> int:
    return math.prod(kinds.of(stream).shape(stream))

"""The last pass over the data: every row is embedded once and saved, and what evaluators see is kept."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import torch
from torch import nn

from multimodal_lab.device.eval_mode import eval_mode
from multimodal_lab.device.trim import trim
from multimodal_lab.evaluate.embed_config import EmbedConfig
from multimodal_lab.evaluate.embeddings import EmbeddingData, Embeddings, assembled, embed, named, passed
from multimodal_lab.evaluate.encoded_batch import EncodedBatch, encode, join
from multimodal_lab.evaluate.encoder import Encoder
from multimodal_lab.evaluate.table_writer import TableWriter

CHUNK = 16_384  # rows in memory before they are written, where not all are kept


@dataclass(frozen=True)
class Judged:
    """seen: what evaluators see; whole: every row, without vectors where `seen` has fewer rows.

    places[split] (n,): where its seen rows stand among all of the split, of splits that are not seen whole.
    """

    seen: Embeddings
    whole: Embeddings
    places: dict[str, np.ndarray] = field(default_factory=dict)

    def counts(self) -> dict[str, float]:
        """`embed/<split>/n` and `n_seen`, of splits that are not seen whole."""
        sizes = {split: int((self.whole.split == split).sum()) for split in self.places}
        return {
            key: float(value)
            for split, seen in self.places.items()
            for key, value in ((f"embed/{split}/n", sizes[split]), (f"embed/{split}/n_seen", len(seen)))
        }


def embed_and_save(
    system: Encoder,
    data: EmbeddingData,
    device: torch.device,
    splits: Sequence[str],
    folder: Path,
    config: EmbedConfig,
    *,
    thumbnails: Path | None = None,
    subsets: bool = False,
    heads: Collection[str] | None = None,
) -> Judged:
    """Embed `splits` once, write the tables of all rows to `folder`, and keep of each split as many as evaluators may see."""
    sizes = {split: len(data.splits[split]) for split in splits}
    formats = config.written(sum(sizes.values()))
    places = {split: index for split, rows in sizes.items() if len(index := config.seen(rows)) < rows}
    if not places:
        whole = embed(system, data, device, splits, thumbnails=thumbnails, subsets=subsets, heads=heads)
        whole.save(folder, formats)
        return Judged(whole, whole)
    names, seen, bare = named(data), [], []
    with TableWriter(folder, formats, sum(sizes.values())) as writer:
        for chunk in _chunks(_encoded(system, data, device, splits, thumbnails, subsets, heads)):
            assembled(chunk, names, data.classes, device).pour(writer)
            bare.append(join([batch.bare() for batch in chunk]))
            seen += [batch for batch in _cut(chunk, places) if len(batch.ids)]
            trim()
    kept, every = (assembled(parts, names, data.classes, device) for parts in (seen, bare))
    return Judged(kept, every, places)


def _encoded(
    system: Encoder,
    data: EmbeddingData,
    device: torch.device,
    splits: Sequence[str],
    thumbnails: Path | None,
    subsets: bool,
    heads: Collection[str] | None,
) -> Iterator[tuple[int, EncodedBatch]]:
    """Every batch, and the place of its first row in its split."""
    with eval_mode(system if isinstance(system, nn.Module) else None), torch.no_grad():
        done: dict[str, int] = dict.fromkeys(splits, 0)
        for split, batch in passed(data, splits, thumbnails):
            yield done[split], encode(system, batch.to(device), split, False, subsets, heads)
            done[split] += len(batch)


def _chunks(batches: Iterator[tuple[int, EncodedBatch]]) -> Iterator[_Chunk]:
    """Batches together, as many as make `CHUNK` rows."""
    chunk = _Chunk()
    for first, batch in batches:
        chunk.append(batch)
        chunk.first.append(first)
        if chunk.rows() >= CHUNK:
            yield chunk
            chunk = _Chunk()
    if chunk:
        yield chunk


class _Chunk(list[EncodedBatch]):
    """Batches, and the place of the first row of each in its split."""

    def __init__(self) -> None:
        super().__init__()
        self.first: list[int] = []

    def rows(self) -> int:
        return sum(len(batch.ids) for batch in self)


def _cut(chunk: _Chunk, places: Mapping[str, np.ndarray]) -> Iterator[EncodedBatch]:
    """What evaluators see of each batch."""
    for first, batch in zip(chunk.first, chunk, strict=True):
        own = places.get(str(batch.split[0]))
        if own is None:
            yield batch
            continue
        low, high = np.searchsorted(own, (first, first + len(batch.ids)))
        yield batch.cut(own[low:high] - first)

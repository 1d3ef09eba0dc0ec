"""Compute the embeddings of every stream and of `fused`, and hold them as tables."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Protocol

import numpy as np
import pandas as pd
import torch
from torch import nn

from multimodal_lab.device.eval_mode import eval_mode
from multimodal_lab.evaluate import parquet
from multimodal_lab.evaluate.clips import FILE, Clips
from multimodal_lab.evaluate.embed_config import EmbedConfig, Format
from multimodal_lab.evaluate.encoded_batch import EncodedBatch, encode, join
from multimodal_lab.evaluate.encoder import Encoder
from multimodal_lab.evaluate.said import Said
from multimodal_lab.evaluate.table_writer import TableWriter
from multimodal_lab.evaluate.thumbnails import Thumbnails
from multimodal_lab.progress import Bar
from multimodal_lab.types import Batch, Stream


class EmbeddingData(Protocol):
    """What `embed` asks of prepared data: ids (N,) int64 and samples["id"] name the same rows."""

    streams: dict[str, Stream]
    classes: dict[str, list[str]]
    ids: np.ndarray
    samples: pd.DataFrame
    splits: Mapping[str, np.ndarray]

    def batches(self, split: str, *, epoch: int, shuffle: bool, drop_last: bool) -> Iterator[Batch]:
        """The batches of one split in a fixed order."""
        ...


@dataclass
class Embeddings:
    """Vectors and truth of N samples.

    vectors[name] (N, D) float32 for every stream and `fused`, zero where missing; present[name] (N,) bool;
    targets[label]: (N,) class index with -1 where missing, (N,) or (N, P) float with NaN, (N, K) 0/1; classes[label]:
    class names; ids: one a sample (its file name); groups (N,); split (N,) str; projected[name] (N, E): the output of
    a projection head where there is one, the space that contrastive losses shaped; device: where large products of them
    are best taken, the GPU that made them; same (N,): equal where samples show one thing (see `Batch`), None once saved.
    items[name] (N,): equal where rows hold the same thing in that stream (see `Batch`); others[name] (N, K, D): what a row
    holds besides, NaN where it has fewer, and others_projected[name] (N, K, E); text_ids[name] (N, 1 + K): equal where two texts
    are one and the same (see `Batch`); said[head]: what each head that tells a label says, where it was asked for. Of these
    none is saved but what a row's first vector is of: `items`, or else its text id, which `load` gives as `items`.
    """

    vectors: dict[str, np.ndarray]
    present: dict[str, np.ndarray]
    targets: dict[str, np.ndarray]
    classes: dict[str, list[str]]
    ids: list[str]
    groups: np.ndarray
    split: np.ndarray
    projected: dict[str, np.ndarray] = field(default_factory=dict)
    device: torch.device | str = "cpu"
    same: np.ndarray | None = None
    items: dict[str, np.ndarray] = field(default_factory=dict)
    others: dict[str, np.ndarray] = field(default_factory=dict)
    others_projected: dict[str, np.ndarray] = field(default_factory=dict)
    text_ids: dict[str, np.ndarray] = field(default_factory=dict)
    said: dict[str, Said] = field(default_factory=dict)

    def __len__(self) -> int:
        return len(self.ids)

    def space(self, name: str, projection: bool) -> np.ndarray:
        """The projected vectors of `name` if asked for and there are any, else its own."""
        return self.projected.get(name, self.vectors[name]) if projection else self.vectors[name]

    def rows(self, index: np.ndarray | slice) -> Embeddings:
        """The samples of `index`: a boolean mask (N,) or row numbers."""

        def cut(arrays: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
            return {k: v[index] for k, v in arrays.items()}

        ids = np.asarray(self.ids, dtype=object)[index].tolist()
        return replace(
            self, vectors=cut(self.vectors), present=cut(self.present), targets=cut(self.targets), ids=ids,
            groups=self.groups[index], split=self.split[index], projected=cut(self.projected),
            same=None if self.same is None else self.same[index], items=cut(self.items), others=cut(self.others),
            others_projected=cut(self.others_projected), text_ids=cut(self.text_ids),
            said={k: v.cut(index) for k, v in self.said.items()},
        )  # fmt: skip

    def select(self, split: str) -> Embeddings:
        """The samples of one split; a split without any is an error that names those there are."""
        chosen = self.split == split
        if not chosen.any():
            raise ValueError(
                f"no sample is in split {split!r}; there are {', '.join(sorted(set(self.split.tolist())))}"
            )
        at = np.flatnonzero(chosen)
        whole = at[-1] - at[0] == len(at) - 1
        return self.rows(slice(int(at[0]), int(at[-1]) + 1) if whole else chosen)  # side by side, nothing is copied

    def held(self, name: str) -> np.ndarray | None:
        """(N,) int64: equal where what rows hold first in a stream is the same; None where nobody said."""
        own = self.items.get(name)
        return own if own is not None or name not in self.text_ids else self.text_ids[name][:, 0]

    def save(self, folder: Path, formats: Sequence[Format] | None = None) -> list[Path]:
        """Write a table of every name (see `TableWriter`); return the files. formats: None is as `EmbedConfig` has it."""
        with TableWriter(folder, formats or EmbedConfig().written(len(self)), len(self)) as writer:
            self.pour(writer)
        return writer.paths

    def pour(self, writer: TableWriter) -> None:
        """Add these rows to tables that are being written."""
        spaces = {**self.vectors, **{f"{k}.projection": v for k, v in self.projected.items()}}
        for name, x in spaces.items():
            own = name.removesuffix(".projection")
            writer.add(name, parquet.rows(self, x, self.present[own], self.held(own)))

    @classmethod
    def load(cls, folder: Path, index: np.ndarray | None = None) -> Embeddings:
        """Read what `save` wrote, or its rows `index`, ascending; Parquet files alone are needed."""
        found = {p.name.removesuffix(".parquet"): parquet.read(p, index) for p in sorted(folder.glob("*.parquet"))}
        own = {k: v for k, v in found.items() if not k.endswith(".projection")}
        if not own:
            raise FileNotFoundError(f"{folder} holds no embeddings (expected one .parquet file a stream)")
        first = next(iter(own.values()))
        names = [n for n in first.names if n in own]
        return cls(
            {n: own[n].x for n in names}, {n: own[n].present for n in names}, first.targets, first.classes,
            first.ids, first.groups, first.split,
            {n: found[f"{n}.projection"].x for n in names if f"{n}.projection" in found},
            items={n: item for n in names if (item := own[n].item) is not None},
        )  # fmt: skip


def embed(
    system: Encoder,
    data: EmbeddingData,
    device: torch.device | str,
    splits: Sequence[str],
    *,
    normalise: bool = False,
    thumbnails: Path | None = None,
    subsets: bool = False,
    heads: Collection[str] | None = None,
) -> Embeddings:
    """Embed every sample of `splits` once, in their order; `thumbnails` is a file to write small pictures to.

    heads: None, or the splits on which heads that predict, such as captions, are asked too; see `embed_batches`.
    """
    return embed_batches(
        system, passed(data, splits, thumbnails), device, names=named(data), classes=data.classes, normalise=normalise,
        subsets=subsets, heads=heads,
    )  # fmt: skip


def named(data: EmbeddingData) -> dict[int, str]:
    """What the sample of each id is called."""
    return dict(zip(data.ids.tolist(), map(str, data.samples["id"]), strict=True))


def passed(data: EmbeddingData, splits: Sequence[str], thumbnails: Path | None) -> Iterator[tuple[str, Batch]]:
    """The batches of `splits` in their order, with a bar; small pictures of them are written to `thumbnails` at the end, and
    short clips of sounds beside it."""
    kept: list[tuple[Thumbnails | Clips, Path]] = []
    if thumbnails is not None:
        kept = [(Thumbnails(data.streams), thumbnails), (Clips(data.streams), thumbnails.with_name(FILE))]
    # a split that is not the data's own is "all"
    total = sum(len(data.splits.get(split, data.ids)) for split in splits)
    with Bar("embedding", total) as bar:
        done = 0
        for split in splits:
            for batch in data.batches(split, epoch=0, shuffle=False, drop_last=False):
                for one, _ in kept:
                    one.add(split, batch)
                yield split, batch
                done += len(batch)
                bar.update(done)
    for one, path in kept:
        one.save(path)


def embed_batches(
    system: Encoder,
    batches: Iterable[tuple[str, Batch]],
    device: torch.device | str = "cpu",
    *,
    names: Mapping[int, str],
    classes: Mapping[str, list[str]],
    normalise: bool = False,
    subsets: bool = False,
    heads: Collection[str] | None = None,
) -> Embeddings:
    """Encode (split, batch) pairs in eval mode without gradient; modes and random state are restored.

    names[id] is the file name of the sample with that `Batch.ids`; pooled vectors are taken, of unit length if
    `normalise`; with `subsets` those of fused on every subset of the modalities too (see `subsets`). heads: where given, what
    heads say is kept, and those with a `predict` are asked on these splits. A vector that is
    not finite is a `ValueError` that names the stream and the sample. Rows stand in the order of the batches.
    """
    with eval_mode(system if isinstance(system, nn.Module) else None), torch.no_grad():
        parts = [encode(system, batch.to(device), split, normalise, subsets, heads) for split, batch in batches]
    return assembled(parts, names, classes, device)


def assembled(
    parts: Sequence[EncodedBatch],
    names: Mapping[int, str],
    classes: Mapping[str, list[str]],
    device: torch.device | str,
) -> Embeddings:
    """Encoded batches as one; a vector that is not finite is a `ValueError`."""
    if not parts:
        raise ValueError("nothing to embed: the loader gave no batch")
    whole = join(parts)
    result = Embeddings(
        whole.vectors, whole.present, whole.targets, dict(classes), [names[int(i)] for i in whole.ids],
        whole.groups, whole.split, whole.projected, _for_products(device),
        whole.same if np.any(whole.same != whole.ids) else None, whole.items, whole.others, whole.others_projected,
        whole.text_ids, whole.said,
    )  # fmt: skip
    _require_finite(result)
    return result


def _for_products(device: torch.device | str) -> torch.device:
    device = torch.device(device)
    return device if device.type == "cuda" else torch.device("cpu")  # others may lack double precision


def _require_finite(e: Embeddings) -> None:
    for name, x in [*e.vectors.items(), *e.projected.items()]:
        bad = ~np.isfinite(x).all(1)
        if bad.any():
            first = e.ids[int(bad.argmax())]
            raise ValueError(
                f"{int(bad.sum())} of {len(e)} embeddings of {name} are not finite (first: {first}): the model diverged"
            )

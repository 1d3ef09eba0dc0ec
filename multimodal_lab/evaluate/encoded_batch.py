"""The arrays of one encoded batch, and those of all batches joined."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from multimodal_lab.evaluate.encoder import Encoder
from multimodal_lab.evaluate.said import Said, joined, of_batch
from multimodal_lab.evaluate.subsets import FUSED, on_subsets
from multimodal_lab.types import Batch


@dataclass
class EncodedBatch:
    """As in `Embeddings`, ids being those of the batch."""

    vectors: dict[str, np.ndarray]
    present: dict[str, np.ndarray]
    targets: dict[str, np.ndarray]
    projected: dict[str, np.ndarray]
    ids: np.ndarray
    groups: np.ndarray
    split: np.ndarray
    same: np.ndarray
    items: dict[str, np.ndarray]
    others: dict[str, np.ndarray]
    others_projected: dict[str, np.ndarray]
    text_ids: dict[str, np.ndarray]
    said: dict[str, Said]

    def cut(self, index: np.ndarray) -> EncodedBatch:
        """Some of the rows."""
        made = {name: _cut(held, index) for name, held in vars(self).items() if name != "said"}
        return EncodedBatch(**made, said={k: v.cut(index) for k, v in self.said.items()})

    def bare(self) -> EncodedBatch:
        """The same without vectors."""
        return replace(self, vectors={}, projected={}, others={}, others_projected={})


def encode(
    system: Encoder, batch: Batch, split: str, normalise: bool, subsets: bool, heads: Collection[str] | None
) -> EncodedBatch:
    """One batch, encoded, on the CPU; see `embeddings.embed_batches`."""
    features, out = system.encode(batch)
    told = {} if heads is None else of_batch(system, features, out, batch, split in heads)
    for own, masked in on_subsets(batch, [name for name in features if name != FUSED]) if subsets else ():
        seen, heard = system.encode(masked)
        if FUSED in seen:  # a fusion of decisions gives none: its head is asked alone
            features[f"{FUSED}@{own}"] = seen[FUSED]
        if heads is not None:
            told |= {f"{k}@{own}": said for k, said in of_batch(system, seen, heard, masked, False).items()}
    present = {k: f.present for k, f in features.items()}
    projected = _projected(out)

    def vector(x: Tensor, rows: Tensor, missing: float = 0.0) -> np.ndarray:
        x = x.float()
        x = nn.functional.normalize(x, dim=1) if normalise else x
        return _array(torch.where(rows[:, None], x, missing))

    others: dict[str, list[np.ndarray]] = {}
    shaped: dict[str, list[np.ndarray]] = {}
    for name, values in batch.others.items():
        pad = getattr(getattr(system, "streams", {}).get(name), "pad", 0)
        for x in values.unbind(1):
            rows = (x != pad).flatten(1).any(1)
            again = batch.replace(inputs={**batch.inputs, name: x}, present={**batch.present, name: rows})
            found, said = system.encode(again)
            for kept, y in ((others, found[name].pooled), (shaped, _projected(said).get(name))):
                if y is not None:
                    if not torch.isfinite(y[rows]).all():
                        raise ValueError(f"embeddings of {name} are not finite: the model diverged")
                    kept.setdefault(name, []).append(vector(y, rows, torch.nan))

    return EncodedBatch(
        {k: vector(f.pooled, present[k]) for k, f in features.items()},
        {k: _array(v) for k, v in present.items()},
        {k: _array(v) for k, v in batch.targets.items() if v.ndim < 3},  # a map is scored batch by batch, and not kept
        {k: vector(v, present[k]) for k, v in projected.items() if k in present},
        _array(batch.ids), _array(batch.groups), np.full(len(batch), split),
        _array(batch.ids if batch.same is None else batch.same),
        {k: _array(v) for k, v in batch.items.items()},
        {k: np.stack(v, 1) for k, v in others.items()}, {k: np.stack(v, 1) for k, v in shaped.items()},
        {k: _array(v) for k, v in batch.text_ids.items()}, told,
    )  # fmt: skip


def _projected(out: Mapping[str, Any]) -> Mapping[str, Tensor]:
    """What the first head says that says something of each name: the vectors (N, D) that losses of several names compare."""
    said = next((said for said in out.values() if isinstance(said, Mapping)), {})
    return {name: x for name, x in said.items() if x.ndim == 2}


def _array(x: Tensor) -> np.ndarray:
    array: np.ndarray = x.detach().cpu().numpy()
    return array


def join(parts: Sequence[EncodedBatch]) -> EncodedBatch:
    """All batches as one."""
    _fill(parts)
    arrays = {f: _joined([getattr(p, f) for p in parts]) for f in EncodedBatch.__annotations__ if f != "said"}
    return EncodedBatch(**arrays, said=joined([(len(p.ids), p.said) for p in parts]))


def _cut(held: Any, index: np.ndarray) -> Any:
    return {k: v[index] for k, v in held.items()} if isinstance(held, dict) else held[index]


def _fill(parts: Sequence[EncodedBatch]) -> None:
    """Give each part as many others (N, K, D) as the one with the most, NaN where it has fewer, and as many ids of texts."""
    for own in ([p.others for p in parts], [p.others_projected for p in parts]):
        for name in {k for there in own for k in there}:
            most, width = np.max([there[name].shape[1:] for there in own if name in there], axis=0)
            for p, there in zip(parts, own, strict=True):
                filled = np.full((len(p.ids), most, width), np.nan, dtype=np.float32)
                if name in there:
                    filled[:, : there[name].shape[1]] = there[name]
                there[name] = filled
    for name in {k for p in parts for k in p.text_ids}:
        most = max(p.text_ids[name].shape[1] for p in parts)
        for p in parts:  # of a text that is not there, the row's own id
            x = p.text_ids[name]
            p.text_ids[name] = np.hstack([x, np.repeat(p.ids[:, None], most - x.shape[1], 1)])


def _joined(parts: list[Any]) -> Any:
    if isinstance(parts[0], dict):
        return {k: np.concatenate([p[k] for p in parts]) for k in parts[0]}
    return np.concatenate(parts)

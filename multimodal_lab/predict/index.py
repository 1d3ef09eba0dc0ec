"""An index of vectors: add, search by cosine, save, load; safetensors and JSON, nothing is unpickled."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from multimodal_lab.checkpoint import safetensors_reader
from multimodal_lab.checkpoint.safetensors_writer import pour
from multimodal_lab.data.source import DataError
from multimodal_lab.files import atomic_write, write_json
from multimodal_lab.metric.neighbours import top_k as nearest_rows
from multimodal_lab.predict import faiss_index
from multimodal_lab.predict.backends import BACKENDS, Backend
from multimodal_lab.runs import guarded
from multimodal_lab.text import expected_one_of

LOOKED_AT = 256  # queries on which the recall of an approximate backend is measured
TABLE, VECTORS = "index.json", "vectors.safetensors"
LAYOUT = 1


class Index:
    """Vectors of one space by id, each of unit length, searched for those of the largest cosine.

    width: D. facts: texts that say what the vectors are of, such as `stream` and `weights`; kept by `save`, see `require`.
    backend: `tiles` (torch, exact, memory of a tile) or, by the extra `faiss`, `faiss` (`IndexFlatIP`, exact) or `hnsw`, which is
    approximate: see `recall`.
    """

    def __init__(self, width: int, *, facts: Mapping[str, str] | None = None, backend: Backend = "tiles") -> None:
        self.width, self.facts = width, dict(facts or {})
        self.use(backend)
        self.ids: list[str] = []
        self.columns: dict[str, list[str | None]] = {}
        self._parts: list[Tensor] = []

    def __len__(self) -> int:
        return len(self.ids)

    def use(self, backend: str) -> None:
        """Search by another backend from now on; `DataError` for an unknown one, or where FAISS is not installed."""
        if backend not in BACKENDS:
            raise DataError(f"backend={backend}: {expected_one_of(backend, BACKENDS)}")
        if backend != "tiles":
            faiss_index.require(backend)
        self.backend = backend
        self._made: Any = None

    @property
    def vectors(self) -> Tensor:
        """(M, D) float32 unit rows, in the order in which they were added."""
        if len(self._parts) != 1:
            self._parts = [torch.cat(self._parts) if self._parts else torch.empty(0, self.width)]
        return self._parts[0]

    def add(self, vectors: np.ndarray | Tensor, ids: Sequence[str], **columns: Sequence[str | None]) -> None:
        """Add vectors (N, D), which are scaled to unit length, their ids (N) and what else is known: `caption=…`, `path=…` (N).

        A column that other items lack is None there. `DataError` for another width or number, or a vector without a direction.
        """
        x = self._unit(vectors, "vectors")
        for name, values in {"ids": ids, **columns}.items():
            if len(values) != len(x):
                raise DataError(f"index: {len(x)} vectors, but {len(values)} {name}")
        for name in {**self.columns, **columns}:  # in their order, which a set would not keep
            own = self.columns.setdefault(name, [None] * len(self))
            own += columns.get(name, [None] * len(x))
        self.ids += map(str, ids)
        self._parts.append(x)
        self._made = None

    def search(self, queries: np.ndarray | Tensor, top_k: int = 10) -> tuple[np.ndarray, np.ndarray]:
        """Cosines (Q, K) float32 and rows (Q, K) int64 of the nearest, best first, for queries (Q, D); K = min(top_k, M).

        Of those that are found with equal cosines the one that was added first stands first. `DataError` for an empty index.
        """
        if not len(self):
            raise DataError("the index is empty: nothing to search in; add vectors first")
        if top_k < 1:
            raise DataError(f"top_k={top_k}: expected a whole number from 1")
        scores, rows = self._found(self._unit(queries, "queries"), min(top_k, len(self)), self.backend)
        order = torch.from_numpy(np.lexsort((rows.numpy(), -scores.numpy())))
        return scores.gather(1, order).numpy(), rows.gather(1, order).numpy()

    def recall(self, queries: np.ndarray | Tensor, top_k: int = 10) -> float:
        """The share of the `top_k` nearest that the backend finds, of the first 256 queries (Q, D); 1 where it is exact."""
        q, k = self._unit(queries, "queries")[:LOOKED_AT], min(top_k, len(self))
        exact, found = (self._found(q, k, backend)[1] for backend in ("tiles", self.backend))
        return float((exact[:, :, None] == found[:, None]).any(2).double().mean())

    def _found(self, queries: Tensor, k: int, backend: str) -> tuple[Tensor, Tensor]:
        if backend == "tiles":
            return nearest_rows(queries, self.vectors, k, unit=True)
        self._made = faiss_index.made(self.vectors, backend) if self._made is None else self._made
        return faiss_index.search(self._made, queries, k)

    def require(self, **facts: str) -> None:
        """`DataError` where the index is of something else, such as `weights` of another run."""
        for name, wanted in facts.items():
            if (found := self.facts.get(name)) != wanted:
                raise DataError(f"the index is of {name} {found or 'unknown'}, expected {wanted}: make it again")

    def save(self, folder: str | Path) -> Path:
        """Write `vectors.safetensors` and `index.json` into a folder; a reader sees the old or the new, or is told."""
        place = Path(folder).expanduser()
        place.mkdir(parents=True, exist_ok=True)
        digests: list[str] = []
        atomic_write(place / VECTORS, lambda file: digests.append(pour(file, {"vectors": self.vectors})))
        said = {"layout": LAYOUT, "width": self.width, "sha256": digests[0], "facts": self.facts}
        write_json(place / TABLE, {**said, "ids": self.ids, "columns": self.columns})
        return place

    @classmethod
    def load(cls, folder: str | Path, backend: Backend = "tiles") -> Index:
        """Read what `save` wrote; `DataError` for a folder that holds no index, or one that is damaged."""
        place = Path(folder).expanduser()
        if not (place / TABLE).is_file():
            raise DataError(f"{place}: no index here (expected {TABLE} and {VECTORS} in it)")
        try:
            said = guarded.read_json(place / TABLE)
            if said["layout"] != LAYOUT:
                raise DataError(f"{place / TABLE}: layout {said['layout']}, expected {LAYOUT}; make the index again")
            digest, vectors = guarded.file_hash(place / VECTORS), safetensors_reader.read(place / VECTORS)["vectors"]
            found = cls(int(said["width"]), facts={str(k): str(v) for k, v in said["facts"].items()}, backend=backend)
            found.ids = [str(i) for i in said["ids"]]
            found.columns = {str(k): [None if x is None else str(x) for x in v] for k, v in said["columns"].items()}
            lengths = {len(found.ids), *map(len, found.columns.values())}
            if digest != said["sha256"] or lengths != {len(vectors)} or vectors.shape[1:] != (found.width,):
                raise DataError(f"{place}: {TABLE} and {VECTORS} are not of one index; make it again")
        except DataError:
            raise
        except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
            raise DataError(f"{place}: no index can be read here ({type(error).__name__}: {error})") from error
        found._parts = [vectors.float()]
        return found

    def _unit(self, vectors: np.ndarray | Tensor, what: str) -> Tensor:
        x = torch.as_tensor(vectors).detach().float().cpu()
        x = x[None] if x.ndim == 1 else x
        if x.ndim != 2 or x.shape[1] != self.width:
            raise DataError(f"index: {what} of shape {tuple(x.shape)}, expected (N, {self.width})")
        lengths = x.norm(dim=1)
        if (bad := ~(torch.isfinite(lengths) & (lengths > 0))).any():
            raise DataError(f"index: {what} {int(bad.nonzero()[0])} is zero or not finite: it has no direction")
        return F.normalize(x, dim=1)

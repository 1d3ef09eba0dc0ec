"""FAISS's indexes over unit vectors (the extra `faiss`): the exact `IndexFlatIP`, and HNSW, which is approximate."""

from __future__ import annotations

import importlib.util
from typing import Any

import torch
from torch import Tensor

from multimodal_lab.data.source import DataError
from multimodal_lab.text import install_command

LINKS, BREADTH = 32, 128  # of HNSW: neighbours of a vector, and candidates that a search keeps at least


def require(backend: str) -> None:
    """`DataError` where FAISS is not installed."""
    if importlib.util.find_spec("faiss") is None:
        raise DataError(f"backend={backend} needs FAISS: {install_command('faiss')}; backend=tiles is exact without it")


def made(vectors: Tensor, backend: str) -> Any:
    """The index of vectors (M, D): `faiss` or `hnsw` (Malkov & Yashunin 2018)."""
    import faiss

    width = vectors.shape[1]
    flat = backend == "faiss"
    index: Any = faiss.IndexFlatIP(width) if flat else faiss.IndexHNSWFlat(width, LINKS, faiss.METRIC_INNER_PRODUCT)
    index.add(vectors.numpy())
    return index


def search(index: Any, queries: Tensor, k: int) -> tuple[Tensor, Tensor]:
    """Scores (Q, k) float32 and rows (Q, k) int64; `DataError` where an approximate index finds fewer."""
    if hasattr(index, "hnsw"):
        index.hnsw.efSearch = max(BREADTH, 2 * k)
    scores, rows = index.search(queries.numpy(), k)
    if (rows < 0).any():
        raise DataError(f"backend=hnsw finds fewer than {k} of {index.ntotal} vectors; backend=tiles finds all")
    return torch.from_numpy(scores), torch.from_numpy(rows)

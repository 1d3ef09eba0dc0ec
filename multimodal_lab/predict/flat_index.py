"""FAISS's exact index over unit vectors (the extra `faiss`)."""

from __future__ import annotations

import importlib.util
from typing import Any

import torch
from torch import Tensor

from multimodal_lab.data.source import DataError
from multimodal_lab.text import install_command


def require() -> None:
    """`DataError` where FAISS is not installed."""
    if importlib.util.find_spec("faiss") is None:
        raise DataError(f"backend=faiss needs FAISS: {install_command('faiss')}; backend=tiles is as exact without it")


def made(vectors: Tensor) -> Any:
    """An `IndexFlatIP` of vectors (M, D)."""
    import faiss

    index = faiss.IndexFlatIP(vectors.shape[1])
    index.add(vectors.numpy())
    return index


def search(index: Any, queries: Tensor, k: int) -> tuple[Tensor, Tensor]:
    """Scores (Q, k) float32 and rows (Q, k) int64."""
    scores, rows = index.search(queries.numpy(), k)
    return torch.from_numpy(scores), torch.from_numpy(rows)

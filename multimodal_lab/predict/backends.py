"""What an index can be searched by; known before anything heavy is imported."""

from __future__ import annotations

from typing import Literal, get_args

Backend = Literal["tiles", "faiss", "hnsw"]
BACKENDS: tuple[Backend, ...] = get_args(Backend)

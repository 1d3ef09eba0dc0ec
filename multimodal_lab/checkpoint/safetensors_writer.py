"""Streaming safetensors writer: one tensor at a time, hashed while written, no second copy of the model."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

NAMES = {
    torch.float64: "F64", torch.float32: "F32", torch.float16: "F16", torch.bfloat16: "BF16", torch.int64: "I64",
    torch.int32: "I32", torch.int16: "I16", torch.int8: "I8", torch.uint8: "U8", torch.bool: "BOOL",
    torch.complex64: "C64",
}  # fmt: skip


def write(path: Path, tensors: Mapping[str, Tensor]) -> str:
    """Write and fsync `path`; returns the sha256 of the content as it should be, also if the disk damages it."""
    with path.open("wb", buffering=0) as f:
        digest = pour(f, tensors)
        os.fsync(f.fileno())
    return digest


def pour(file: Any, tensors: Mapping[str, Tensor]) -> str:
    """The same into an open file; returns the sha256."""
    digest = hashlib.sha256()
    for chunk in _chunks(tensors):
        digest.update(chunk)
        while chunk:
            chunk = chunk[file.write(chunk) :]
    return digest.hexdigest()


def _chunks(tensors: Mapping[str, Tensor]) -> Iterator[memoryview]:
    """The header (see the format's README), then each tensor's bytes, the widest types first so that all are aligned."""
    order = sorted(tensors, key=lambda name: (-tensors[name].element_size(), name))
    header, at = {}, 0
    for name in order:
        x = tensors[name]
        if x.dtype not in NAMES:
            raise TypeError(f"{name}: {x.dtype} can't be saved; types that can: {', '.join(map(str, NAMES))}")
        end = at + x.numel() * x.element_size()
        header[name] = {"dtype": NAMES[x.dtype], "shape": list(x.shape), "data_offsets": [at, end]}
        at = end
    text = json.dumps(header, separators=(",", ":")).encode()
    text += b" " * (-len(text) % 8)
    yield memoryview(len(text).to_bytes(8, "little") + text)
    for name in order:
        flat = tensors[name].detach().cpu().contiguous().reshape(-1)
        yield flat.view(torch.uint8).numpy().data if flat.numel() else memoryview(b"")

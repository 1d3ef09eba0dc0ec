"""Read a safetensors file; what is no such file is one sentence that names it."""

from __future__ import annotations

from functools import partial
from pathlib import Path

from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor

from multimodal_lab.files import retried
from multimodal_lab.runs.guarded import open_file

MOST = 1 << 24  # bytes of the header: 100,000 tensors have fewer


def read(path: Path) -> dict[str, Tensor]:
    """{name: tensor}; `ValueError` for a file that is not whole, or claims more than it holds, `OSError` for no file."""
    if (header := retried(partial(_header, path))) > MOST:
        raise ValueError(
            f"{path}: can't be read as safetensors (a header of {header:,} bytes, expected at most {MOST:,})"
        )
    try:
        found: dict[str, Tensor] = retried(partial(load_file, path))
    except (SafetensorError, KeyError, TypeError) as error:
        raise ValueError(f"{path}: can't be read as safetensors ({' '.join(str(error).split())[:200]})") from error
    return found


def _header(path: Path) -> int:
    """How many bytes the header claims to have."""
    with open_file(path) as file:
        return int.from_bytes(file.read(8), "little")

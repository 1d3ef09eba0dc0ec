"""Read a safetensors file; what is no such file is one sentence that names it."""

from __future__ import annotations

from functools import partial
from pathlib import Path

from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor

from multimodal_lab.files import require_regular, retried


def read(path: Path) -> dict[str, Tensor]:
    """{name: tensor}; `ValueError` for a file that is not whole, or claims more than it holds, `OSError` for no file."""
    require_regular(path)
    try:
        found: dict[str, Tensor] = retried(partial(load_file, path))
    except (SafetensorError, KeyError, TypeError) as error:
        raise ValueError(f"{path}: can't be read as safetensors ({' '.join(str(error).split())[:200]})") from error
    return found

"""Launch Triton kernels on the device of their first argument; fall back where they do not compile."""

from __future__ import annotations

import importlib.util
import warnings
from collections.abc import Callable
from typing import Any

import torch


def launch(kernel: Any, programs: int, *arguments: Any, **how: Any) -> None:
    """Start so many programs of a kernel; the first argument is a tensor."""
    with torch.cuda.device_of(arguments[0]):  # type: ignore[no-untyped-call]
        kernel[(programs,)](*arguments, **how)


def works(what: str, trial: Callable[[], object]) -> bool:
    """Whether a trial of kernels succeeds; where not, what takes more time without them is said once."""
    if importlib.util.find_spec("triton") is None:
        warnings.warn(f"{what} takes more time on this GPU: Triton is not installed", stacklevel=2)
        return False
    try:
        trial()
    except Exception as error:  # a compiler's own, of many kinds
        said = next(iter(str(error).splitlines()), "")
        warnings.warn(f"{what} takes more time: no kernels for this GPU ({type(error).__name__}: {said})", stacklevel=2)
        return False
    return True

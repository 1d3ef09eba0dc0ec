"""Context managers: eval mode, modules and random states restored after it."""

from __future__ import annotations

import random
from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np
import torch
from torch import nn


@contextmanager
def restored_modes(module: nn.Module | None) -> Iterator[None]:
    """Training or eval mode of a module and of every one in it is restored afterwards."""
    # module by module: a frozen backbone that was in eval mode must not wake up in training mode
    modes = [] if module is None else [(m, m.training) for m in module.modules()]
    try:
        yield
    finally:
        for m, training in modes:
            m.training = training


@contextmanager
def eval_mode(system: nn.Module | None) -> Iterator[None]:
    """Eval mode inside; afterwards modes and the random state of Python, NumPy and torch are restored."""
    python, legacy = random.getstate(), np.random.get_state()
    devices = [torch.cuda.current_device()] if torch.cuda.is_available() else []
    with torch.random.fork_rng(devices), restored_modes(system):
        try:
            if system is not None:
                system.eval()
            yield
        finally:
            random.setstate(python)
            np.random.set_state(legacy)

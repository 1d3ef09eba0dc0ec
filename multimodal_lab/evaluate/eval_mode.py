"""Context manager: eval mode without gradients, modules and random states restored after it."""

from __future__ import annotations

import random
from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np
import torch
from torch import nn


@contextmanager
def eval_mode(system: nn.Module | None) -> Iterator[None]:
    """Eval mode inside; afterwards modes and the random state of Python, NumPy and torch are restored."""
    modes = [] if system is None else [(m, m.training) for m in system.modules()]
    python, legacy = random.getstate(), np.random.get_state()
    devices = [torch.cuda.current_device()] if torch.cuda.is_available() else []
    with torch.random.fork_rng(devices):
        try:
            if system is not None:
                system.eval()
            yield
        finally:
            # module by module: a frozen backbone that was in eval mode must not wake up in training mode
            for module, training in modes:
                module.training = training
            random.setstate(python)
            np.random.set_state(legacy)

"""Records of `logging` on the terminal: plain lines, as all else that a run says."""

from __future__ import annotations

import logging

# at INFO they tell that fonts were looked for, and each job of a sweep, which a line of its own tells
NOISY = ("matplotlib", "hydra._internal.core_plugins.basic_launcher")


def plain() -> None:
    """Take the time and `[HYDRA]` off what is logged from now on: Hydra's handler writes the notes of this package, too."""
    for name in NOISY:
        logging.getLogger(name).setLevel(logging.WARNING)
    for handler in logging.getLogger().handlers:
        if type(handler) is logging.StreamHandler:  # no subclass: a file may want its time
            handler.setFormatter(logging.Formatter("%(message)s"))

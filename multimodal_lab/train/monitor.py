"""The monitored score: whether the validation pass gives it, and whether it is the best so far."""

from __future__ import annotations

import math
from collections.abc import Mapping

from multimodal_lab.checkpoint.state import State
from multimodal_lab.device import distributed


def require_monitor(monitor: str, scores: Mapping[str, float]) -> None:
    """Refuse, on every rank together, a score to watch that the validation pass does not give."""
    if distributed.any_rank(distributed.rank() == 0 and monitor not in scores):
        names = ", ".join(sorted(scores)) or "nothing: the validation split is empty, or this is not rank 0"
        raise ValueError(f"train.monitor={monitor}: no such score; the validation pass gives {names}")


def select(state: State, scores: Mapping[str, float], monitor: str, mode: str) -> bool:
    """Whether this is the best so far; one that is not finite never is. Every rank decides as rank 0 does."""
    require_monitor(monitor, scores)
    value = distributed.broadcast(float(scores.get(monitor, 0.0)))
    # a first NaN must not become the best: nothing compares as better than NaN, so it would stay permanently
    better = math.isfinite(value) and (
        state.best is None or (value < state.best if mode == "min" else value > state.best)
    )
    if better:
        state.best, state.best_step, state.stale = value, state.step, 0
    else:
        state.stale += 1
    return better

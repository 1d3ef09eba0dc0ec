"""Call an evaluator with what its signature asks for."""

from __future__ import annotations

import inspect
import logging
from collections.abc import Callable, Mapping
from typing import Any

from multimodal_lab.evaluate.embeddings import Embeddings
from multimodal_lab.evaluate.pool import pooled, pooled_by

log = logging.getLogger(__name__)


def call(evaluator: Callable[..., dict[str, float]], **given: Any) -> dict[str, float]:
    """Its scores; of what is `given` (train, test, val, data, system, device) it gets the parameters it has.

    One that names neither train nor test gets both by position.
    """
    asked = inspect.signature(evaluator).parameters
    if not asked.keys() & {"train", "test"}:
        return evaluator(given["train"], given["test"])
    return evaluator(**{name: value for name, value in given.items() if name in asked})


def asks(evaluator: Callable[..., Any], name: str) -> bool:
    """Whether `call` gives an evaluator this one."""
    asked = inspect.signature(evaluator).parameters
    return name in asked or (name in ("train", "test") and not asked.keys() & {"train", "test"})


def seen_by(evaluator: Callable[..., Any], given: Mapping[str, Any]) -> dict[str, Any]:
    """What is given, with recordings for rows where an evaluator's `pool` names their column, see `pool.pooled`."""
    pool, name = getattr(evaluator, "pool", None), type(evaluator).__name__.lower()
    if pool is None or (column := pooled_by(pool, given["test"], given["data"].samples)) is None:
        return {**given}
    if pool == "auto":
        log.info("%s is of recordings, the mean of their rows; evaluate.%s.pool=null: of each row", name, name)
    return {
        k: pooled(e, given["data"].samples, column, name) if isinstance(e, Embeddings) else e for k, e in given.items()
    }

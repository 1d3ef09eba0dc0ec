"""Write `summary.json` atomically at the end of a run, and return the objective to the sweeper."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from multimodal_lab import files
from multimodal_lab.files import file_hash, read_failure, retried
from multimodal_lab.runs import hashes


def write_summary(folder: Path, summary: dict[str, Any], plain: Mapping[str, Any]) -> None:
    """Add what the run was made of (its config's key, the source, the predictions) and write `summary.json` last of all."""
    summary |= {hashes.OF_CONFIG: hashes.config_key(plain), hashes.OF_SOURCE: hashes.source_hash()}
    summary[hashes.OF_PREDICTIONS] = file_hash(folder / hashes.PREDICTIONS)
    files.write_json(folder / hashes.SUMMARY, summary, sort_keys=True, default=float)


def read_summary(folder: Path, key: str) -> dict[str, Any]:
    """What `write_summary` wrote; {} where there is none, it is of another config, or the predictions are not its own.

    An `OSError` where the disk does not let it be read: the run may be finished all the same.
    """
    try:
        summary: dict[str, Any] = files.read_json(folder / hashes.SUMMARY)
        own = summary[hashes.OF_PREDICTIONS] == retried(lambda: file_hash(folder / hashes.PREDICTIONS))
        return summary if own and summary[hashes.OF_CONFIG] == key else {}
    except (OSError, ValueError, KeyError, TypeError) as error:
        if read_failure(error):
            raise
        return {}


def score(summary: Mapping[str, Any], key: str | None, label: str, judge: str) -> float:
    """The number a sweeper reads: `key`, or the accuracy that the evaluator `judge` has on `label`.

    It is that of fused, else of the best single stream.
    """
    if key is not None:
        if key not in summary:
            raise ValueError(
                f"objective={key}: the run has no such score; see summary.json for the {len(summary)} it has"
            )
        return float(summary[key])
    ends = f"/{label}/accuracy"
    found = {k: float(v) for k, v in summary.items() if k.startswith(f"{judge}/") and k.endswith(ends)}
    return found.get(f"{judge}/fused{ends}", max(found.values(), default=float("nan")))

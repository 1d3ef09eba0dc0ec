"""Write `summary.json` atomically at the end of a run, and return the objective to the sweeper."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from multimodal_lab import files
from multimodal_lab.files import read_failure, retried
from multimodal_lab.runs import hashes
from multimodal_lab.runs.guarded import file_hash, read_json


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
        summary: dict[str, Any] = read_json(folder / hashes.SUMMARY)
        own = summary[hashes.OF_PREDICTIONS] == retried(lambda: file_hash(folder / hashes.PREDICTIONS))
        return summary if own and summary[hashes.OF_CONFIG] == key else {}
    except (OSError, ValueError, KeyError, TypeError) as error:
        if read_failure(error):
            raise
        return {}


def of_split(summary: Mapping[str, Any]) -> tuple[str, dict[str, Any]]:
    """The split that a run's evaluators scored, `test` or `val`, and the summary with their keys as without a split."""
    if not any(key.startswith("val/") and key.count("/") > 1 for key in summary):
        return "test", dict(summary)
    return "val", {key.removeprefix("val/"): value for key, value in summary.items()}


def score(summary: Mapping[str, Any], key: str | None, label: str, judge: str, split: str = "test") -> float:
    """The number a sweeper reads: `key`, or the `usual` one; NaN where there is none."""
    if key is not None and key not in summary:
        raise ValueError(f"objective={key}: the run has no such score; see summary.json for the {len(summary)} it has")
    found = key or usual(summary, label, judge, split)
    return float(summary[found]) if found else float("nan")


def usual(summary: Mapping[str, Any], label: str, judge: str, split: str = "test") -> str:
    """The score of a run whose `objective` is null: what the evaluator `judge` has on `label`; "" where it has nothing.

    Accuracy, average_precision_macro or r2, of fused, else of the best single stream or head.
    """
    judge = judge if split == "test" else f"{split}/{judge}"
    for ends in (f"/{label}/{word}" for word in ("accuracy", "average_precision_macro", "r2")):
        found = {
            k: float(v) for k, v in summary.items() if k.startswith(f"{judge}/") and k.endswith(ends) and "@" not in k
        }
        if found:
            fused = f"{judge}/fused{ends}"
            return fused if fused in found else max(found, key=found.__getitem__)
    return ""

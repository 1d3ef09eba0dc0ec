"""The audit record of a study, written before the first cell trains and read by the verdict.

What looks at the data imports torch, and is imported when it does; reading what was found needs nothing.
"""

from __future__ import annotations

import fcntl
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

from multimodal_lab import files
from multimodal_lab.config.problem import StudyError
from multimodal_lab.config.study import Study
from multimodal_lab.runs.guarded import read_json
from multimodal_lab.study.helpers import all_cores
from multimodal_lab.text import and_more, counted

FILE = "audit.json"
LOCK = "audit.lock"
SHOWN = 5  # warnings printed
Configs = Mapping[str, Mapping[str, Any]]  # {arm: its plain config}


def load(folder: Path) -> dict[str, Any] | None:
    """The audit record of the study in `folder`; None if it has not been audited."""
    try:
        found: dict[str, Any] = read_json(folder / FILE)
    except (OSError, ValueError) as error:
        if files.read_failure(error):
            raise
        return None
    return found if _sound(found) else None


def _sound(found: Any) -> bool:
    """Whether a file holds what a look writes: a stranger's may hold anything."""
    kinds = {"of": dict, "findings": list, "streams": list, "splits": list, "samples": int, "grouped": bool}
    if not isinstance(found, dict) or not all(isinstance(found.get(k), kind) for k, kind in kinds.items()):
        return False
    words = {"kind": str, "where": str, "sentence": str, "void": bool, "label": str | None}
    return all(
        isinstance(f, dict) and all(k in f and isinstance(f[k], kind) for k, kind in words.items())
        for f in found["findings"]
    ) and all(isinstance(text, str) for text in (*found["streams"], *found["splits"], found["of"].get("data")))


def ensure(folder: Path, study: Study, configs: Callable[[], Configs], todo: bool) -> list[str]:
    """Audit the study's data unless done already; returns the lines to print.

    One launcher looks, others wait for it. todo: whether a cell is to be trained; then data, splits, streams or source
    that differ from those looked at are looked at anew. What can't be read is reported, and left to the cells, which name the
    arm that it is of. `StudyError` where a leak gap is asked for and every sample is a group by itself, or `study.score` is not
    of a label's kind.
    """
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / LOCK).open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        known = load(folder)
        if known is None or todo:
            from multimodal_lab.data.source import DataError
            from multimodal_lab.study.audit.inspect import audit_data

            try:
                with all_cores():
                    known = audit_data(study, configs(), known)
            except DataError as error:
                (folder / FILE).unlink(missing_ok=True)
                return [f"warning: the data were not audited: {error}"]
            files.write_json(folder / FILE, known)
        if study.score is not None and isinstance(known.get("kinds"), dict):
            from multimodal_lab.study.ledger.scoring import require_fitting

            require_fitting(study.score, known["kinds"])
    if study.leak and not known["grouped"]:
        raise StudyError(
            f"study.leak=[{', '.join(study.leak)}]: every sample is a group by itself, so that the split is random as it is "
            "and there is no gap to measure; name the column that samples share in data.split.by, or give study.leak=[]"
        )
    return [*lines(known)]


def wait(folder: Path) -> None:
    """Wait until no other launcher is auditing, and be ready to train by then."""
    from multimodal_lab.experiment import run  # noqa: F401  # seconds, beside the look

    with (folder / LOCK).open("a") as lock:
        fcntl.flock(lock, fcntl.LOCK_SH)


def lines(known: Mapping[str, Any], shown: int | None = SHOWN) -> Iterator[str]:
    """What was looked at, what voids, and the first warnings (None: all)."""
    void, warn = ([f for f in known["findings"] if f["void"] is v] for v in (True, False))
    streams, splits = ", ".join(known["streams"]), len(known["splits"])
    looked = f"audit of {known['samples']:,} samples, {streams}" + (f", {splits} splits" if splits > 1 else "")
    found = [f"{len(void)} void"] * bool(void) + [counted(len(warn), "warning")] * bool(warn)
    yield f"{looked}: {', '.join(found) or 'nothing found'}"
    for one in void:
        yield f"void ({one['label'] or 'every label'}): {one['kind']}: {one['sentence']}"
    yield from (f"warning: {one['kind']}: {one['sentence']}" for one in warn[:shown])
    if shown is not None and (more := and_more(warn, shown)):
        yield f"{more} in {FILE}"


def problems(known: Mapping[str, Any] | None, label: str | None, data: str | None) -> list[str]:
    """What voids every comparison and, given a label, those of this one. data: the fingerprint of what was trained on."""
    if known is None or known["of"]["data"] != data:
        return []
    own = [f for f in known["findings"] if f["void"] and f["label"] in (None, label)]
    return [str(f["sentence"]) for f in own]


def warnings(known: Mapping[str, Any] | None, data: str | None) -> list[str]:
    """Why an audit says nothing of these cells."""
    if known is None:
        return [
            "these data have not been audited for leaks, duplicates and confounds: the study's command does, before it trains"
        ]
    if known["of"]["data"] != data:
        return ["the audit is of other data than these cells; the study's command audits again before it trains"]
    return []

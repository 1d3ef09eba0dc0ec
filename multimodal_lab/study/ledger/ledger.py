"""The state of every cell, read from the cells' files alone, so that a kill loses nothing.

No torch and no Hydra: hundreds of cells are listed at once.
"""

from __future__ import annotations

import math
import shutil
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from multimodal_lab import files
from multimodal_lab.config.problem import StudyError
from multimodal_lab.files import read_failure
from multimodal_lab.runs import directory, hashes
from multimodal_lab.runs.guarded import read_json
from multimodal_lab.runs.summary import read_summary
from multimodal_lab.study.design.plan import Cell, StudyPlan

State = Literal["finished", "running", "failed", "partial", "waiting"]
BEGUN = "cell.json"
LIBRARIES = ("python", "torch", "torchvision", "timm", "kornia", "numpy", "scikit-learn")
TOGETHER = ("fused", "joined", "late")  # what speaks for an arm of several modalities


@dataclass(frozen=True)
class Entry:
    """One cell and what has become of it; `why` is a failure's last line, or who runs it; `summary` once finished."""

    cell: Cell
    folder: Path
    state: State
    why: str = ""
    summary: dict[str, Any] = field(default_factory=dict)


def entries(folder: Path, cells: Sequence[Cell]) -> list[Entry]:
    """Every cell of a plan, in its order."""
    return [entry(folder, cell) for cell in cells]


def entry(folder: Path, cell: Cell) -> Entry:
    """What has become of one cell: finished are those alone whose summary is sealed with its key and its predictions."""
    own = folder / cell.folder
    if summary := finished(own, cell.key):
        return Entry(cell, own, "finished", summary=summary)
    if owner := directory.holder(own):
        return Entry(cell, own, "running", f"process {owner}")
    if (own / directory.ERROR).exists():
        return Entry(cell, own, "failed", directory.last_error(own))
    return Entry(cell, own, "partial" if (own / BEGUN).exists() else "waiting")


def finished(own: Path, key: str) -> dict[str, Any]:
    """The summary of a finished cell; {} where there is none, it is another config's, or its predictions are not its own."""
    summary = read_summary(own, key)
    # null is an undefined score, such as a correlation with a constant
    summary = {k: math.nan if v is None and _is_score(k, summary) else v for k, v in summary.items()}
    return summary if _sound(summary) else {}


def _is_score(key: str, summary: dict[str, Any]) -> bool:
    """Whether a key of a summary holds a number: `EVALUATOR/NAME/LABEL/SCORE`, or another that a study reads."""
    if key.startswith(("provenance/", "choices/")):
        return False
    return key.count("/") == 3 or key.startswith((f"{hashes.judge(summary)}/", "chance", "data/", "val/"))


def _sound(summary: dict[str, Any]) -> bool:
    """Whether scores are numbers and provenance is one value a key; in what a stranger has written they may be anything."""
    scores = [v for k, v in summary.items() if _is_score(k, summary)]
    facts = [v for k, v in summary.items() if k.startswith("provenance/")]
    return all(isinstance(v, float) or (isinstance(v, int) and abs(v) < 2**63) for v in scores) and all(
        v is None or isinstance(v, str | int | float) for v in facts
    )


def begin(own: Path, key: str) -> bool:
    """Whether the cell in `own`, whose directory is ours, is still to be trained; then whatever must go is gone.

    What another source left unfinished is removed: it can't go on exactly. A failure's `error.txt` goes, its checkpoints
    stay. `StudyError` where the directory is another config's.
    """
    if finished(own, key):
        return False
    now = {"key": key, "source": hashes.source_hash()}
    before = _begun(own)
    if before and before.get("key") != key:
        raise StudyError(f"{own}: holds another config ({before.get('key')}, expected {key}); move it away")
    if before and before != now:
        print(f"{own.name}: begun by another source ({before.get('source')}); begins anew", flush=True)
        for path in own.iterdir():
            if path.name != directory.LOCK:
                shutil.rmtree(path) if path.is_dir() else path.unlink()
    files.write_json(own / BEGUN, now)
    (own / directory.ERROR).unlink(missing_ok=True)
    return True


def mixed(found: Sequence[Entry], source: str | None = None) -> list[str]:
    """Sentences that say why finished cells can't be compared: other source, other data; `source` is the one to come."""
    said = []
    done = [e for e in found if e.state == "finished"]
    for key, what in ((hashes.OF_SOURCE, "source"), (hashes.OF_DATA, "data")):
        counts = Counter(str(e.summary.get(key)) for e in done)
        if source is not None and key == hashes.OF_SOURCE:
            counts[source] += 0
        if key == hashes.OF_DATA and len({k.rpartition(":")[0] for k in counts}) > 1:
            how = hashes.incomparable(*counts)
            said.append(f"the data fingerprint of some cells was {how}: it can't tell whether all had the same data")
        elif len(counts) > 1:
            shares = ", ".join(f"{n} of {k[:12]}" if n else f"now {k[:12]}" for k, n in counts.most_common())
            few = min((k for k in counts if counts[k]), key=lambda k: counts[k])
            first = next(e.folder.name for e in done if str(e.summary.get(key)) == few)
            said.append(
                f"cells of different {what} stand in one directory ({shares}; such as {first}): what differs between "
                "arms may be that"
            )
    return said


def versions(found: Sequence[Entry]) -> list[str]:
    """Sentences that say which finished cells ran with other libraries or on other devices: numbers may differ by that."""
    done = [e.summary for e in found if e.state == "finished"]
    said = []
    for name in (*LIBRARIES, "device"):
        own = [str(s[f"provenance/{name}"]) for s in done if f"provenance/{name}" in s]
        if name == "device":
            own = [device.partition(",")[0] for device in own]  # without the CPU's threads
        if len(named := sorted(set(own))) > 1:
            what = "on" if name == "device" else f"with {name}"
            said.append(f"cells were trained {what} {', '.join(named[:-1])} and {named[-1]}")
    return said


def others(folder: Path, given: StudyPlan) -> list[str]:
    """Directories of cells that the plan no longer has: earlier configs, kept and not counted."""
    names = {c.folder for c in given.every}
    return sorted(p.parent.name for p in folder.glob(f"*/{BEGUN}") if p.parent.name not in names)


def _begun(own: Path) -> dict[str, Any]:
    try:
        found = read_json(own / BEGUN)
    except (OSError, ValueError) as error:
        if read_failure(error):
            raise
        return {}
    return found if isinstance(found, dict) else {}

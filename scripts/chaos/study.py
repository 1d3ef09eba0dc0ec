"""Kill the launchers of a study many times: cells and study.json equal those of an uninterrupted one, none trained twice."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import _trial

from multimodal_lab.runs import hashes
from multimodal_lab.study.analysis import results
from multimodal_lab.study.design import plan
from multimodal_lab.study.ledger import ledger

TINY = [
    "data.source.individuals=64", "data.source.size=24", "data.source.species=4", "data.split.stratify=species",
    "data.batch_size=16", "backbone.widths=[8,16]", "train.epochs=6", "study.seeds=[0]",
]  # fmt: skip


def main() -> None:
    a = _trial.arguments(__doc__, kills=10, seed=0)
    random.seed(a.seed)
    with tempfile.TemporaryDirectory() as base:
        whole, broken = (Path(base, name, "study") for name in ("whole", "broken"))
        began = time.monotonic()
        assert start(whole).wait() == 0
        took = time.monotonic() - began
        lost: list[str] = []
        seals: dict[str, os.stat_result] = {}
        for _ in range(a.kills):
            launchers = [start(broken) for _ in range(random.choice((1, 2)))]
            time.sleep(random.uniform(0.1, 0.5) * took)
            for launcher in launchers:
                launcher.send_signal(signal.SIGKILL)
                launcher.wait()
            lost += trained_again(broken, seals)
        if code := start(broken).wait():
            lost.append(f"the last launcher ended with {code}")
        lost += trained_again(broken, seals)
        lost += differences(whole, broken)
        cells = len(plan.load(whole).cells)
        _trial.finish(
            "study",
            lost,
            f"{a.kills} times one or two launchers killed; predictions of {cells} cells and study.json compared",
        )


def start(folder: Path) -> subprocess.Popen[bytes]:
    """A launcher of the study in `folder`, which writes to `<folder>.log`."""
    words = ["-m", "multimodal_lab.run", "study=rgb_vs_uv", f"hydra.sweep.dir={folder}", *TINY]
    folder.parent.mkdir(exist_ok=True)
    with folder.with_suffix(".log").open("ab") as log:
        return subprocess.Popen([sys.executable, *words], cwd=_trial.ROOT, stdout=log, stderr=log)


def trained_again(folder: Path, seals: dict[str, os.stat_result]) -> list[str]:
    """Finished cells whose summary is not the one that was there before; `seals` is brought up to date."""
    if not (folder / plan.FILE).exists():
        return []
    done = [e for e in ledger.entries(folder, plan.load(folder).every) if e.state == "finished"]
    now = {e.folder.name: (e.folder / hashes.SUMMARY).stat() for e in done}
    found = [f"{name}: finished before, and not as it was" for name, stat in seals.items() if now.get(name) != stat]
    seals.update(now)
    return found


def differences(whole: Path, broken: Path) -> list[str]:
    """Cells that did not end or predict otherwise than the unbroken study's, and a `study.json` that says otherwise."""
    one, two = (ledger.entries(f, plan.load(f).every) for f in (whole, broken))
    found = [f"{e.folder.name}: {e.state} {e.why}" for e in two if e.state != "finished"]
    pairs = [(e, f) for e, f in zip(one, two, strict=True) if f.state == "finished"]
    key = hashes.OF_PREDICTIONS
    found += [f"{e.folder.name}: predicts otherwise" for e, f in pairs if e.summary[key] != f.summary[key]]
    told = [(f / results.FILE).read_text().replace(str(f), "") for f in (whole, broken)]
    return [*found, *(["study.json says otherwise"] if told[0] != told[1] else [])]


if __name__ == "__main__":
    main()

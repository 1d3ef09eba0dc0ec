"""Judge a study, `python -m multimodal_lab.study runs=multirun/NAME`, or look at its cells: `… status runs=…`."""

from __future__ import annotations

import sys
import time
from pathlib import Path

from multimodal_lab.study import ledger, plan, show
from multimodal_lab.study.plan import StudyError

USAGE = """usage: python -m multimodal_lab.study runs=DIR                       statistics, verdicts, study.json and the report
       python -m multimodal_lab.study status runs=DIR [watch=true]   what has become of every cell

runs    the directory of a study: multirun/NAME
watch   show the table every two seconds until no cell is running

A study ends with its report by itself; ask for it again after more cells, or while some still run."""
EVERY = 2.0  # seconds


def status(folder: Path, watch: bool) -> int:
    """Show the ledger; the exit code is 0 where every cell is finished, 3 where some are not."""
    made = plan.load(folder)
    while True:
        found = ledger.entries(folder, made.every)
        if watch and sys.stdout.isatty():
            print("\033[H\033[2J", end="")
        show.table(folder, made, found)
        if not watch or not any(e.state == "running" for e in found):
            return 0 if all(e.state == "finished" for e in found) else 3
        time.sleep(EVERY)


def main() -> None:
    """The command line."""
    words = dict(a.split("=", 1) for a in sys.argv[1:] if "=" in a)
    verbs = [a for a in sys.argv[1:] if "=" not in a]
    unknown = sorted(words.keys() - {"runs", "watch"})
    if {"-h", "--help"} & set(verbs):
        print(USAGE)
        return
    if verbs not in (["status"], []) or "runs" not in words or unknown or ("watch" in words and not verbs):
        wrong = f"no {unknown[0]}=…" if unknown else "runs=DIR is missing" if "runs" not in words else "expected status"
        sys.exit(f"error: {wrong}\n{USAGE}")
    try:
        if verbs:
            sys.exit(status(Path(words["runs"]), words.get("watch", "false") == "true"))
        from multimodal_lab.study.conclude import conclude

        conclude(Path(words["runs"]))
    except StudyError as error:
        sys.exit(f"error: {error}")
    except KeyboardInterrupt:
        sys.exit(130)


if __name__ == "__main__":
    main()

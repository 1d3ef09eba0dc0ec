"""Commands on a study: `python -m multimodal_lab.study runs=multirun/NAME` analyses; also `status`, `plan`, `audit`."""

from __future__ import annotations

import sys
import time
from pathlib import Path

from multimodal_lab import progress, stage
from multimodal_lab.config import redact
from multimodal_lab.config.problem import StudyError
from multimodal_lab.study.audit import record
from multimodal_lab.study.design import plan
from multimodal_lab.study.launch.status import table
from multimodal_lab.study.ledger import ledger
from multimodal_lab.text import key_values, plain_output, printable

USAGE = """usage: python -m multimodal_lab.study runs=DIR                       statistics, verdicts, study.json and the report
       python -m multimodal_lab.study status runs=DIR [watch=true]   the state of every cell
       python -m multimodal_lab.study plan runs=DIR effect=0.03      seeds, groups and samples for 80 % chance of *adds*
       python -m multimodal_lab.study audit runs=DIR                 the audit of its data: leaks, duplicates, confounds
       python -m multimodal_lab.study audit GROUP=CHOICE KEY=VALUE … the same of any data, as multimodal_lab.run takes them;
                                                                     nothing is trained

runs    the directory of a study: multirun/NAME
effect  the true gain to be found, in the unit of the score: 0.03 is 3 points; label=NAME plans for one label alone
watch   show the table every two seconds until no cell is running

audit ends with exit code 3 where something voids a comparison; data of the embedded kind: audit study=rgb_vs_uv.
A study ends with its report by itself; ask for it again after more cells, or while some still run."""
EVERY = 2.0  # seconds


def status(folder: Path, watch: bool) -> int:
    """Print the status of the cells; the exit code is 0 if all are finished, else 3."""
    made = plan.load(folder)
    while True:
        found = ledger.entries(folder, made.every)
        if watch and sys.stdout.isatty():
            print("\033[H\033[2J", end="")
        table(folder, made, found)
        if not watch or not any(e.state == "running" for e in found):
            return 0 if all(e.state == "finished" for e in found) else 3
        time.sleep(EVERY)


def look(words: list[str]) -> int:
    """Print the audit of a study's directory, or audit the data that `words` choose; exit code 3 if a finding is void, else 0."""
    runs = key_values(words, {"runs"})[0].get("runs")
    if runs is not None and len(words) == 1:
        plan.load(Path(runs))
        if (known := record.load(Path(runs))) is None:
            raise StudyError(f"runs={runs}: these data have not been audited yet; the study's own command does")
    else:
        if not words or runs is not None:
            raise StudyError("audit: expected runs=DIR alone, or choices of data such as study=rgb_vs_uv")
        from multimodal_lab.study.audit.standalone import audited

        progress.show(True)
        known = audited(words)
    print("\n".join(printable(line, one_line=True) for line in record.lines(known, shown=None)))
    return 3 if any(f["void"] for f in known["findings"]) else 0


def forecast(words: dict[str, str], typed: list[str]) -> None:
    """Print how many seeds, groups and samples a study like the one in `runs` needs to find `effect`."""
    wrong = [w for w in typed if w.partition("=")[0] not in ("runs", "effect", "label") or "=" not in w]
    if wrong or "runs" not in words:
        expects = "expected runs=DIR effect=0.03, and label=NAME for one label alone"
        sys.exit(f"error: plan: {f'no {wrong[0]}' if wrong else 'runs=DIR is missing'}; {expects}")
    try:
        plan.load(Path(words["runs"]))  # refused before what is slow to import
        from multimodal_lab.study.launch.forecast import plan_more

        plan_more(words)
    except Exception as error:
        stage.leave(error, redact.text)


def main() -> None:
    """The command line."""
    plain_output()
    words, verbs = key_values(sys.argv[1:])
    unknown = sorted(words.keys() - {"runs", "watch"})
    if {"-h", "--help"} & set(verbs):
        print(USAGE)
        return
    if sys.argv[1:2] == ["plan"]:
        forecast(words, sys.argv[2:])
        return
    if sys.argv[1:2] == ["audit"]:
        try:
            sys.exit(look(sys.argv[2:]))
        except Exception as error:
            stage.leave(error, redact.text)
    if verbs not in (["status"], []) or "runs" not in words or unknown or ("watch" in words and not verbs):
        wrong = (
            f"no {unknown[0]}=…"
            if unknown
            else "runs=DIR is missing"
            if "runs" not in words
            else "expected status or audit"
        )
        sys.exit(f"error: {wrong}\n{USAGE}")
    try:
        if verbs:
            sys.exit(status(Path(words["runs"]), words.get("watch", "false") == "true"))
        plan.load(Path(words["runs"]))  # refused before what is slow to import
        from multimodal_lab.study.launch.conclude import conclude

        conclude(Path(words["runs"]))
    except Exception as error:
        stage.leave(error, redact.text)
    except KeyboardInterrupt:
        sys.exit(130)


if __name__ == "__main__":
    main()

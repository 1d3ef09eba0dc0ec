"""Short versions of all chaos trials in one process: `make test-slow`."""

from __future__ import annotations

import sys

import damage
import faults
import kill
import preempt
import ranks

SHORT = {
    kill: "--kills 5 --saves 2 --epochs 8",
    damage: "--flips 40 --cuts 40 --blocks 40 --swaps 20",
    faults: "--most 24",
    preempt: "--times 3 --epochs 6",
    ranks: "--worlds 3 --stops 1 --kills 1 --epochs 4",
}


def main() -> None:
    failed = []
    for trial, words in SHORT.items():
        sys.argv = [trial.__name__, *words.split()]
        try:
            trial.main()
        except SystemExit as done:
            failed += [trial.__name__] if done.code == 1 else []
    sys.exit(f"failed: {', '.join(failed)}" if failed else 0)


if __name__ == "__main__":
    main()

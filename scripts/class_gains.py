"""Bars of how much better one run tells each class than another, on the samples that both were judged on.

python scripts/class_gains.py first=DIR second=DIR out=FILE.png [label=labels]

Beside the figure FILE.csv is written: the average precision of each class in both runs, the difference and its 95 % interval.
"""

from __future__ import annotations

import sys
from pathlib import Path

from multimodal_lab.text import key_values, plain_output

WORDS = ("first", "second", "out", "label")


def main() -> None:
    """The command line: exit 0 when done, 1 for runs that can't be compared, 2 for words that can't be."""
    plain_output()
    words, rest = key_values(sys.argv[1:], WORDS)
    if rest or not {"first", "second", "out"} <= words.keys() or not words["out"].endswith(".png"):
        print(__doc__)
        sys.exit(0 if {"-h", "--help"} & set(rest) else 2)
    from multimodal_lab.report import class_gains, style

    first, second, out = (Path(words[k]) for k in ("first", "second", "out"))
    try:
        table = class_gains.gains(first, second, words.get("label"))
    except (OSError, ValueError) as error:
        sys.exit(f"error: {error}")
    table.to_csv(out.with_suffix(".csv"), index=False)
    with style.look():
        style.save(class_gains.figure(table, f"{second.name} over {first.name}"), out)
    mean = table.iloc[-1]
    said = f"{mean.gain:+.3f} [{mean.low:+.3f}, {mean.high:+.3f}], mean of {len(table) - 1} classes"
    print(f"{second.name} over {first.name}: {said}; {out}")


if __name__ == "__main__":
    main()

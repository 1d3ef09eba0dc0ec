"""Report sections on where fusion gains: classes and subgroups, single samples, and samples worth the second modality."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from multimodal_lab.report.study.elements import Picture, Section, Table, figure, number, points, pvalue, score_of

PICTURE = re.compile(r"[\w.@+-]+\.png")
FALSE = (
    "Of the classes or subgroups of a table that are found to gain or to lose, at most 5 % are expected to be found by chance "
    "(Benjamini and Hochberg); q is p after that correction. Controls guard the verdict of the whole label, not these gains."
)


def where(made: Mapping[str, Any]) -> Iterator[Section]:
    """Which classes or subgroups gain."""
    tables, said = [], [FALSE]
    for label, own in made["labels"].items():
        for table in own["where"]:
            rows = [
                [s["name"], str(s["n"]), str(s["groups"]), points(s["gain"], score_of(own)), pvalue(s["p"]), pvalue(s["q"]),
                 s["found"] or "–"] if s["q"] is not None else
                [s["name"], str(s["n"]), str(s["groups"]), points({**s["gain"], "low": None}, score_of(own)), "–", "–",
                 "not tested: too few groups"]
                for s in table["rows"]
            ]  # fmt: skip
            head = (table["column"], "n", "groups", f"{table['arm']} over {table['over']}", "p", "q", "found")
            tables.append(Table(head, rows, f"{label}: {table['arm']} over {table['over']}, by {table['column']}"))
            said.append(f"{label}: {table['sentence']}.")
    if tables:
        yield Section("Where does it add?", said, tables)


def only_fusion(made: Mapping[str, Any], folder: Path) -> Iterator[Section]:
    """The samples on which only fusion is right; pictures are those of `folder`."""
    for label, own in made["labels"].items():
        only = own["only_fusion"]
        if not only or not only["samples"]:
            continue
        luck = ", ".join(f"{arm} {count}" for arm, count in only["by_chance"].items())
        said = [
            f"On {only['count']} of {only['n']} samples {only['arm']} is right in most seeds, and none of "
            f"{', '.join(only['singles'])} is.",
            *([f"For comparison, samples on which a control alone is right, by chance: {luck}."] if luck else []),
        ]
        arms = [*only["singles"], only["arm"]]
        rows = [[s["id"], s["truth"], *(number(s["right"][a]) for a in arms)] for s in only["samples"]]
        shown = [Picture(folder / s["picture"], s["id"], s["truth"]) for s in only["samples"]
                 if PICTURE.fullmatch(s.get("picture") or "") and (folder / s["picture"]).is_file()]  # fmt: skip
        table = Table(
            ("sample", label, *(f"{a} right" for a in arms)), rows, "The share of seeds in which an arm is right"
        )
        yield Section(f"Right by fusion alone: {label}", said, [table], pictures=shown)


def acquire(made: Mapping[str, Any], figures: Mapping[str, Path]) -> Iterator[Section]:
    """What share of the samples needs the second modality."""
    said, rows = [], []
    for label, own in made["labels"].items():
        for a in own["acquire"]:
            said.append(f"{label}: {a['sentence']}.")
            rows.append([label, " and ".join(a["added"]), a["over"], a["arm"], f"{100 * a['share']:.0f} %", points(a["loss"]),
                         f"{100 * a['random']:+.1f}", "yes" if a["small"] else "no"])  # fmt: skip
    if not rows:
        return
    said.append(
        "The share is chosen on four fifths of the groups and its loss measured on the others, in turn; the loss is against all "
        "samples having both. The oracle, who knows which samples gain, is the bound that no order can pass."
    )
    head = ("label", "measured", "beside", "arm", "share", "loss [95 %]", "in random order", "less than the margin")
    drawn = figure("Accuracy by the share of samples that have the second modality", "acquire", figures)
    yield Section("For which samples is it worth measuring?", said, [Table(head, rows)], drawn)

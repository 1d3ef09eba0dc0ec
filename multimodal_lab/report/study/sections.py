"""The sections of a study's report: sentences, tables and figures, for every output format."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from multimodal_lab.report.study.calibration import calibration
from multimodal_lab.report.study.elements import (
    AnswerCard,
    Report,
    Section,
    Table,
    Word,
    figure,
    number,
    points,
    pvalue,
    score_of,
    signed,
    size_of,
    spread,
)
from multimodal_lab.report.study.question import MODALITIES, Question, question
from multimodal_lab.report.study.shares import retrained, subsets
from multimodal_lab.report.study.tuning import tuning
from multimodal_lab.report.study.where import acquire, only_fusion, where
from multimodal_lab.stats.score import named
from multimodal_lab.stats.score_names import LOSSES

EFFECT = "effect, over runs only, not over samples"


def build_report(made: Mapping[str, Any], figures: Mapping[str, Path], gallery: Path) -> Report:
    """All sections that `study.json` has something for, verdicts first; gallery: the folder of pictures that it names."""
    cards = [_card(label, own) for label, own in made["labels"].items()]
    asked = question(made)
    parts = [
        *_warned(made), *_arms(made, figures), *tuning(made), *_controls(made, asked, figures), *_comparisons(made, asked),
        *where(made), *only_fusion(made, gallery), *acquire(made, figures),
        *subsets(made, figures), *retrained(made, figures), *calibration(made, figures), *_overlap(made), *_classes(made),
        *_groups(made), *_audit(made), *_cells(made), _made_of(made), Section("How to read this", asked.rules),
    ]  # fmt: skip
    return Report(str(made["study"]), cards, parts, asks=asked.asks)


def _card(label: str, own: Mapping[str, Any]) -> AnswerCard:
    said, v = own["answer"], own["verdict"]
    words = [
        Word(
            str(d["kind"]),
            str(d["over"]) if d["added"] else "",
            f"{d['arm']}: {points(d['gain'], score_of(own))}",
            str(d["sentence"]),
        )
        for d in said["directions"]
    ]
    shown = {(d["arm"], d["over"]) for d in said["directions"]}
    singles = [f"{arm} {spread(a)}" for arm, a in own["arms"].items() if a["role"] in ("baseline", "reference")]
    best = f"; {v['arm']} {spread(own['arms'][v['arm']])}" if v["arm"] in own["arms"] else ""
    chance = f"; chance {number(own['chance'])}" if own["chance"] is not None else ""
    others = [f"{c['arm']} over {c['baseline']} {c['verdict']['kind']}" for c in own["comparisons"]
              if (c["arm"], c["baseline"]) not in shown]  # fmt: skip
    knows = f"{', '.join(singles)}{best}{chance}" if singles else ""
    words = words or [Word(str(v["kind"]), "", "", str(v["sentence"]))]
    return AnswerCard(label, str(said["sentence"]), words, knows, "; ".join(others))


def _warned(made: Mapping[str, Any]) -> Iterator[Section]:
    if said := [*map(str, made["problems"]), *map(str, made["warnings"])]:
        yield Section("Before you read on", said)


def _arms(made: Mapping[str, Any], figures: Mapping[str, Path]) -> Iterator[Section]:
    tables = []
    for label, own in made["labels"].items():
        rows = [
            [arm, a["role"], a["stream"], spread(a), str(sum(map(len, a["runs"])))] for arm, a in own["arms"].items()
        ]
        left = f"; {sum(own['left_out'])} samples left out that some arm did not judge" if any(own["left_out"]) else ""
        judged = (
            f", margin {score_of(own).size(own['score']['margin'])}, {own['score']['why']}" if own.get("score") else ""
        )
        scored = f"{own.get('metric') or 'score'}, chance {number(own['chance'])}{judged}"
        said = f"{label}: {own['n']} samples in {own['groups']} groups, {scored}{left}"
        tables.append(Table(("arm", "is", "read from", "mean [95 %]", "runs"), rows, said))
    yield Section("Scores of each arm", ["On held-out samples; the intervals treat seeds and groups as random samples of many."],
                  tables, figure("Scores of the arms", "arms", figures))  # fmt: skip


def _controls(made: Mapping[str, Any], asked: Question, figures: Mapping[str, Path]) -> Iterator[Section]:
    pairs = [
        (label, c, score_of(own)) for label, own in made["labels"].items() for c in own["comparisons"] if c["better"]
    ]
    rows = [[label, c["arm"], k["arm"], k["name"], points(k["gain"], by), points(k["lead"], by)]
            for label, c, by in pairs for k in c["controls"]]  # fmt: skip
    head = ("label", "arm", "control", "is", "gains over the better modality", "the arm leads it by")
    said = "A control has the capacity of its arm without the information; what it gains is not information."
    drawn = figure(asked.gains, "gains", figures)
    if rows or asked is MODALITIES:
        yield Section("Gains and controls", [said], [Table(head, rows)] if rows else [], drawn)
    elif drawn:
        yield Section("Differences", (), (), drawn)


def _comparisons(made: Mapping[str, Any], asked: Question) -> Iterator[Section]:
    head = ("label", "arm", "over", "verdict", "gain", "p Holm", "p", "equivalent", "sees", EFFECT, "win/tie/loss",
            "bootstrap", "sign flips p (least)", "Wilcoxon p (least)")  # fmt: skip
    rows: list[list[str]] = []
    notes: dict[tuple[str, str], list[str]] = {}
    for label, own in made["labels"].items():
        by = score_of(own)
        for c in own["comparisons"]:
            e, boot, flip, rank = c["effect"], c["bootstrap"], c["sign_flip"], c["wilcoxon"]
            size = f"{number(e['size'])} [{number(e['low'])}, {number(e['high'])}]"
            equal = f"{'yes' if c['equivalence']['shown'] else 'no'}, p {pvalue(c['equivalence']['p'])}"
            rows.append([label, c["arm"], c["baseline"], c["verdict"]["kind"], points(c["gain"], by), pvalue(c["gain"]["p"]),
                         pvalue(c["gain"]["p_raw"]), equal, size_of(c["detectable"], by), size, "/".join(map(str, c["wins"])),
                         f"{signed(boot['low'], by)} to {signed(boot['high'], by)}",
                         f"{pvalue(flip['p'])} ({pvalue(flip['smallest'])})",
                         f"{pvalue(rank['p'])} ({pvalue(rank['smallest'])})"])  # fmt: skip
            for note in filter(None, [*c["notes"], c["need"]]):
                notes.setdefault((label, note), []).append(f"{c['arm']} over {c['baseline']}")
    if rows:
        yield Section("All comparisons", asked.rests, [Table(head, rows)])
        yield Section(
            "What more seeds would show", [f"{label}: {n} ({', '.join(of)})" for (label, n), of in notes.items()]
        )


def _overlap(made: Mapping[str, Any]) -> Iterator[Section]:
    found = made.get("overlap")
    if not found:
        return
    rows = [[" and ".join(m["between"]), m["name"], spread({**m, "mean": m["value"]}), number(m["null"]), pvalue(m["p"])]
            for m in found["measures"]]  # fmt: skip
    tables = [
        Table(
            ("between", "measure", "value [95 %]", "by chance", "p"),
            rows,
            "How alike the single models' embeddings are, how they spread, and how near streams of one space are",
        )
    ]
    bits = [[label, part, spread({**v, "mean": v["value"]}), pvalue(v["p"])]
            for label, parts in found["information"].items() for part, v in parts.items()]  # fmt: skip
    if bits:
        tables.append(Table(("label", "information", "bits [95 %]", "p"), bits, "Information about the label (BROJA)"))
    said = ["Of the single-modality models of one seed. What a modality tells only together with the other, such a model has no "
            "reason to keep: synergy can be missed here.",
            "Pairs of samples are of different groups, and each group counts the same. CCA is correlated in groups that its "
            "variates were not learnt on; it has no interval, for none was found that holds. The parts of information have one "
            "where groups are at least ten for each pair of codes and class but one.",
            "By chance: whole groups of one modality dealt anew among those of equal size; for the modality gap, which no "
            "dealing moves, the two modalities swapped group by group. Uniformity is of one modality and has no such null; lower "
            "is more spread out. Alignment is better the smaller, the gap 0 where both modalities fill one place.",
            *map(str, found.get("notes", ()))]  # fmt: skip
    yield Section("Overlap of the modalities", said, tables)


EACH = {
    "auroc": "the share of the samples of other classes that are given less of the class",
    "average_precision": "the mean precision at the probability that its samples are given",
    "r2": "the mean of 1 less the squared error over the variance of the whole test part",
    **{loss: f"the mean {named(loss).title}, less being better" for loss in LOSSES},
}  # of the samples of a class or group; of all other scores how many are right


def _each(own: Mapping[str, Any]) -> str:
    name, metric = score_of(own).name, str(own.get("metric"))
    right = f"the {metric}" if name == "accuracy" and metric != "accuracy" else "the share that is right"
    return f"{EACH.get(name, right)}, over runs"


def _classes(made: Mapping[str, Any]) -> Iterator[Section]:
    tables = []
    for label, own in made["labels"].items():
        arms = [a for a, facts in own["arms"].items() if facts["role"] != "control"]
        rows = [[name, str(c["n"]), *(number(c["mean"][a]) for a in arms)] for name, c in own["by_class"].items()]
        if rows and len(rows) <= 100:
            tables.append(Table((label, "n", *arms), rows, f"{label}: {_each(own)}"))
    if tables:
        yield Section("By class", (), tables)


def _groups(made: Mapping[str, Any]) -> Iterator[Section]:
    tables = []
    for label, own in made["labels"].items():
        v = own["verdict"]
        pair = [a for a in (v["baseline"], v["arm"]) if a in own["arms"]]
        rows = [[str(g["group"]), str(g.get("sample", "")), str(g["n"]), *(number(g["mean"][a]) for a in pair)]
                for g in own["by_group"]["most"]]  # fmt: skip
        if rows:
            said = f"{label}: the {len(rows)} of {own['by_group']['count']} groups that give most to the difference; {_each(own)}"
            tables.append(Table(("group", "a sample of it", "n", *pair), rows, said))
    if tables:
        yield Section("By group", (), tables)


def _audit(made: Mapping[str, Any]) -> Iterator[Section]:
    found = made.get("audit")
    if not found:
        return
    rows = [[f["kind"], f["where"], "voids" if f["void"] else "warns", f["sentence"]] for f in found["findings"]]
    tables = [Table(("found", "where", "", "what"), rows)] if rows else []
    gaps = [[label, number(g["random"]), number(g["grouped"]), points({**g, "mean": g["gap"]}, score_of(g))]
            for label, g in (found.get("leak_gap") or {}).items()]  # fmt: skip
    if gaps:
        tables.append(Table(("label", "random split", "grouped split", "leak gap"), gaps))
    yield Section("Audit of splits and leaks", () if rows else ["Nothing was found."], tables)


def _cells(made: Mapping[str, Any]) -> Iterator[Section]:
    c = made["cells"]
    said = [f"{c['finished']} of {c['total']} cells are finished."]
    said += [f"unfinished: {name}" for name in c["unfinished"][:20]]
    rows = [[f["cell"], f["why"]] for f in c["failed"]]
    yield Section("Cells", said, [Table(("failed", "why"), rows)] if rows else [])


def _made_of(made: Mapping[str, Any]) -> Section:
    facts = {**made.get("versions", {}), "source": made.get("source"), "data fingerprint": made.get("data"),
             "commit": made.get("git")}  # fmt: skip
    asked = {k: v for k, v in made["question"].items() if k in ("seeds", "splits", "margin", "unequal")}
    rows = [[str(k), str(v)] for k, v in {**facts, **asked}.items() if v is not None]
    arms = [[name, " ".join(map(str, lines))] for name, lines in made["question"]["arms"].items()]
    arms += [
        [name, f"{c['of']} with {' '.join(map(str, c['set']))}"] for name, c in made["question"]["controls"].items()
    ]
    return Section(
        "Made by", (), [Table(("", "is"), rows), Table(("arm", "overrides"), arms)], command=str(made["command"])
    )

"""What a study asks, and its words: what each modality adds, or how methods compare."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Question:
    """asks: the title. rests: what stands above all comparisons. rules: what the words mean. gains: the figure's caption; over:
    what its differences are taken from."""

    asks: str
    rests: tuple[str, ...]
    rules: tuple[str, ...]
    gains: str
    over: str


INTERVALS = (
    "Intervals are 95 % each and unadjusted (90 % where a verdict says that a difference is within the margin, but for "
    "areas under curves). "
)
COLUMNS = (
    "p and p Holm are two-sided. equivalent: whether the difference is shown to be within the margin, and the p of that. sees is "
    "in the unit of the gain; win/tie/loss counts runs (seeds and splits); bootstrap draws seeds, splits and groups again; sign "
    "flips are of groups, Wilcoxon's ranks of seeds. The interval of effect takes runs for independent. least: the lowest p that "
    "so many pairs can give."
)
RULES = "The rules in full are in docs/verdict.md of multimodal_lab"
MODALITIES = Question(
    "What does each modality add?",
    (
        INTERVALS
        + "p of an arm's gain (p Holm) and of its leads over controls are adjusted by Holm, in verdicts' sentences "
        "too; p of a control's own gain is not. Where few groups differ, or a class stands in few, the interval has a floor (the "
        "variance of these groups says too little), and p has not: it may be small beside a wide interval.",
        "The verdict rests on the gain (one-sided, at .045, where it is claimed; two-sided, at .05, where a loss is), on the "
        "test of equivalence, on the controls' gains and the arm's leads over them, and on the smallest gain at which it would "
        "be adds with 80 % chance (sees); the others stand beside it.",
        COLUMNS,
    ),
    (
        "adds: a sure gain over the better single modality, and a sure lead over every control.",
        "redundant: shown to be within the margin. harms: a sure loss.",
        "no evidence: neither is shown, though a difference that matters would have been seen. underpowered: it would not.",
        "invalid: the comparison does not stand, a control is missing, or a control gains as much.",
        f"{RULES}, and how often they err in docs/rates.md.",
    ),
    "Each fused arm minus the better single modality; controls in grey",
    "the better modality",
)


def question(made: Mapping[str, Any]) -> Question:
    """Of a `study.json`."""
    if made["question"].get("compares") != "methods":
        return MODALITIES
    over = ", ".join(map(str, made["question"]["baselines"]))
    return Question(
        "How do the methods compare?",
        (
            INTERVALS + "p Holm is adjusted over all methods and labels of this report.",
            "The verdict rests on the gain over the reference (one-sided, at .045, where it is claimed; two-sided, at .05, where "
            "a loss is) and on the test of equivalence. sees: the smallest gain that would be called better with 80 % chance.",
            COLUMNS,
        ),
        (
            f"All methods see the same modalities, and each is held against {over}, the reference.",
            "better, worse: a sure difference. alike: shown to be within the margin. not known: neither is shown.",
            "invalid: the comparison does not stand.",
            "No word says why a method is better: it may have more weights, or take longer for a step.",
            f"{RULES}.",
        ),
        f"Each method minus {over}, the reference",
        over,
    )

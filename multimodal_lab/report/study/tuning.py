"""Report section on each arm's hyperparameter tuning."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from multimodal_lab.report.study.elements import Section, Table, number


def tuning(made: Mapping[str, Any]) -> Iterator[Section]:
    """What every arm tried and has."""
    if not (found := made.get("tuning")):
        return
    options = [" ".join(map(str, option)) or "as it is" for option in found["options"]]
    by = (
        "the validation loss (negative)"
        if found["score"] == "loss"
        else f"the {found.get('evaluator', 'probe')}, mean over labels"
    )
    many = "seeds" if len(found["seeds"]) > 1 else "seed"
    seeds = f"{many} {', '.join(map(str, found['seeds']))}"
    said = [
        f"Each arm tried {len(options)} configurations on the validation part of each split, with {seeds}, and its "
        f"cells have the best by {by}; of equal ones the first. The test part was not scored.",
        "A control has what its arm has.",
    ]
    if found["set"]:
        said.append(
            f"In these runs alone {' '.join(map(str, found['set']))}: the validation part is cut off the training part."
        )
    rows = [
        [arm, split, str(own["tried"]), "–" if own["chosen"] is None else options[own["chosen"]], *map(number, own["scores"])]
        for arm, splits in found["arms"].items() for split, own in splits.items()
    ]  # fmt: skip
    yield Section("Tuning", said, [Table(("arm", "split", "tried", "chosen", *options), rows)])

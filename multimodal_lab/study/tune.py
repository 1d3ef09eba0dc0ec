"""How every arm of a study is tuned alike: the node `study.tune` of its YAML. No torch, no Hydra."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal

from multimodal_lab.bounds import Natural
from multimodal_lab.config.problem import Problem
from multimodal_lab.study.lines import key, under

# What an option may not change: what is compared, on which samples, and how it is judged.
FIXED = ("seed", "study", "modality", "data.split", "data.source", "data.labels", "data.shuffle", "label", "subsets",
         "evaluate", "judged")  # fmt: skip
LOSSES = ("loss", "losses", "head", "heads", "data.batch_size")  # what makes losses of two options two scales


@dataclass
class Tune:
    """Every arm, baseline or fused, tries the same configurations on each split, and its cells have the best.

    options: lists of overrides, as typed; [] is the arm as it is. Of equal scores the first is taken. They are scored on the
    validation part alone, by `probe`: the mean over the study's labels of what the cells are judged by; or by `loss`: the
    validation loss, lower is better, which a small part tells with less noise. seeds: of the tuning cells, none of the
    study's, so that no seed of it is favoured; scores are means over them. set: overrides of tuning cells alone, such as a
    validation part cut off the training part where the cells have none.
    """

    options: list[list[str]]
    score: Literal["probe", "loss"] = "probe"
    seeds: list[Natural] = field(default_factory=lambda: [1000])
    set: list[str] = field(default_factory=list)


def problems(tune: Tune, lines: Mapping[str, Sequence[str]], seeds: Sequence[int]) -> Iterator[Problem]:
    """What is wrong with a tuning beside arms and controls, `lines` {name: overrides of its own}, and the study's seeds."""
    where = "study.tune.options"
    if len(tune.options) < 2:
        yield Problem(where, tune.options, "expected at least two to choose among; study.tune=null tunes nothing")
    if both := sorted({*tune.seeds} & {*seeds}):
        yield Problem("study.tune.seeds", both[0], "is a seed of the study: it would be favoured; give others",
                      f"study.tune.seeds=[{max(seeds) + 1000}]")  # fmt: skip
    if not tune.seeds or len(set(tune.seeds)) < len(tune.seeds):
        yield Problem("study.tune.seeds", tune.seeds, "expected at least one, and none twice")
    given = dict.fromkeys(key(line) for option in tune.options for line in option)
    for name in given:
        if any(under(name, top) for top in FIXED):
            yield Problem(where, name, "can't be tuned: it changes what is compared or how it is judged")
        elif tune.score == "loss" and any(under(name, top) for top in LOSSES):
            expects = "changes the loss itself, which then compares nothing"
            yield Problem("study.tune.score", "loss", f"the option {name} {expects}", "study.tune.score=probe")
    for arm, own in lines.items():
        for name in (n for line in own if (n := key(line)) in given):
            yield Problem(where, name, f"arm {arm} sets {name} itself; take it out of one of the two")
    for line in tune.set:
        if key(line) in given or not under(key(line), "data.split") or key(line) == "data.split.seed":
            near = "study.tune.set=[data.split.train=…, data.split.val=…]"
            yield Problem("study.tune.set", line, "expected overrides of data.split: all else is the cells' own", near)

"""The schema of the `study` node: arms, seeds, splits, controls. Imports no torch and no Hydra."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

from multimodal_lab.bounds import Count, Natural, Positive
from multimodal_lab.config.problem import Problem
from multimodal_lab.config.study_lines import key, later, under
from multimodal_lab.config.study_methods import method_problems
from multimodal_lab.config.study_score import of_label, score_problems
from multimodal_lab.stats.score_names import ScoreName
from multimodal_lab.stats.seeds import FEWEST_SEEDS
from multimodal_lab.text import counted, nearest

RANDOM = "data.split.group_policy=samples"
Role = Literal["baseline", "fused", "reference", "method", "control", "subsets", "retrained", "tuning", "leak"]


@dataclass
class Control:
    """An arm that can't know more than the baselines: what changes (`set`) of the fused arm `of`, whose capacity it has.

    keeps: the baseline whose modality a duplicate sees several times; None is found from the configs where one is cut alike.
    """

    of: str
    kind: Literal["shuffled", "duplicate"]
    set: list[str]
    keeps: str | None = None


@dataclass
class Study:
    """One question: does an arm know more than the better of its baselines?

    compares: `modalities`, whose baselines have one each; or `methods`, arms of the same modalities, of which the one baseline is
    the reference: there are no controls, and the words are better, worse, alike and not known (docs/verdict.md).
    arms: {name: overrides as typed on the command line}. baselines: see above. controls: see `Control`.
    seeds, splits: values of `seed` and `data.split.seed`. labels: those that are judged. score: what judges
    them, one name or {label: name} (None: by the kind of each label, see docs/scores.md). margin: a difference smaller than this
    is none, in the unit of the score, for all labels or {label: margin} (None: 0.02 of a share, 2 % of a loss of the best
    constant answer). unequal: keys in which arms may differ though they are part of the budget or of the backbones. tune: what
    every arm tries before its cells (see `Tune`); an arm then has its own best option, a control that of its arm. mixed: whether
    cells of other source or data may stand in one directory. subsets: an arm in no comparison, trained with modality dropout,
    whose score on every subset of its modalities and Shapley values are reported. retrain: a fused arm that is trained anew on
    every subset of its modalities, whose Shapley values stand beside. leak: arms that are trained on random splits too, in no
    comparison, for the leak gap. by: columns whose values tell where an arm gains, labels of the data; by default the classes of
    each label. jobs: launchers side by side on this machine. evaluator: by whose predictions cells are
    judged, such as probe, or head for what was trained; None is the first of the arms' evaluators that judges every label of
    the study in all of them.
    """

    arms: dict[str, list[str]]
    baselines: list[str]
    labels: list[str]
    controls: dict[str, Control] = field(default_factory=dict)
    seeds: list[Natural] = field(default_factory=lambda: [0, 1, 2, 3, 4])
    splits: list[Natural] = field(default_factory=lambda: [0])
    score: ScoreName | dict[str, ScoreName] | None = None
    margin: Positive | dict[str, Positive] | None = None
    unequal: list[str] = field(default_factory=list)
    tune: Tune | None = None
    mixed: bool = False
    subsets: str | None = None
    retrain: str | None = None
    leak: list[str] = field(default_factory=list)
    by: list[str] = field(default_factory=list)
    jobs: Count = 1
    evaluator: str | None = None
    compares: Literal["modalities", "methods"] = "modalities"

    @property
    def fused(self) -> list[str]:
        """The arms that are no baselines, and are compared with them."""
        return [name for name in self.arms if name not in (*self.baselines, self.subsets)]

    def role(self, arm: str) -> Role:
        """What an arm or a control is to the question."""
        if arm == self.subsets:
            return "subsets"
        if arm in self.leaks():
            return "leak"
        if self.compares == "methods":
            return "reference" if arm in self.baselines else "method"
        return "control" if arm in self.controls else "baseline" if arm in self.baselines else "fused"

    def scored_by(self, label: str) -> ScoreName | None:
        """The score that is asked for; None: the default of the label's kind."""
        return of_label(self.score, label)

    def margin_of(self, label: str) -> float | None:
        """The margin that is asked for; None: the default of the label's score."""
        return of_label(self.margin, label)

    def overrides(self) -> dict[str, list[str]]:
        """{arm or control: its overrides}; a control has those of its arm, then its own."""
        controls = {name: later(self.arms[c.of], c.set) for name, c in self.controls.items()}
        return {**self.arms, **controls}

    def leaks(self) -> dict[str, list[str]]:
        """{arm on random splits: its overrides}, which differ from the arm's in what is held out alone."""
        return {f"{arm}_random": later(self.arms[arm], [RANDOM]) for arm in self.leak if arm in self.arms}

    def tuned_as(self, arm: str) -> str:
        """The arm whose choice this one has: a control or one on random splits that of its arm, every other its own."""
        if arm in self.leaks():
            return next(own for own in self.leak if f"{own}_random" == arm)
        return self.controls[arm].of if arm in self.controls else arm


def read(node: Mapping[str, Any]) -> Study:
    """The study of a plain node that has passed the check of its types."""
    controls = {name: Control(**facts) for name, facts in (node.get("controls") or {}).items()}
    tune = node.get("tune")
    return Study(**{**node, "controls": controls, "tune": Tune(**tune) if tune else None})


def problems(study: Study) -> Iterator[Problem]:
    """What is wrong with the names of a study, each a sentence."""
    if not study.arms:
        yield Problem("study.arms", {}, "a study has no arms; give at least one baseline and one other")
        return
    for name in [*study.arms, *study.controls]:
        if not name.isidentifier():
            yield Problem("study.arms", name, "not a name: letters, digits and _ (it names directories)")
    for name in sorted(study.leaks().keys() & {*study.arms, *study.controls}):
        yield Problem("study.leak", study.leak, f"{name} names its cells, and is an arm or control; rename that")
    for name in sorted(study.arms.keys() & study.controls.keys()):
        yield Problem(f"study.controls.{name}", name, "is an arm already; choose another name")
    named = [("study.baselines", b) for b in study.baselines]
    named += [(f"study.controls.{name}.of", c.of) for name, c in study.controls.items()]
    named += [("study.subsets", study.subsets)] if study.subsets else []
    named += [("study.retrain", study.retrain)] if study.retrain else []
    named += [("study.leak", name) for name in study.leak]
    for where, name in named:
        if name not in study.arms:
            yield Problem(where, name, f"no such arm; there are {', '.join(study.arms)}", nearest(name, study.arms)[0])
    yield from _keeps(study)
    if study.subsets in study.baselines:
        yield Problem("study.subsets", study.subsets, "is a baseline; name an arm of several modalities")
    if not study.baselines or not study.fused:
        expects = "a study compares: expected at least one arm among the baselines and one that is not"
        yield Problem("study.baselines", study.baselines, expects)
    for where, values in (("seeds", study.seeds), ("splits", study.splits), ("labels", study.labels)):
        if not values or len(set(values)) < len(values):  # type: ignore[arg-type]
            yield Problem(f"study.{where}", values, "expected at least one, and none twice")
    yield from score_problems(study.labels, study.score, study.margin)
    if study.retrain in (*study.baselines, *([study.subsets] if study.subsets else [])):
        yield Problem("study.retrain", study.retrain, "expected a fused arm, which is compared with the baselines",
                      study.fused[0] if study.fused else "")  # fmt: skip
    yield from method_problems(vars(study))
    if study.tune is not None:
        own = {**study.arms, **{name: c.set for name, c in study.controls.items()}}
        yield from tune_problems(study.tune, own, study.seeds)


def _keeps(study: Study) -> Iterator[Problem]:
    for name, control in study.controls.items():
        where = f"study.controls.{name}.keeps"
        if control.keeps is None:
            continue
        if control.kind != "duplicate":
            what = f"of a {control.kind} control: expected null, only a duplicate keeps one modality"
            yield Problem(where, control.keeps, what, f"{where}=null")
        elif study.baselines and control.keeps not in study.baselines:
            what = f"no such baseline; there are {', '.join(study.baselines)}"
            yield Problem(where, control.keeps, what, nearest(control.keeps, study.baselines)[0])


def warnings(study: Study) -> list[str]:
    """Why the verdict will be weak whatever the cells say, a sentence each."""
    found = []
    if len(study.seeds) < FEWEST_SEEDS:
        word = "not known" if study.compares == "methods" else "underpowered"
        found.append(
            f"study.seeds: {counted(len(study.seeds), 'seed')}, fewer than {FEWEST_SEEDS}: the verdict can only be {word}"
        )
    kinds = {c.kind for c in study.controls.values()}
    for kind in ("shuffled", "duplicate") if study.compares == "modalities" else ():
        if kind not in kinds:
            found.append(
                f"study.controls: no {kind} control: a gain of capacity can't be told from information, so that the "
                "verdict is no better than no evidence"
            )
    return found


# What an option may not change: what is compared, on which samples, and how it is judged.
FIXED = ("seed", "study", "modality", "data.split", "data.source", "data.labels", "data.shuffle", "label", "modality_subsets",
         "evaluate", "eval_split")  # fmt: skip


LOSSES = ("loss", "losses", "head", "heads", "data.batch_size")  # what makes losses of two options two scales


@dataclass
class Tune:
    """Every arm, baseline or fused, tries the same configurations on each split, and its cells have the best.

    options: lists of overrides, as typed; [] is the arm as it is. Of equal scores the first is taken. They are scored on the
    validation part alone, by `probe`: the mean over the study's labels of what judges the cells (`evaluator`); or by `loss`: the
    validation loss, lower is better, which a small part tells with less noise. seeds: of the tuning cells, none of the
    study's, so that no seed of it is favoured; scores are means over them. set: overrides of tuning cells alone, such as a
    validation part cut off the training part where the cells have none.
    """

    options: list[list[str]]
    score: Literal["probe", "loss"] = "probe"
    seeds: list[Natural] = field(default_factory=lambda: [1000])
    set: list[str] = field(default_factory=list)


def tune_problems(tune: Tune, lines: Mapping[str, Sequence[str]], seeds: Sequence[int]) -> Iterator[Problem]:
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

"""From cells to verdicts: what was put into the predictions comes out as a word, a number and a reason."""

import json
from dataclasses import replace

import numpy as np
import pytest
from made import CONTROLS, LEVELS, held_out, study

from multimodal_lab.config.problem import StudyError
from multimodal_lab.config.study import Control, Study
from multimodal_lab.stats.crossed import crossed
from multimodal_lab.stats.holm import holm
from multimodal_lab.stats.paired import paired
from multimodal_lab.stats.score import named
from multimodal_lab.stats.verdict import ONE_SIDED, REQUIRED, WITHIN, Difference
from multimodal_lab.study.analysis import best_of_fewer, judge, modalities, results, sentence
from multimodal_lab.study.analysis.control_name import control_name
from multimodal_lab.study.launch.conclude import conclude
from multimodal_lab.study.ledger import outcomes


def answers(folder):
    found = outcomes.load(folder)
    return found, judge.judge(found)


def one(folder):
    found, (answer,) = answers(folder)
    return found, answer


def led(found, answer):
    return sentence.lead(answer, modalities.modalities(found), sentence.Unit(named("accuracy"), 0.5))


def test_a_gain_over_both_baselines_and_both_controls_adds(tmp_path):
    found, answer = one(study(tmp_path))
    head = answer.headline
    assert (head.verdict.kind, head.of.arm, head.of.baseline) == ("adds", "fused", "rgb")
    assert [c.name for c in head.controls] == list(REQUIRED)
    scores = found.scores("sex")
    again = crossed(paired(scores.score["rgb"], scores.score["fused"], scores.groups), found.test_per_train)
    assert head.of.gain == again
    assert np.isclose(again.mean, np.nanmean(scores.score["fused"]) - np.nanmean(scores.score["rgb"]))


@pytest.mark.parametrize(
    ("change", "kind", "says", "lead"),
    [
        ({"levels": {**LEVELS, "fused": 0.2}}, "harms", "loses to rgb", "adding uv to rgb costs 39 points"),
        ({"levels": {**LEVELS, "duplicate": 0.9}}, "invalid", "the control duplicate gains as much",
         "what they add cannot be told: a control that knows nothing new gains as much"),
        ({"levels": {**LEVELS, "shuffled": 0.9}}, "invalid", "the control shuffled across classes gains as much",
         "what they add cannot be told: a control that knows nothing new gains as much"),
        ({"levels": {**LEVELS, "fused": 0.6}}, "underpowered", "neither surely", "adding uv to rgb changes is not known (+2.4"),
        ({"levels": dict.fromkeys(LEVELS, 1.0)}, "underpowered", "neither surely", "what adding uv to rgb changes is not known"),
        ({"levels": dict.fromkeys(LEVELS, 1.0), "groups": 400}, "redundant", "within 2 points",
         "adding uv to rgb changes nothing that matters"),
        ({"seeds": (0, 1)}, "underpowered", "2 seeds cannot", "what adding uv to rgb changes is not known"),
        ({"controls": {"shuffled": CONTROLS["shuffled"]}, "levels": {k: v for k, v in LEVELS.items() if k != "duplicate"}},
         "invalid", "without the control duplicate", "what they add cannot be told: a control is missing"),
        ({"sources": lambda cell: "b" if cell.arm == "uv" else "a"}, "invalid", "cells of different source", "no answer for sex"),
        ({"tested": lambda cell: 4 * (cell.arm == "uv")}, "invalid", "not trained and tested on the same samples of split 0",
         "no answer for sex: the comparison does not stand."),
        ({"classes": ("f",)}, "invalid", "has one class of sex only", "no answer for sex: the comparison does not stand."),
    ],
)  # fmt: skip
def test_every_word_has_its_study_and_its_clause(tmp_path, change, kind, says, lead):
    found, answer = one(study(tmp_path, **change))
    assert answer.headline.verdict.kind == kind
    assert says in answer.headline.verdict.sentence
    assert lead in led(found, answer).sentence


@pytest.mark.parametrize(
    ("levels", "says", "words"),
    [
        ({"rgb": 0.5, "uv": 1.0, "fused": 1.0, "shuffled": 0.5, "duplicate": 0.5},
         "uv alone tells sex (1.00, chance .50); adding rgb to uv changes nothing that matters; "
         "adding uv to rgb (.50) adds 50 points.", "redundant over uv; adds over rgb"),
        ({"rgb": 0.97, "uv": 0.5, "fused": 0.97, "shuffled": 0.97, "duplicate": 0.97},
         "rgb alone tells sex (.97, chance .50); adding uv to rgb changes nothing that matters; "
         "adding rgb to uv (.51) gains 47 points, which rgb alone may give.", "redundant over rgb; no evidence over uv"),
        ({"rgb": 0.5, "uv": 0.5, "fused": 0.9, "shuffled": 0.5, "duplicate": 0.5},
         "neither uv nor rgb alone is shown to tell sex (.51, .50, chance .50); adding rgb to uv adds 40 points; "
         "adding uv to rgb adds 41 points.", "adds over uv; adds over rgb"),
    ],
)  # fmt: skip
def test_the_answer_is_told_in_both_directions(tmp_path, levels, says, words):
    """With synergy, with the label in one modality alone, whichever it is, and with a control that keeps that one."""
    found, answer = one(study(tmp_path, levels=levels, groups=400))
    told = led(found, answer)
    assert (told.sentence, told.words) == (says, words)


def test_a_label_that_no_arm_learnt_is_no_evidence_of_what_the_data_hold(tmp_path):
    says = "; no arm is shown to have learnt sex, which is no evidence that the data do not hold it."
    none = led(*one(study(tmp_path / "none", levels=dict.fromkeys(LEVELS, 0.5), groups=100))).sentence
    assert none.endswith(says)
    both = {**dict.fromkeys(LEVELS, 0.5), "fused": 0.8}
    assert "learnt" not in led(*one(study(tmp_path / "both", levels=both, groups=100))).sentence


def test_arms_that_agree_on_all_samples_have_an_interval_all_the_same(tmp_path):
    _, answer = one(study(tmp_path, levels=dict.fromkeys(LEVELS, 1.0), groups=400))
    gain, equal = answer.headline.gain, answer.headline.equivalence
    assert gain.mean == 0
    assert gain.p == 1.0
    assert gain.low < equal.low < 0 < equal.high < gain.high < 0.02  # 95 % and 90 %


def test_of_three_modalities_every_set_is_told_over_the_best_of_its_parts(tmp_path):
    """Among them one that no arm sees alone, and arms of one set that disagree: the one that adds answers."""
    levels = {**LEVELS, "nir": 0.5, "pair": 0.6, "every": 0.6}
    _, answer = one(study(tmp_path, levels=levels, groups=400, more_baselines=("nir",)))
    seen = {"rgb": ("rgb",), "uv": ("uv",), "nir": ("nir",), "fused": ("rgb", "uv"), "pair": ("uv", "nir"),
            "every": ("rgb", "uv", "nir", "depth")}  # fmt: skip
    told = sentence.lead(answer, seen, sentence.Unit(named("accuracy"), 0.5))
    assert [(d.over, d.added, d.judged.of.arm) for d in told.directions] == [
        ("rgb", ("uv",), "fused"), ("uv", ("nir",), "pair"), ("rgb", ("uv", "nir", "depth"), "every"),
    ]  # fmt: skip
    assert told.sentence.startswith("sex from one modality: rgb .59, ")
    assert "uv .51 (not shown to be above chance)" in told.sentence
    assert "; chance .50; adding uv to rgb adds 32 points; what adding nir to uv changes" in told.sentence
    assert told.words.startswith("adds over rgb (rgb + uv); invalid over uv (uv + nir)")


THREE = {"rgb": ("rgb",), "uv": ("uv",), "nir": ("nir",), "two": ("rgb", "uv"), "other": ("uv", "nir"),
         "fused": ("rgb", "uv", "nir")}  # fmt: skip


@pytest.mark.parametrize(
    ("every", "seeds", "says"),
    [
        (0.95, 5, "adding nir to rgb + uv, the best two (.70), gains 25 points, which more capacity alone may give."),
        (0.5, 5, "adding nir to rgb + uv, the best two (.70), costs "),
        (0.7, 5, "what adding nir to rgb + uv, the best two (.70), changes is not known (+1.0 points, -2.5 to +4.5)"),
        (0.95, 2, "changes is not known (of 2 seeds)."),
    ],
)
def test_all_of_three_modalities_are_held_against_the_best_two(tmp_path, every, seeds, says):
    levels = {**LEVELS, "nir": 0.5, "two": 0.7, "other": 0.6, "fused": every}
    found, answer = one(study(tmp_path, levels=levels, groups=400, more_baselines=("nir",), seeds=range(seeds)))
    own = best_of_fewer.over_best([answer], THREE, found.test_per_train)["sex"]
    assert (own.arm, own.over, own.added) == ("fused", "two", ("nir",))
    unit = sentence.Unit(named("accuracy"), 0.5)
    told = best_of_fewer.beside(sentence.lead(answer, THREE, unit), own, unit, answer).sentence
    assert says in told
    scores = answer.scores
    again = crossed(paired(scores.score["two"], scores.score["fused"], scores.groups), found.test_per_train)
    assert (own.raw, own.gain.p) == (again, again.p)
    few = np.where(scores.groups == scores.groups[0], "rare", scores.truth)
    by_loss = replace(scores, truth=few, by=replace(scores.by, score=named("log_loss")))
    told = best_of_fewer.over_best([replace(answer, scores=by_loss)], THREE, found.test_per_train)["sex"]
    assert told.equivalence.p == 1
    assert every != 0.7 or own.equivalence.p < 0.6


def test_of_equal_pairs_the_chosen_one_counts_and_labels_are_corrected_together(tmp_path):
    every = {"sex": 0.9, "species": 0.75}
    levels = {**LEVELS, "nir": 0.5, "two": 0.7, "other": 0.7, "fused": every}
    found, told = answers(study(tmp_path, levels=levels, labels=("sex", "species"), more_baselines=("nir",)))
    own = best_of_fewer.over_best(told, THREE, found.test_per_train)
    assert own["sex"].among == own["species"].among == 2
    assert [o.gain.one_sided for o in own.values()] == pytest.approx(
        holm(np.array([o.raw.p_above for o in own.values()]))
    )
    assert best_of_fewer.over_best(told, {**THREE, **dict.fromkeys(("two", "other"), ("rgb", "uv", "nir"))}, 1.0) == {}


def test_a_gain_in_another_score_is_told_in_its_unit():
    unit = sentence.Unit(named("accuracy"))
    assert [unit.size(x) for x in (0.01, 0.034, 0.512, -0.0351)] == [
        "1 point",
        "3.4 points",
        "51 points",
        "3.5 points",
    ]
    assert unit.range(Difference(0.004, -np.inf, np.inf, 1.0)) == "+0.4 points"
    r2, loss = sentence.Unit(named("r2")), sentence.Unit(named("log_loss"))
    assert (r2.level(0.412), r2.changes(0.12, "adds", "costs"), r2.least) == ("R² .41", "adds 12 points of R²", 0.0)
    assert (loss.level(-0.412), loss.least) == ("log loss .41", None)
    assert loss.changes(0.034, "adds", "costs") == "lowers log loss by 0.034"
    assert loss.range(Difference(-0.034, -0.1, 0.03, 0.2)) == "-0.034, -0.1 to +0.03"


def test_gains_are_corrected_over_the_report_and_leads_over_their_kind(tmp_path):
    levels = {**LEVELS, "fused": {"sex": 0.72, "species": 0.66}}
    _, told = answers(study(tmp_path, levels=levels, labels=("sex", "species")))
    judged = [j for a in told for j in a.judged]
    assert len(judged) == 4  # two labels, one fused arm, two baselines
    for better in (True, False):  # the question of the study is one family, the weaker modality another
        own = [j for j in judged if j.of.better == better]
        assert np.allclose([j.gain.p for j in own], holm(np.array([j.of.gain.p for j in own])))
        assert np.allclose([j.gain.one_sided for j in own], holm(np.array([j.of.gain.p_above for j in own])))
        assert {j.of.alpha for j in own} == {ONE_SIDED / 2}
    leads = {(j.of.label, c.name): (g.lead.p, c.lead.p) for j in judged for g, c in zip(j.of.controls, j.controls)}
    for name in REQUIRED:
        raw, adjusted = zip(*(v for k, v in leads.items() if k[1] == name))
        assert np.allclose(adjusted, holm(np.array(raw)))
        assert len(raw) == 2


def test_a_control_that_beats_the_weaker_baseline_alone_voids_nothing(tmp_path):
    """A control keeps the better modality, and so knows more than the weaker one."""
    levels = {"rgb": 0.9, "uv": 0.5, "fused": 0.9, "shuffled": 0.9, "duplicate": 0.9}
    _, answer = one(study(tmp_path, levels=levels))
    kinds = {j.of.baseline: j.verdict.kind for j in answer.judged}
    assert kinds["uv"] != "invalid"
    assert answer.headline.of.baseline == "rgb"


def test_an_arm_that_adds_answers_for_the_label_though_another_gains_more(tmp_path):
    levels = {**LEVELS, "other": 0.95}  # no controls of its own
    _, answer = one(study(tmp_path, levels=levels))
    assert {j.of.arm: j.verdict.kind for j in answer.judged if j.of.better} == {"fused": "adds", "other": "invalid"}
    assert answer.headline.of.arm == "fused"


def test_a_label_that_no_arm_was_judged_on_is_invalid_and_says_so(tmp_path):
    study(tmp_path, skip=("uv",))
    found, told = answers(tmp_path)
    assert "uv of the baselines was not judged" in told[0].why
    made = results.record(found, told)["labels"]["sex"]
    assert (made["verdict"]["kind"], made["comparisons"]) == ("invalid", [])


@pytest.mark.parametrize(
    ("lines", "label", "name"),
    [
        (["data.shuffle={stream: uv}"], "sex", REQUIRED[0]),
        (["data.shuffle={stream: uv, within: sex}"], "sex", WITHIN),
        (["data.shuffle={stream: uv, within: species}"], "sex", "shuffled within species"),
        (["+data.shuffle={stream: uv}", "data.shuffle.within=sex"], "sex", WITHIN),
        (["data.shuffle={stream: uv, bands: ['UV*']}"], "sex", REQUIRED[0]),
    ],
)
def test_a_shuffle_is_called_by_what_it_keeps(lines, label, name):
    named = Study({"a": [], "b": []}, ["a"], [label], {"c": Control("b", "shuffled", lines)})
    assert control_name(named, "c", label) == name


def test_the_duplicate_of_the_better_modality_guards_and_the_other_is_told(tmp_path):
    """uv is the better one: first twice loses to it, and says nothing of what capacity adds to it; uv twice does."""
    first = {"first": Control("fused", "duplicate", ["modality=rgb_rgb"], "rgb"), "shuffled": CONTROLS["shuffled"]}
    both = {**first, "second": Control("fused", "duplicate", ["modality=uv_uv"], "uv")}
    levels = {"rgb": 0.5, "uv": 0.7, "fused": 0.9, "shuffled": 0.5, "first": 0.5, "second": 0.7}
    _, alone = one(study(tmp_path / "a", {k: v for k, v in levels.items() if k != "second"}, controls=first))
    assert "none shows what capacity alone would add" in alone.headline.verdict.sentence
    _, answer = one(study(tmp_path / "b", levels, controls=both))
    assert answer.headline.verdict.kind == "adds"
    assert "none shows" not in answer.headline.verdict.sentence
    names = {g.arm: g.name for g in answer.headline.of.controls}
    assert names == {"first": "duplicate of rgb", "shuffled": REQUIRED[0], "second": REQUIRED[1]}
    _, capacity = one(study(tmp_path / "c", {**levels, "second": 0.95}, controls=both))
    assert capacity.headline.verdict.kind == "invalid"
    _, told = one(study(tmp_path / "d", {**levels, "first": 0.95}, controls=both))
    assert told.headline.verdict.kind == "adds"


def test_a_seed_that_collapsed_is_named_and_the_verdict_without_it_stands_beside(tmp_path):
    """One of five at chance hides a gain of 15 points: two sentences, and what counts is still all five."""
    levels = {**LEVELS, "fused": 0.75}
    folder = study(tmp_path, levels=levels, at=lambda cell: 0.5 if (cell.arm, cell.seed) == ("fused", 3) else None)
    found, answer = one(folder)
    assert answer.headline.verdict.kind != "adds"
    assert answer.headline.of.gain.seeds == 5
    assert [(c.arm, c.seed, c.split) for c in answer.collapsed] == [("fused", 3, 0)]
    assert answer.without.verdict.kind == "adds"
    assert answer.without.of.gain.seeds == 4
    made = results.record(found, [answer])
    told = [w for w in made["warnings"] if "seed 3" in w]
    assert "collapsed: it scores ." in told[0]
    assert "without seed 3 the verdict would be adds" in told[1]
    assert made["labels"]["sex"]["without"]["verdict"]["kind"] == "adds"
    sound = results.record(*answers(study(tmp_path / "sound", levels=levels)))
    assert sound["labels"]["sex"]["without"] is None


def test_seeds_of_the_same_predictions_count_as_one_and_it_is_said(tmp_path):
    _, answer = one(study(tmp_path / "all", seed_of=lambda cell: 0))
    assert answer.headline.of.gain.seeds == 1
    assert answer.headline.verdict.kind == "underpowered"
    assert "4 seeds have the very predictions of another in both arms" in answer.headline.verdict.sentence
    _, two = one(study(tmp_path / "two", seed_of=lambda cell: min(cell.seed, 3)))
    assert two.headline.of.gain.seeds == 4
    assert two.headline.verdict.kind == "adds"
    frozen = {"rgb", "uv"}  # arms without chance beside one with it: every seed is its own
    _, some = one(study(tmp_path / "some", seed_of=lambda cell: 0 if cell.arm in frozen else cell.seed))
    assert some.headline.of.gain.seeds == 5


def test_shapley_values_sum_to_the_score_less_the_prior(tmp_path):
    levels = {**LEVELS, "drop": 0.0}
    folder = study(tmp_path, levels=levels, subsets="drop", labels=("sex", "species"))
    found, told = answers(folder)
    made = results.record(found, told)
    assert all(j.of.arm == "fused" for a in told for j in a.judged)
    for label in ("sex", "species"):
        own = made["subsets"][label]
        full, values = own["scores"]["rgb+uv"]["mean"], own["shapley"]
        assert abs(sum(v["mean"] for v in values.values()) - (full - own["empty"])) < 1e-9
        a, b = own["scores"]["rgb"]["mean"], own["scores"]["uv"]["mean"]
        assert np.isclose(values["rgb"]["mean"], ((a - 0.5) + (full - b)) / 2)
        assert np.isclose(own["interactions"]["rgb+uv"]["mean"], full - a - b + 0.5)
        assert all(v["low"] < v["mean"] < v["high"] for v in values.values())
        assert [(c["present"], round(c["mean"], 9)) for c in own["curve"]] == [
            (0, 0.5), (1, round((a + b) / 2, 9)), (2, round(full, 9))
        ]  # fmt: skip
    assert made["labels"]["sex"]["arms"]["drop"]["role"] == "subsets"


def test_the_record_is_plain_json_and_always_the_same(tmp_path):
    study(tmp_path, labels=("sex", "species"), splits=(0, 1), seeds=(0, 1, 2))
    texts = [json.dumps(results.record(*answers(tmp_path)), allow_nan=False) for _ in range(2)]
    assert texts[0] == texts[1]
    made = json.loads(texts[0])
    assert made["cells"] == {"total": 30, "finished": 30, "failed": [], "unfinished": []}
    own = made["labels"]["sex"]
    tested = len(set(held_out(200, 0)) | set(held_out(200, 1)))
    assert (own["n"], own["groups"], own["splits"], own["classes"]) == (4 * tested, tested, [0, 1], ["f", "m"])
    assert sum(c["n"] for c in own["by_class"].values()) == own["n"]
    assert own["arms"]["fused"]["runs"] == np.array(own["arms"]["fused"]["runs"]).reshape(3, 2).tolist()
    head = next(c for c in own["comparisons"] if c["better"])
    assert head["wilcoxon"]["smallest"] == 0.25
    assert "no data could bring the exact Wilcoxon p over seeds below .2500" in head["notes"][0]


def test_nothing_finished_is_one_sentence(tmp_path):
    study(tmp_path, skip=tuple(LEVELS))
    with pytest.raises(StudyError, match="none of 25 cells is finished"):
        conclude(tmp_path)


def test_retrained_subsets_give_the_known_game_beside_the_one_models(tmp_path):
    """Scores of separate arms: the values of the game that was put in, and their sum exactly."""
    folder = study(
        tmp_path,
        levels={**LEVELS, "drop": 0.0},
        subsets="drop",
        retrained={"rgb": "rgb", "uv": "uv", "rgb+uv": "fused"},
    )
    found, told = answers(folder)
    made = results.record(found, told)
    own, one = made["retrained"]["sex"], made["subsets"]["sex"]
    assert own["arms"] == {"rgb": "rgb", "uv": "uv", "rgb+uv": "fused"}
    assert (own["arm"], one["arm"]) == ("fused", "drop")
    means = {arm: made["labels"]["sex"]["arms"][arm]["mean"] for arm in ("rgb", "uv", "fused")}
    assert {k: v["mean"] for k, v in own["scores"].items()} == pytest.approx(
        {"rgb": means["rgb"], "uv": means["uv"], "rgb+uv": means["fused"]}, abs=1e-12
    )
    rgb, uv = ((means[a] - 0.5 + means["fused"] - means[b]) / 2 for a, b in (("rgb", "uv"), ("uv", "rgb")))
    assert [own["shapley"][k]["mean"] for k in ("rgb", "uv")] == pytest.approx([rgb, uv], abs=1e-12)
    for game in (own, one):
        total = sum(v["mean"] for v in game["shapley"].values())
        assert abs(total - (game["scores"]["rgb+uv"]["mean"] - game["empty"])) < 1e-9
    assert own["scores"]["rgb+uv"]["low"] < means["fused"] < own["scores"]["rgb+uv"]["high"]
    (folder / "study.json").write_text(json.dumps(made))
    text = conclude(folder) and (folder / "report.md").read_text()
    assert "Of as many models as there are subsets" in text
    assert "Of one model \\(drop" in text


def test_three_modalities_retrained_are_a_game_of_seven_arms(tmp_path):
    names = ["a", "b", "c", "a+b", "a+c", "b+c", "a+b+c"]
    arms = dict(zip(names, ["rgb", "uv", "on_c", "fused", "on_a_c", "on_b_c", "whole"], strict=True))
    levels = {**LEVELS, "on_c": 0.5, "on_a_c": 0.6, "on_b_c": 0.5, "whole": 0.8}
    found, told = answers(study(tmp_path, levels=levels, retrained=arms))
    own = results.record(found, told)["retrained"]["sex"]
    v = {frozenset(k.split("+")): s["mean"] for k, s in own["scores"].items()} | {frozenset(): 0.5}
    for x in "abc":
        y, z = sorted(set("abc") - {x})
        by_hand = sum(
            w * (v[frozenset({*s, x})] - v[frozenset(s)])
            for s, w in (("", 1 / 3), (y, 1 / 6), (z, 1 / 6), (y + z, 1 / 3))
        )
        assert own["shapley"][x]["mean"] == pytest.approx(by_hand, abs=1e-12)
    assert abs(sum(s["mean"] for s in own["shapley"].values()) - (v[frozenset("abc")] - 0.5)) < 1e-9
    assert [c["present"] for c in own["curve"]] == [0, 1, 2, 3]


def test_a_subset_without_a_finished_cell_tells_no_game(tmp_path):
    arms = {"rgb": "rgb", "uv": "uv", "rgb+uv": "other"}
    found, told = answers(study(tmp_path, levels={**LEVELS, "other": 0.9}, skip=("other",), retrained=arms))
    assert results.record(found, told)["retrained"] is None

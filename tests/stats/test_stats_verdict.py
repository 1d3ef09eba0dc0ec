import sys
from pathlib import Path

import numpy as np
import pytest

from multimodal_lab.stats.crossed import crossed
from multimodal_lab.stats.equivalence import tost
from multimodal_lab.stats.paired import paired
from multimodal_lab.stats.verdict import REQUIRED, WITHIN, ControlEvidence, Difference, Evidence, difference, verdict

sys.path.insert(0, str(Path(__file__).parents[2] / "scripts" / "bench"))
import calibration


def sure(mean):
    return Difference(mean, mean - 0.01, mean + 0.01, 0.001)


def unsure(mean):
    return Difference(mean, mean - 0.1, mean + 0.1, 0.4)


def evidence(gain=None, controls=None, equal=(0.05, 0.01), **more):
    controls = controls or [ControlEvidence(name, unsure(0.0), sure(0.05)) for name in REQUIRED]
    return Evidence(gain or sure(0.05), tost(*equal, 10, 0.01), controls, **{"detectable": 0.03, "seeds": 5} | more)


def only(name, gain, lead):
    return [ControlEvidence(n, gain if n == name else unsure(0.0), lead if n == name else sure(0.05)) for n in REQUIRED]


CASES = {
    "a sure gain that leads its controls": (evidence(), "adds", "gains +5.0 points (+4.0 to +6.0, one-sided p < .001)"),
    "unequal splits": (evidence(problems=["arms have unequal splits"]), "invalid", "arms have unequal splits"),
    "a missing control": (evidence(controls=[ControlEvidence(REQUIRED[0], unsure(0.0), sure(0.05))]), "invalid", "duplicate"),
    "two seeds": (evidence(seeds=2), "underpowered", "2 seeds cannot tell"),
    "a control gains as much": (
        evidence(controls=only("duplicate", sure(0.05), unsure(0.0))), "invalid", "the control duplicate gains as much"),
    "a control gains and fusion doesn't": (
        evidence(gain=unsure(0.0), controls=only("duplicate", sure(0.05), unsure(-0.05))), "invalid", "gains as much"),
    "a control gains a little, fusion much more": (
        evidence(controls=only("duplicate", sure(0.01), sure(0.04))), "adds", "duplicate +4.0 points"),
    "a gain whose lead is not sure": (
        evidence(controls=only("duplicate", unsure(0.02), unsure(0.02))), "no evidence", "lead over the control duplicate"),
    "no difference, shown": (evidence(gain=unsure(0.0), equal=(0.0, 0.002)), "redundant", "within 1 point ("),
    "a sure gain too small to matter": (evidence(gain=sure(0.004), equal=(0.004, 0.001)), "redundant", "too small to matter"),
    "a sure loss": (evidence(gain=sure(-0.05), equal=(-0.05, 0.01)), "harms", "fusion loses to"),
    "not sure, and could not have been": (
        evidence(gain=unsure(0.02), detectable=0.09, need="4 more seeds would do"), "underpowered", "4 more seeds would do."),
    "not sure, though it could have been": (evidence(gain=unsure(0.02), detectable=0.02), "no evidence", "80 % chance"),
    "not sure, by a goal of its own": (evidence(gain=unsure(0.02), detectable=0.09, worth=0.1), "no evidence", "80 % chance"),
    "one group": (evidence(gain=unsure(0.02), detectable=float("inf")), "underpowered", "no gain, however large"),
    "rule 2 before rule 3": (
        evidence(seeds=2, controls=only("duplicate", sure(0.05), unsure(0.0))), "underpowered", "2 seeds"),
}  # fmt: skip


@pytest.mark.parametrize("name", CASES)
def test_every_rule_gives_its_word_and_its_reason(name):
    given, kind, why = CASES[name]
    found = verdict(given)
    assert found.kind == kind, found.sentence
    assert why in found.sentence
    assert found.sentence.endswith(".")


def test_pairs_shuffled_within_the_class_never_void_a_gain_but_are_told():
    """They carry the label with them: to gain as much says only that the gain is of the class, not of the pair."""
    controls = [*evidence().controls, ControlEvidence(WITHIN, sure(0.05), unsure(0.0))]
    found = verdict(evidence(controls=controls))
    assert found.kind == "adds"
    assert "not shown to need the true pairs" in found.sentence
    true = verdict(evidence(controls=[*evidence().controls, ControlEvidence(WITHIN, sure(0.01), sure(0.04))]))
    assert "The gain needs the true pairs" in true.sentence


def test_the_written_rules_are_those_of_the_code():
    text, methods = (Path(__file__).parents[2] / "docs" / "verdict.md").read_text().split("\n## Methods\n")

    def kinds(rules):
        return [line.split("**")[1] for line in rules.splitlines() if line[:1].isdigit() and "**" in line]

    assert kinds(text) == [
        "invalid",
        "underpowered",
        "invalid",
        "redundant",
        "harms",
        "no evidence",
        "adds",
        "underpowered",
        "no evidence",
    ]
    assert kinds(methods) == ["invalid", "not known", "alike", "better", "worse", "not known"]


def test_a_gain_is_claimed_one_sided_and_a_loss_two_sided():
    beyond = Difference(0.03, -0.001, 0.061, 0.08)
    assert beyond.one_sided == 0.04
    assert beyond.above()
    assert not beyond.differs(0.05)
    assert not Difference(0.03, -0.001, 0.061, 0.08, p_above=0.2).above()  # adjusted among others
    assert verdict(evidence(gain=beyond)).kind == "adds"
    assert "one-sided p .040" in verdict(evidence(gain=beyond)).sentence
    assert verdict(evidence(gain=Difference(-0.03, -0.061, 0.001, 0.08), equal=(-0.03, 0.01))).kind != "harms"


def test_a_crossed_test_becomes_a_difference():
    draw = np.random.default_rng(0)
    a = draw.normal(size=(4, 1, 30))
    found = crossed(paired(a, a + draw.normal(0.5, 0.2, (4, 1, 30)), np.arange(30) % 6))
    told = difference(found, 0.2)
    assert (told.mean, told.low, told.high, told.p) == (found.mean, found.low, found.high, 0.2)
    assert not told.above()
    assert difference(found, 0.01).above()


def test_null_studies_rarely_add_where_a_t_test_over_seeds_often_does():
    """300 studies whose groups matter: *adds* is wrong in less than .05 by any control, the t-test over seeds in about .3."""
    found = calibration.null_rates(calibration.WORLDS[1], 5, 300)
    assert max(found["test"], found["equal"], found["weak"], found["capacity"]) <= 22  # P(more at .045) is under .01
    assert found["equal"] < found["weak"]
    assert found["t over seeds"] >= 60


def test_a_true_gain_is_found_nearly_as_often_as_by_one_who_knows_the_variances():
    points, test, adds, oracle, limit = calibration.power_rates(calibration.WORLDS[3], 5, 150)[2]
    assert 0.06 < points < 0.1
    assert min(test, oracle, limit) > 0.95
    assert adds > 0.9


@pytest.mark.slow
@pytest.mark.parametrize("seeds", [3, 5, 10])
@pytest.mark.parametrize("world", calibration.WORLDS[:-1], ids=lambda w: w.name)
def test_the_verdict_is_calibrated(world, seeds):
    found = calibration.null_rates(world, seeds, 1000, first=1)
    for name in ("equal", "weak", "capacity"):
        assert calibration.upper(found[name], 1000) <= 0.08  # a twentieth, and what 1,000 studies leave open


def test_a_control_whose_gain_is_too_small_to_matter_voids_nothing():
    large = ControlEvidence("duplicate", sure(0.005), unsure(0.0))
    small = ControlEvidence("duplicate", sure(0.005), unsure(0.0), small=True)
    rest = [c for c in evidence().controls if c.name != "duplicate"]
    assert verdict(evidence(gain=unsure(0.0), controls=[*rest, large])).kind == "invalid"
    assert verdict(evidence(gain=unsure(0.0), controls=[*rest, small])).kind != "invalid"
    assert verdict(evidence(controls=[*rest, small])).kind == "no evidence"  # a sure gain, but no lead

"""What a pilot's variances say of the next study: parts that were put in come out, and what is told is what happens."""

import numpy as np
import pytest
from made import LEVELS, study

from multimodal_lab.config.problem import StudyError
from multimodal_lab.stats.components import Components, Design, components
from multimodal_lab.stats.crossed import crossed
from multimodal_lab.stats.paired import paired
from multimodal_lab.stats.verdict import ONE_SIDED, REQUIRED
from multimodal_lab.study.analysis.forecast import ENOUGH, Forecast, forecast
from multimodal_lab.study.analysis.judge import judge
from multimodal_lab.study.launch.forecast import plan_more
from multimodal_lab.study.ledger import outcomes


def parted(seed=0.0, group=0.0, both=0.0, sample=0.0, noise=0.0):
    parts = (np.eye(4) * sd**2 for sd in (seed, group, both, sample, noise))
    return Components(*parts, np.zeros(4), Design(5, 24, 4), 1.0)


def asked(parts, effect=0.03):
    return Forecast(parts, REQUIRED, ONE_SIDED, [ONE_SIDED] * 2, 0.01, effect)


def test_components_are_those_that_scores_were_drawn_from():
    sd, draw = {"seed": 1.0, "group": 2.0, "both": 1.5, "sample": 3.0, "noise": 2.5}, np.random.default_rng(0)
    found = []
    for _ in range(60):
        groups = np.repeat(np.arange(30), 5)
        scores = [
            sd["seed"] * draw.normal(size=(8, 1, 1)) + sd["group"] * draw.normal(size=30)[groups]
            + sd["both"] * draw.normal(size=(8, 1, 30))[..., groups] + sd["sample"] * draw.normal(size=150)
            + sd["noise"] * draw.normal(size=(8, 1, 150)) for _ in range(2)
        ]  # fmt: skip
        found.append(components(np.stack(scores), groups))
    for name, value in sd.items():
        assert np.mean([getattr(c, name)[0, 0] for c in found]) == pytest.approx(value**2, rel=0.15), name
        assert abs(np.mean([getattr(c, name)[0, 1] for c in found])) < 0.15 * value**2, name


def test_a_design_has_the_variance_that_its_own_studies_have():
    parts, design = parted(0.02, 0.05, 0.03, 0.1, 0.1), Design(4, 40, 6)
    told = parts.of(np.array([1.0, -1, 0, 0]), design, 0.0)
    draw = np.random.default_rng(1)
    drawn = [parts.draw(design, np.zeros(4), draw) for _ in range(300)]
    means = [float((a[0] - a[1]).mean()) for a in drawn]
    assert told.se == pytest.approx(np.std(means), rel=0.1)
    assert told.se == pytest.approx(np.mean([crossed(paired(a[1], a[0])).se for a in drawn]), rel=0.1)


@pytest.mark.slow
@pytest.mark.parametrize("parts", [parted(seed=0.03), parted(0.01, 0.03, 0.03, 0.05, 0.1)])
def test_the_chance_that_is_told_is_that_of_simulated_studies(parts):
    one = asked(parts)
    best = one.best
    assert best.told >= ENOUGH
    assert one.simulated(best.design, 300) == pytest.approx(best.told, abs=0.07)  # of 300 studies: 3 standard errors


def test_where_groups_rule_no_number_of_seeds_suffices_and_where_seeds_do_more_groups_do_not():
    groups, seeds = asked(parted(group=0.1)), asked(parted(seed=0.03))
    assert groups.options[1].design is None
    assert groups.best.design.groups > 24
    assert seeds.options[2].design is None
    assert seeds.best.design.groups == 24
    assert seeds.best.design.seeds > 5


def test_the_command_plans_from_a_pilots_cells(tmp_path, capsys, monkeypatch):
    monkeypatch.setattr("multimodal_lab.study.launch.forecast.STUDIES", 20)
    study(tmp_path, levels={**LEVELS, "fused": 0.65}, groups=40)
    plan_more({"runs": str(tmp_path), "effect": "0.1"})
    told = capsys.readouterr().out
    assert "sex: 80% chance of adds at a gain of 10 points (fused over rgb)" in told
    assert "Recommended: " in told
    found = outcomes.load(tmp_path)
    assert forecast(judge(found)[0], 0.1).parts.design == Design(5, 20, 4.0)
    for effect, says in (
        ("0.01", "within the margin of 2 points"),
        ("ten", "expected a gain above 0"),
        ("3", "is a share"),
    ):
        with pytest.raises(StudyError, match=says):
            plan_more({"runs": str(tmp_path), "effect": effect})
    with pytest.raises(StudyError, match="label=sax: no label of this study"):
        plan_more({"runs": str(tmp_path), "effect": "0.1", "label": "sax"})

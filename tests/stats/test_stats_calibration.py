"""The tables of docs/rates.md are of the study's test: the simulation of many studies at once is held to it."""

import sys
from pathlib import Path

import numpy as np
import pytest

from multimodal_lab.stats.crossed import crossed
from multimodal_lab.stats.paired import Paired

sys.path.insert(0, str(Path(__file__).parents[2] / "scripts" / "bench"))
import _many_studies as many


@pytest.mark.parametrize(
    "world", [many.WORLDS[0], many.WORLDS[3], many.WORLDS[4], many.WORLDS[7]], ids=lambda w: w.name
)
def test_many_studies_at_once_are_tested_as_one_is(world):
    studies = many.draw_studies(world, 3, 12, (0.0, 0.4))
    found = studies.test((0, 0.0), (1, 0.4))
    for i in range(12):
        low, high = (studies.sums[key][i].astype(float) for key in ((0, 0.0), (1, 0.4)))
        counts = studies.counts[i].astype(float)
        tested = counts.any(0)  # a group that no split tests is none
        pairs = Paired(
            (high - low)[..., tested], counts[:, tested], np.flatnonzero(tested), np.stack([low, high])[..., tested]
        )
        one = crossed(pairs, world.ratio)
        assert (one.mean, one.se, one.df, one.p, one.p_above) == pytest.approx(
            (found.mean[i], found.se[i], found.df[i], found.p[i], found.above[i]), rel=1e-9
        )

"""Gains by subgroup: the study's test on their samples alone, and false discoveries held by an oracle in plain Python."""

import numpy as np

from multimodal_lab.stats.crossed import crossed
from multimodal_lab.stats.paired import paired
from multimodal_lab.stats.subgroups import subgroups


def benjamini_hochberg(p):
    """Smallest level at which each is rejected: of p at rank k of n, n p / k, and never above that of a larger p."""
    ordered = sorted(p)
    return [min(min(1.0, len(p) * other / (k + 1)) for k, other in enumerate(ordered) if other >= own) for own in p]


def test_each_subgroup_is_the_test_of_its_samples_and_false_discoveries_are_held():
    draw = np.random.default_rng(0)
    groups = np.repeat(np.arange(40), 6)
    names = np.array([f"class {g % 5}" for g in groups], object)
    base = (draw.random((4, 2, 240)) < 0.5).astype(float)
    arm = (draw.random((4, 2, 240)) < np.where(groups % 5 == 2, 0.9, 0.5)).astype(float)
    names[-1], names[:2] = "lonely", None  # one of a single group, two of no subgroup
    tested = np.ones((2, 240), bool)
    tested[0, names == "class 4"] = False  # a split that holds none of them out
    base, arm = (np.where(tested[None], s, np.nan) for s in (base, arm))
    found = {s.name: s for s in subgroups(base, arm, groups, names, 0.25)}
    assert list(found) == [*(f"class {c}" for c in range(5)), "lonely"]
    rows = names == "class 2"
    assert found["class 2"].gain == crossed(paired(base[:, :, rows], arm[:, :, rows], groups[rows]), 0.25)
    own = names == "class 4"
    assert found["class 4"].gain == crossed(paired(base[:, 1:, own], arm[:, 1:, own], groups[own]), 0.25)
    assert (found["lonely"].q, found["lonely"].found, found["lonely"].groups) == (None, "", 1)
    known = [s for s in found.values() if s.q is not None]
    assert np.allclose([s.q for s in known], benjamini_hochberg([s.gain.p for s in known]))
    assert [s.name for s in known if s.found] == ["class 2"]
    assert (found["class 2"].found, found["class 0"].n) == ("gains", 46)

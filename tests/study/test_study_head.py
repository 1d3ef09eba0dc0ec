"""A study is judged by what was trained: each arm by its heads, so that decision-level fusion is the mixture itself."""

import numpy as np
import pytest
from tiny import write

from multimodal_lab.study.ledger import outcomes

LATE = "[modality=rgb_uv, fusion=separate, head=late_fusion, loss=nll]"


def test_a_late_arm_is_judged_by_its_own_mixture(cli, tmp_path):
    changes = {
        "concat: [modality=rgb_uv, fusion=concat]": f"late: {LATE}",
        "{of: concat,": "{of: late,",
        "[probe]": "[head, probe]",
        "labels: [species, sex]": "labels: [species]",
        "seeds: [0, 1]": "seeds: [0]",
    }
    runs = tmp_path / "runs"
    cli(write(tmp_path, changes), "study=tiny", f"hydra.sweep.dir={runs}", "data.labels=[species,sex]", cwd=tmp_path)
    found = outcomes.load(runs)
    assert (found.evaluator, found.plan.study.evaluator) == ("head", "head")
    assert {arm: found.speaks(arm, "species") for arm in ("rgb", "late")} == {
        "rgb": "classifier",
        "late": "late_fusion",
    }
    late = next(e for e in found.finished if e.cell.arm == "late")
    assert np.nanmean(found.scores("species").score["late"]) == pytest.approx(
        late.summary["head/late_fusion/species/accuracy"]
    )
    assert "probe/late/species/accuracy" in late.summary  # the mean of the probes stands beside it

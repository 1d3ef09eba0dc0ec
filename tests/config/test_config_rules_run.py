import json

import pytest

from multimodal_lab.config import schema
from multimodal_lab.config.plain import as_plain
from multimodal_lab.config.rules import run
from multimodal_lab.device import placement
from multimodal_lab.experiment import run as experiment


def test_a_gpu_that_is_not_here_is_told_in_words(monkeypatch):
    monkeypatch.setattr(placement.torch.cuda, "device_count", lambda: 2)
    with pytest.raises(ValueError, match=r"device=cuda:7: there is no such GPU here \(found 2\); use device=cpu"):
        placement.pick_device("cuda:7")
    assert placement.pick_device("cuda:1").index == 1
    monkeypatch.setattr(placement.torch.cuda, "device_count", lambda: 0)
    with pytest.raises(ValueError, match=r"device=cuda: there is no such GPU here \(found 0\)"):
        placement.pick_device("cuda")


@pytest.mark.parametrize("fusion", ["concat", "separate"])
def test_every_number_of_a_summary_may_be_the_score(composed, tmp_path, fusion):
    """The rule knows what evaluators give: nothing that a run has is refused."""

    cfg = composed(f"fusion={fusion}", "train.max_steps=1", f"modality_subsets={str(fusion == 'concat').lower()}")
    experiment.run(cfg, tmp_path / "run")
    tree = as_plain(cfg)
    found = json.loads((tmp_path / "run" / "summary.json").read_text())
    names = [k for k in found if isinstance(found[k], float | int)]
    assert len(names) > 50
    refused = [str(p) for name in names for p in run.score({**tree, "objective": name})]
    assert refused == []
    assert list(run.score({**tree, "objective": "probe/nothing/species/accuracy"}))


@pytest.mark.parametrize("key", ["objective", "train.monitor"])
def test_a_score_of_a_label_that_the_data_lack_is_refused_before_training(composed, tmp_path, key):
    """Labels may be known only once the files are read: `data.labels=null` takes all that can be learnt."""
    name = ("val/" if key == "train.monitor" else "") + "knn/fused/speces/accuracy"
    cfg = composed("fusion=concat", "train.max_steps=1", "data.labels=null", f"{key}={name}")
    assert not [p for p in schema.check(cfg) if p.key == key]
    with pytest.raises(ValueError, match=rf"{key}={name}: there is no label speces; expected one of .*species"):
        experiment.run(cfg, tmp_path / "run")
    assert not (tmp_path / "run" / "metrics.jsonl").exists()

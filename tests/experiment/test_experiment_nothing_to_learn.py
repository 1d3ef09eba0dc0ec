"""A run that has nothing to learn from ends with one sentence, before it trains where the labels tell, else after an epoch."""

import pytest
import torch

from multimodal_lab.experiment import build, run

CLASSIFIER = ["head=classifier", "loss=cross_entropy", "augment=classify", "evaluate=[probe]", "train.max_steps=3"]


class Labelled:
    """Prepared data as `_require_targets` sees them."""

    target_streams = ()

    def __init__(self, values, classes=("ant", "bee")):
        self.targets = {"species": torch.tensor(values).numpy()}
        self.classes = {"species": list(classes)}
        self.splits = {"train": torch.arange(4).numpy()}


class System:
    def __init__(self, **paths):
        self.losses = {"one": type("Term", (), {"paths": paths, "weight": 1.0})()}


@pytest.mark.parametrize(
    ("values", "classes", "words"),
    [
        ([-1, -1, -1, -1, 0], ["ant", "bee"], r"loss one: none of the 4 training samples has a species"),
        ([1, -1, 1, 1, 0], ["ant", "bee"], r"every training sample with a species is of 'bee'.*nothing to tell apart"),
        ([float("nan")] * 5, [], r"none of the 4 training samples has a species"),
        ([[-1.0, -1.0]] * 5, ["ant", "bee"], r"none of the 4 training samples has a species"),
    ],
)
def test_a_target_that_teaches_nothing_is_refused(values, classes, words):
    with pytest.raises(ValueError, match=words):
        build._require_targets(
            System(target="batch.targets.species"), Labelled(values, classes), added=(), trained=False
        )
    build._require_targets(System(target="batch.targets.species"), Labelled(values, classes), added=(), trained=True)


def test_labels_that_teach_something_pass():
    for values, classes in (([0, 1, -1, -1], ["ant", "bee"]), ([0.5] * 4, []), ([[1.0, 0.0]] * 4, ["ant", "bee"])):
        build._require_targets(
            System(target="batch.targets.species"), Labelled(values, classes), added=(), trained=False
        )
    # as ids, what has no label is a class of its own; all of one class is refused
    build._require_targets(System(ids="batch.targets.species"), Labelled([1, -1, 1, 1]), added=(), trained=False)
    with pytest.raises(ValueError, match="nothing to tell apart"):
        build._require_targets(System(ids="batch.targets.species"), Labelled([1, 1, 1, 1, 0]), added=(), trained=False)


def test_a_gradient_of_zero_at_every_step_ends_the_run(composed, tmp_path, monkeypatch):
    real = torch.nn.functional.cross_entropy
    monkeypatch.setattr(torch.nn.functional, "cross_entropy", lambda *a, **k: real(*a, **k) * 0)
    with pytest.raises(
        ValueError, match=r"the gradient was exactly 0 at every step up to 3, with a loss of 0: nothing is learnt"
    ):
        run.run(composed(*CLASSIFIER), tmp_path)
    assert not (tmp_path / "summary.json").exists()

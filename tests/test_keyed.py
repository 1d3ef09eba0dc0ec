import pytest
import torch
from torch import nn

from multimodal_lab.keyed import Keyed, lookup
from multimodal_lab.loss.schedule import FreeScalar, LearnedScalar
from multimodal_lab.types import Batch

ones = torch.ones(2, dtype=torch.bool)
BATCH = Batch(
    {"rgb": torch.ones(2, 3)}, {"species": torch.tensor([0, 1])}, {"rgb": ones}, torch.arange(2), torch.arange(2)
)
SCOPE = {"batch": BATCH, "features": {}, "out": {"classifier": torch.eye(2)}, "present": {}, "progress": 0.25}


class Ramp(nn.Module):
    def forward(self, progress):
        return 1 + progress


def test_paths_reach_into_dicts_and_dataclasses():
    assert lookup(SCOPE, "batch.targets.species") is BATCH.targets["species"]
    assert lookup(SCOPE, "out.classifier") is SCOPE["out"]["classifier"]


@pytest.mark.parametrize(
    ("path", "nearest"),
    [("out.clasifier", "out.classifier"), ("batch.target.species", "batch.targets"), ("bach.ids", "batch")],
)
def test_a_wrong_path_names_the_nearest_right_one(path, nearest):
    with pytest.raises(KeyError, match=f"nearest: {nearest}"):
        lookup(SCOPE, path)


def test_any_torch_loss_works_with_no_python():
    term = Keyed(nn.CrossEntropyLoss(), weight=2.0, input="out.classifier", target="batch.targets.species")
    expected = 2 * nn.functional.cross_entropy(torch.eye(2), torch.tensor([0, 1]))
    assert torch.equal(term(SCOPE), expected)


def test_strings_are_paths_modules_are_knobs_the_rest_is_constant():
    term = Keyed(lambda x, scale, power: (x * scale**power).sum(), x="batch.inputs.rgb", scale=Ramp(), power=2)
    assert term(SCOPE).item() == pytest.approx(6 * 1.25**2)


def test_a_learned_knob_is_a_parameter_of_the_term():
    knob = nn.Linear(1, 1)
    assert set(Keyed(lambda **_: torch.ones(()), temperature=knob).parameters()) == set(knob.parameters())


def test_a_sample_without_a_label_is_a_class_of_its_own_and_its_views_stay_together():
    labels = torch.tensor([1, -1, 0, -1]).repeat(2)
    samples = torch.tensor([5, -7, 0, 3]).repeat(2)
    scope = {**SCOPE, "batch": BATCH.replace(ids=samples, targets={"species": labels})}
    seen = []
    Keyed(lambda ids: seen.append(ids) or ids.sum(), ids="batch.targets.species")(scope)
    same = seen[0][:, None] == seen[0]
    assert torch.equal(same, samples[:, None] == samples)
    assert torch.equal(seen[0][labels >= 0], labels[labels >= 0])
    assert (seen[0][labels < 0] < -1).all()  # still without a label for a loss that leaves those out
    Keyed(lambda target: seen.append(target) or target.sum(), target="batch.targets.species")(scope)
    assert seen[1] is labels


def test_scalars_begin_as_the_weights_of_the_backbones_have_them():
    keyed = Keyed(
        lambda scale, bias: scale + bias,
        name="siglip",
        scale=LearnedScalar("weights", 1.0, 1000.0),
        bias=FreeScalar("weights"),
    )
    keyed.begin({"scale": 117.33, "bias": -12.9, "temperature": 1 / 117.33}, "loss")
    assert keyed.scalars(0.0) == pytest.approx({"scale": 117.33, "bias": -12.9})
    with pytest.raises(
        ValueError, match=r"losses\.siglip\.scale\.init=weights: the weights of no backbone have learnt a scale"
    ):
        keyed.begin({}, "losses.siglip")
    with pytest.raises(ValueError, match=r"found low 1\.0, init 2000\.0, high 1000\.0"):
        keyed.begin({"scale": 2000.0, "bias": 0.0}, "loss")
    fixed = Keyed(lambda temperature: temperature, name="clip", temperature=LearnedScalar(0.07, 0.01, 1.0))
    fixed.begin({"temperature": 0.5}, "loss")
    assert fixed.scalars(0.0) == pytest.approx({"temperature": 0.07})

import pytest
import torch
from torch import nn

from multimodal_lab.keyed import Keyed, lookup
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

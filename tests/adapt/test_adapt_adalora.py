"""AdaLoRA: the formula, its schedule and loss beside peft's own over a whole training, and what it refuses."""

import copy
from types import SimpleNamespace

import pytest
import torch
from peft import AdaLoraConfig, get_peft_model
from torch import nn

from multimodal_lab.adapt.adalora import adalora, orthogonality
from multimodal_lab.adapt.low_rank import merge

KNOBS = {"init_r": 6, "target_r": 2, "lora_alpha": 4, "tinit": 3, "tfinal": 4, "deltaT": 2, "beta1": 0.8, "beta2": 0.7}
X, Y = torch.randn(8, 5), torch.randn(8, 3)


class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.first, self.conv, self.last = nn.Linear(5, 7), nn.Conv2d(1, 2, 3), nn.Linear(7, 3)

    def forward(self, x):
        x = self.first(x).tanh()
        maps = self.conv(x[:, None, None, :].expand(-1, 1, 3, -1)).mean((1, 2, 3))
        return self.last(x) + maps[:, None]


class WithLoss(nn.Module):
    """As a model of transformers: what it says has a loss, to which peft adds its own."""

    def __init__(self, net):
        super().__init__()
        self.net = net

    def forward(self, x, y):
        return SimpleNamespace(loss=nn.functional.mse_loss(self.net(x), y))


def system(net):
    return nn.ModuleDict({"net": net, "losses": nn.ModuleDict()})


def test_the_formula():
    made = system(nn.Linear(5, 4))
    plain = copy.deepcopy(made.net)
    given = adalora(made, modules=["net"], init_r=3, target_r=1, lora_alpha=6)
    x = torch.randn(7, 5)
    assert torch.equal(made.net(x), plain(x))
    with torch.no_grad():
        for p in made.net.lora_E.values():
            p.normal_()
    a, b, e = (getattr(made.net, f"lora_{k}")["default"] for k in "ABE")
    expected = plain(x) + 6 / (3 + 1e-5) * (x @ a.T * e.T) @ b.T
    torch.testing.assert_close(made.net(x), expected)
    term = made["losses"]["orthogonality"]({})
    gaps = [sum((sum(w[i, k] * w[j, k] for k in range(w.shape[1])) - int(i == j)) ** 2 for i in range(3) for j in range(3)) ** 0.5
            for w in (a, b.T)]  # fmt: skip
    torch.testing.assert_close(term, 0.5 * sum(gaps) / 2)
    torch.testing.assert_close(term, 0.5 * orthogonality([a], [b]))
    with torch.autocast("cpu", torch.bfloat16):
        assert torch.equal(orthogonality([a], [b]), 2 * term)
    assert callable(given.after_gradient)
    said = made.net(x)
    assert merge(made) == 1
    assert type(made.net) is nn.Linear
    torch.testing.assert_close(made.net(x), said, atol=1e-6, rtol=1e-5)


def test_twenty_steps_are_those_of_peft():
    torch.manual_seed(0)
    net = Net()
    made = system(copy.deepcopy(net))
    torch.manual_seed(1)
    given = adalora(made, modules=["net"], orth_reg_weight=0.3, target_modules=["first", "conv", "last"], **KNOBS)
    torch.manual_seed(1)
    config = AdaLoraConfig(target_modules=["first", "conv", "last"], total_step=20, orth_reg_weight=0.3, **KNOBS)
    theirs = get_peft_model(WithLoss(copy.deepcopy(net)), config)
    ours = {k.removeprefix("net."): p for k, p in made.named_parameters()}
    known = {k.removeprefix("base_model.model.net."): p for k, p in theirs.named_parameters()}
    assert ours.keys() == known.keys()
    trained = [k for k, p in ours.items() if p.requires_grad]
    assert trained == [k for k, p in known.items() if p.requires_grad]
    steps = [torch.optim.AdamW([p[k] for k in trained], lr=0.05) for p in (ours, known)]
    given.begin(20)
    ranks = []
    for step in range(20):
        a = nn.functional.mse_loss(made.net(X), Y) + made["losses"]["orthogonality"]({})
        b = theirs.base_model(X, Y).loss  # `theirs` alone passes its term by
        torch.testing.assert_close(a, b, atol=1e-6, rtol=1e-6)
        for loss, optimizer in zip((a, b), steps):
            loss.backward()
            optimizer.step()
        given.after_gradient(step, 20)
        theirs.base_model.update_and_allocate(step + 1)
        for optimizer in steps:
            optimizer.zero_grad()
        pattern = theirs.base_model.peft_config["default"].rank_pattern
        mine = given.state_dict()["rank_pattern"]
        assert (mine is None) == (pattern is None)
        if mine is not None:
            assert [*mine.values()] == [*pattern.values()]
        ranks.append(sum(int((ours[k] != 0).sum()) for k in trained if "lora_E" in k))
        for k in trained:
            torch.testing.assert_close(ours[k], known[k], atol=1e-6, rtol=1e-5)
    budget = [
        int(12 * (1 - (t - 3) / 13) ** 3 + 6) for t in range(4, 17, 2)
    ]  # the cubic schedule of eq. 12, of three layers
    assert ranks[3:16:2] == budget
    assert ranks[:3] == [18] * 3
    assert ranks[16:] == [6] * 4


@pytest.mark.parametrize("stop", [6, 17])
def test_it_goes_on_where_it_was_saved(stop):
    def train(made, given, optimizer, steps):
        for step in steps:
            (nn.functional.mse_loss(made.net(X), Y) + made["losses"]["orthogonality"]({})).backward()
            optimizer.step()
            given.after_gradient(step, 20)
            optimizer.zero_grad()

    def begin():
        torch.manual_seed(0)
        made = system(Net())
        given = adalora(made, modules=["net"], **KNOBS)
        return made, given, torch.optim.SGD([p for p in made.parameters() if p.requires_grad], lr=0.1)

    whole = begin()
    train(*whole, range(20))
    half = begin()
    train(*half, range(stop))
    again = begin()
    again[0].load_state_dict(half[0].state_dict())
    again[1].load_state_dict(copy.deepcopy(half[1].state_dict()))
    train(*again, range(stop, 20))
    assert all(torch.equal(x, again[0].state_dict()[k]) for k, x in whole[0].state_dict().items())


def test_a_settling_step_that_was_left_out_is_made_up_for():
    """fp16: an update with an infinite gradient is no step, and nothing acts after it."""
    torch.manual_seed(0)
    made = system(Net())
    given = adalora(made, modules=["net"], **{**KNOBS, "deltaT": 50})
    for step in range(20):
        nn.functional.mse_loss(made.net(X), Y).backward()
        with torch.no_grad():
            for k, p in made.named_parameters():
                if "lora_E" in k:
                    p.sub_(p.grad)
        if step != 15:
            given.after_gradient(step, 20)
    left = sum(int((p != 0).sum()) for k, p in made.named_parameters() if "lora_E" in k)
    assert left == 2 * sum("lora_E" in k for k, _ in made.named_parameters())


def test_what_can_not_be_is_told():
    made = system(nn.Linear(5, 4))
    with pytest.raises(
        ValueError, match=r"adapt\.target_r=12: ranks are taken away from adapt\.init_r=12; expected fewer"
    ):
        adalora(made, modules=["net"], target_r=12)
    given = adalora(made, modules=["net"], tinit=5, tfinal=3)
    for total in (8, 9):
        with pytest.raises(
            ValueError, match=rf"adapt\.tinit=5 and adapt\.tfinal=3: of a training of {total} steps they leave"
        ):
            given.begin(total)
    given.begin(0)  # nothing is trained
    given.begin(10)
    with pytest.raises(ValueError, match=r"of a training of 9 steps"):
        given.after_gradient(0, 9)  # a loop of one's own
    taken = nn.ModuleDict({"net": nn.Linear(5, 4), "losses": nn.ModuleDict({"orthogonality": nn.Identity()})})
    with pytest.raises(ValueError, match=r"losses\.orthogonality: adapt=adalora adds a term of that name"):
        adalora(taken, modules=["net"])
    with pytest.raises(ValueError, match="is a Conv1d, and a low-rank update is for Linear, Conv2d"):
        adalora(system(nn.Sequential(nn.Conv1d(2, 2, 1))), modules=["net"], target_modules=["0"])


def test_without_its_weight_there_is_no_term():
    made = system(nn.Linear(5, 4))
    adalora(made, modules=["net"], orth_reg_weight=0.0)
    assert not made["losses"]
    copied = copy.deepcopy(made)
    assert copied.net.lora_A["default"] is not made.net.lora_A["default"]

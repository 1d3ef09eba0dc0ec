import pytest
import torch
from torch import nn
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn

from multimodal_lab.train.ema import Average


def net(seed=0):
    torch.manual_seed(seed)
    return nn.Sequential(nn.Linear(3, 4), nn.BatchNorm1d(4), nn.Linear(4, 2))


def move(model):
    model(torch.randn(8, 3))
    with torch.no_grad():
        for p in model.parameters():
            p.add_(torch.randn_like(p))


def test_once_warm_it_is_torchs_moving_average_buffers_included():
    model = net()
    theirs = AveragedModel(model, multi_avg_fn=get_ema_multi_avg_fn(0.9), use_buffers=True)
    theirs.n_averaged += 1  # past its first call, which copies
    ours = Average(model, 0.9)
    ours.count = 1000
    for _ in range(5):
        move(model)
        ours.update()
        theirs.update_parameters(model)
    for key, value in theirs.module.state_dict().items():
        if value.is_floating_point():
            torch.testing.assert_close(ours.kept[key], value)


def test_the_first_updates_forget_the_first_weights_soon():
    model = net()
    ours = Average(model, 0.999)
    expected = model[0].weight.detach().clone()
    for n in range(6):
        move(model)
        ours.update()
        d = min(0.999, (1 + n) / (10 + n))
        expected = d * expected + (1 - d) * model[0].weight.detach()
    torch.testing.assert_close(ours.kept["0.weight"], expected)
    assert ours.kept["1.num_batches_tracked"] == 6


def test_inside_the_system_holds_the_average_and_afterwards_its_own_bits():
    model = net()
    ours = Average(model, 0.9)
    move(model)
    ours.update()
    own = {k: v.clone() for k, v in model.state_dict().items()}

    def look():
        with ours.applied():
            assert all(torch.equal(v, ours.kept[k]) for k, v in model.state_dict().items())
            raise RuntimeError("while looking")

    with pytest.raises(RuntimeError, match="while looking"):
        look()
    assert all(torch.equal(v, own[k]) for k, v in model.state_dict().items())


def test_without_a_decay_nothing_is_kept():
    ours = Average(net(), None)
    ours.update()
    assert ours.state_dict() == {} == ours.kept
    with ours.applied():
        pass

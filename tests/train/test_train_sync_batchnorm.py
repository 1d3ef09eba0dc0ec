"""Two gloo ranks with batch norm give the loss, the gradients and the running statistics of one process."""

import os

import forked
import pytest
import timm
import torch
import torch.distributed as td
from timm.layers import BatchNormAct2d
from torch import nn
from torch.nn.parallel import DistributedDataParallel

from multimodal_lab.train.step import prepare_model
from multimodal_lab.train.sync_batchnorm import synchronise


class Odd(nn.BatchNorm1d):
    def forward(self, input):
        return input + super().forward(input)


SIZE = {"small": 8, "test_resnet": 64}


def net(name="small"):
    torch.manual_seed(0)
    if name != "small":
        return timm.create_model(name, num_classes=3).double()  # where fp32 rounds more than it should differ
    frozen = nn.BatchNorm2d(6).eval()
    frozen.train = lambda mode=True: frozen
    after = (BatchNormAct2d(6), nn.Conv2d(6, 6, 3), nn.BatchNorm2d(6, affine=False, momentum=None), frozen)
    return nn.Sequential(nn.Conv2d(3, 6, 3), *after, nn.Flatten(), nn.Linear(96, 5), nn.BatchNorm1d(5))


def result(name, model, rows):
    """The loss of some rows of eight, which are of different brightness, after a backward pass."""
    x = torch.randn(8, 3, SIZE[name], SIZE[name], generator=torch.Generator().manual_seed(1))
    x = (x * torch.arange(1, 9).view(8, 1, 1, 1))[rows]
    y = model(x.to(next(model.parameters()).dtype))
    value = (y - torch.arange(8.0).sin()[rows, None]).square().mean()
    value.backward()
    return value.detach()


def state(model):
    grads = {k: p.grad for k, p in model.named_parameters()}
    return {**grads, **{k: b.double() for k, b in model.named_buffers()}}


def worker(rank, port, folder):
    os.environ |= {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port)}
    torch.set_num_threads(1)
    td.init_process_group("gloo", rank=rank, world_size=2)
    for name in SIZE:
        model = net(name)
        assert prepare_model(model, False, False)
        value = result(name, DistributedDataParallel(model, broadcast_buffers=False), slice(rank * 4, rank * 4 + 4))
        td.all_reduce(value)
        torch.save({"value": value / 2, **state(model)}, f"{folder}/{name}{rank}.pt")
    td.destroy_process_group()


@pytest.fixture(scope="module")
def both(tmp_path_factory):
    folder = tmp_path_factory.mktemp("ranks")
    forked.meeting(worker, str(folder))
    return folder


@pytest.mark.parametrize("name", SIZE)
def test_two_processes_equal_one(both, name):
    model = net(name)
    whole = {"value": result(name, model, slice(0, 8)), **state(model)}
    for rank in (0, 1):
        torch.testing.assert_close(
            torch.load(both / f"{name}{rank}.pt", weights_only=True), whole, rtol=1e-5, atol=1e-5
        )


def test_alone_nothing_changes_and_names_stay():
    model, same = net().eval(), net().eval()
    x = torch.randn(4, 3, 8, 8)
    model(x), same(x)
    assert synchronise(model) == 4
    assert prepare_model(same, False, False) == []
    model.train(), same.train()
    assert torch.equal(model(x), same(x))
    assert model.state_dict().keys() == same.state_dict().keys()
    assert all(torch.equal(a, b) for a, b in zip(model.state_dict().values(), same.state_dict().values(), strict=True))


def test_a_batch_norm_with_a_forward_pass_of_its_own_is_refused():
    with pytest.raises(ValueError, match=r"0 is a Odd, a batch norm .* set train.sync_batchnorm=false"):
        synchronise(nn.Sequential(Odd(3)))

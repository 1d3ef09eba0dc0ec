"""Momentum contrast is the papers' pseudo-code, step by step: student, teacher and queue; on two ranks as on one."""

import copy
import os
from functools import partial

import forked
import pytest
import torch
import torch.distributed as td
from loss_oracle import cos, mean
from torch import nn

from multimodal_lab.checkpoint.frozen import Trained
from multimodal_lab.checkpoint.later import with_later
from multimodal_lab.checkpoint.state import require_same
from multimodal_lab.fusion.separate import Separate
from multimodal_lab.head.projection import Projection
from multimodal_lab.keyed import Keyed
from multimodal_lab.loss.moco import Moco
from multimodal_lab.optim import optimizers
from multimodal_lab.system import System
from multimodal_lab.train.ema import Average, Teacher
from multimodal_lab.train.step import Step
from multimodal_lab.types import Band, Batch, Features, Stream

TAU, LR, MOMENTUM, D = 0.3, 0.5, 0.9, 3


class Encoder(nn.Module):
    def __init__(self, stream):
        super().__init__()
        self.dim = self.width = 4
        self.layer = nn.Linear(stream.channels, 4)

    def forward(self, x):
        return Features.from_vector(torch.tanh(self.layer(x)))


def step(names=("image", "text"), **settings):
    torch.manual_seed(0)
    streams = {n: Stream(n, "vector", tuple(Band(f"{n}{i}") for i in range(5))) for n in names}
    moco = Moco(**{"queue": 5, "dim": D, **settings})
    loss = Keyed(
        moco, z="out.projection", keys="teacher.projection", ids="batch.ids", present="present", temperature=TAU
    )
    model = System(
        streams, {}, backbone=partial(Encoder), fusion=partial(Separate), head=partial(Projection, dim=D, hidden=None), loss=loss,
        teacher_momentum=MOMENTUM,
    ).double()  # fmt: skip
    model.teacher = Teacher(model, MOMENTUM)
    optimizer = optimizers.sgd(model, lr=LR, momentum=0.0, weight_decay=0.0)
    scaler = torch.amp.GradScaler("cpu", enabled=False)
    return Step(model.train(), optimizer, scaler, lambda b, seed, epoch: b, torch.device("cpu"), "fp32", 0, None)


def batch(i, names=("image", "text"), n=2, views=1, rows=slice(None)):
    """The samples of step i, which no other step has; one text is missing."""
    make = torch.Generator().manual_seed(i)
    ids = (n * i + torch.arange(n)).repeat(views)
    here = {name: torch.ones(n * views, dtype=torch.bool) for name in names}
    if "text" in names:
        here["text"][0] = i != 1
    x = {name: torch.randn(n * views, 5, generator=make, dtype=torch.float64) for name in names}
    return Batch(x, {}, here, ids, ids).map(lambda t: t[rows])


def encode(weights, name, x):
    """A row through one tower: a linear map, tanh, the projection."""
    w, b = (weights[f"backbones.each.{name}.layer.{k}"] for k in ("weight", "bias"))
    v, c = (weights[f"heads.projection.own.{name}.last.{k}"] for k in ("weight", "bias"))
    return v @ torch.tanh(w @ x + b) + c


def contrast(q, positive, negatives):
    """He 2020, algorithm 1: cross-entropy of [q.k, q.queue] / t against the first."""
    logits = [cos(q, k) / TAU for k in (positive, *negatives)]
    return torch.log(sum(torch.exp(x) for x in logits)) - logits[0]


def moco_loss(f_q, f_k, queue, data):
    """One name, two views in turn; negatives of the queue alone."""
    x = data.inputs["image"]
    half = len(x) // 2
    keys = [encode(f_k, "image", row) for row in x]
    lost = [contrast(encode(f_q, "image", row), keys[(i + half) % len(x)], queue["image"]) for i, row in enumerate(x)]
    return mean(lost), {"image": keys}


def albef_loss(f_q, f_k, queue, data):
    """Li 2021, eq. 1 and 2 with hard targets: image to text and text to image, negatives of batch and queue."""
    keys = {n: [encode(f_k, n, row) for row in data.inputs[n]] for n in ("image", "text")}
    here = data.present
    ways = []
    for a, b in (("image", "text"), ("text", "image")):
        lost = []
        for i in range(len(data)):
            if here[a][i] and here[b][i]:
                others = [k for j, k in enumerate(keys[b]) if j != i and here[b][j]]
                lost.append(contrast(encode(f_q, a, data.inputs[a][i]), keys[b][i], [*others, *queue[b]]))
        ways.append(mean(lost))
    kept = {n: [k if here[n][i] else None for i, k in enumerate(keys[n])] for n in keys}
    return mean(ways), kept


def published(loss, weights, batches, size):
    """The pseudo-code: the value of each step, and the weights of both encoders at its end."""
    f_q = {k: v.clone().requires_grad_() for k, v in weights.items()}
    f_k = {k: v.clone() for k, v in weights.items()}
    fifo = {n: [] for n in ("image", "text")}  # a missing row takes a place
    values = []
    for data in batches:
        queue = {n: [k for k in kept if k is not None] for n, kept in fifo.items()}
        value, keys = loss(f_q, f_k, queue, data)
        grads = torch.autograd.grad(value, list(f_q.values()), allow_unused=True, materialize_grads=True)
        with torch.no_grad():
            for (name, p), g in zip(f_q.items(), grads):
                p -= LR * g
                f_k[name] = MOMENTUM * f_k[name] + (1 - MOMENTUM) * p
        for name, new in keys.items():
            fifo[name] = [*fifo[name], *new][-size:]
        values.append(value.detach())
    return values, f_q, f_k, fifo


CASES = {
    "moco": (moco_loss, {"between": "views", "in_batch": False}, ("image",), {"n": 2, "views": 2}),
    "albef": (albef_loss, {}, ("image", "text"), {"n": 2}),
}


@pytest.mark.parametrize("name", CASES)
def test_three_steps_are_the_published_pseudo_code(name):
    loss, settings, names, shape = CASES[name]
    batches = [batch(i, names, **shape) for i in range(4)]
    ours = step(names, **settings)
    weights = {k: p.detach().clone() for k, p in ours.system.named_parameters() if p.requires_grad}
    values, f_q, f_k, fifo = published(loss, weights, batches, 5)
    for i, (data, expected) in enumerate(zip(batches, values)):
        terms, _ = ours([data], i, 0, 0.0)
        torch.testing.assert_close(terms["total"], expected, rtol=1e-10, atol=1e-12)
    assert values[-1] > 0.1
    student, teacher = (dict(m.named_parameters()) for m in (ours.system, ours.system.teacher.system))
    for key in f_q:
        torch.testing.assert_close(student[key], f_q[key], rtol=1e-9, atol=1e-12)
        torch.testing.assert_close(teacher[key], f_k[key], rtol=1e-9, atol=1e-12)
    queue = ours.system.losses["moco"].fn.queue
    for n in names:
        order = (int(queue.at) + torch.arange(5)) % 5  # oldest first
        for row, kept in zip(order, fifo[n]):
            there = getattr(queue, f"{n}_seen")[row]
            assert there == (kept is not None)
            if there:
                unit = kept.detach() / kept.detach().norm()
                torch.testing.assert_close(getattr(queue, f"{n}_unit")[row].double(), unit, rtol=1e-6, atol=1e-6)


def test_the_state_dict_has_teacher_and_queue_and_goes_on_to_the_bit():
    whole, first, again = step(), step(), step()
    for i in range(2):
        whole([batch(i)], i, 0, 0.0)
        first([batch(i)], i, 0, 0.0)
    again.system.load_state_dict(copy.deepcopy(first.system.state_dict()))
    for one in (whole, again):
        one([batch(2)], 2, 0, 0.0)
    for key, x in whole.system.state_dict().items():
        assert torch.equal(x, again.system.state_dict()[key]), key
    assert {
        "teacher.system.backbones.each.text.layer.weight",
        "losses.moco.fn.queue.text_ids",
    } <= whole.system.state_dict().keys()


def test_evaluation_moves_nothing_and_the_average_of_the_weights_copies_teacher_and_queue():
    ours = step()
    average = Average(ours.system, 0.5)
    ours([batch(0)], 0, 0, 0.0)
    average.update()
    before = {k: v.clone() for k, v in ours.system.state_dict().items()}
    for key in ("teacher.system.backbones.each.text.layer.weight", "losses.moco.fn.queue.text_unit"):
        torch.testing.assert_close(average.kept[key], before[key], rtol=0, atol=0)
    assert not torch.equal(average.kept["backbones.each.text.layer.weight"], before["backbones.each.text.layer.weight"])
    ours.system.eval()
    ours.system(batch(1))
    assert all(torch.equal(x, before[k]) for k, x in ours.system.state_dict().items())
    assert not ours.system.train().teacher.system.training


def test_a_key_that_is_missing_or_not_finite_is_never_compared():
    z = {n: torch.randn(3, D, dtype=torch.float64) for n in ("image", "text")}
    here = {n: torch.ones(3, dtype=torch.bool) for n in z}
    ids = torch.arange(3)
    plain, sick = Moco(queue=4, dim=D).double(), Moco(queue=4, dim=D).double()
    keys = {n: x.clone() for n, x in z.items()}
    keys["text"][1] = float("nan")
    gone = {**here, "text": torch.tensor([True, False, True])}
    for one, there, given in ((plain, gone, z), (sick, here, keys)):
        one(z, given, ids, there, TAU)
    found = [one(z, z, ids + 3, here, TAU) for one in (plain, sick)]
    torch.testing.assert_close(*found)
    assert torch.isfinite(found[0])


def test_what_does_not_fit_the_queue_is_told():
    z, here = (
        {n: torch.randn(6, 4) for n in ("image", "text")},
        {n: torch.ones(6, dtype=torch.bool) for n in ("image", "text")},
    )
    with pytest.raises(ValueError, match=r"keys of image are 4 wide, and the queue 3; give loss\.fn\.dim=4"):
        Moco(queue=8, dim=3)(z, z, torch.arange(6), here, TAU)
    with pytest.raises(ValueError, match=r"6 keys of all ranks, and the queue holds 5; give loss\.fn\.queue >= 6"):
        Moco(queue=5, dim=4)(z, z, torch.arange(6), here, TAU)


def result(rows):
    """Two steps of four samples, of which a rank takes half."""
    ours = step(queue=6)
    values = [ours([batch(i, n=4, rows=rows)], i, 0, 0.0)[0]["total"] for i in range(2)]
    return torch.stack(values), {k: v.clone() for k, v in ours.system.state_dict().items()}


def worker(rank, port, folder):
    os.environ |= {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port)}
    torch.set_num_threads(1)
    td.init_process_group("gloo", rank=rank, world_size=2)
    torch.save(result(slice(rank * 2, rank * 2 + 2)), f"{folder}/{rank}.pt")
    td.destroy_process_group()


def test_two_processes_equal_one(tmp_path):
    forked.meeting(worker, str(tmp_path))
    values, state = result(slice(None))
    ranks = [torch.load(tmp_path / f"{rank}.pt", weights_only=True) for rank in (0, 1)]
    torch.testing.assert_close((ranks[0][0] + ranks[1][0]) / 2, values, rtol=1e-10, atol=1e-12)
    for _, found in ranks:
        for key, x in state.items():
            torch.testing.assert_close(found[key], x, rtol=1e-9, atol=1e-9, msg=key)


def test_a_checkpoint_of_before_the_ids_of_texts_is_gone_on_with():
    """What its keys hold is not known, and equal to nothing; a buffer that was always there is asked for by name."""
    one, two = step(), step()
    before = one.system.state_dict()
    gone = [name for name in before if name.endswith("_text")]
    assert len(gone) == 2
    old = {name: x for name, x in before.items() if name not in gone}
    found = with_later(two.system, old)
    assert found.keys() == before.keys()
    assert all((found[name] == -1).all() for name in gone)
    assert with_later(Trained.of(two.system), old).keys() == before.keys()
    lacking = {name: x for name, x in old.items() if not name.endswith("image_ids")}
    with pytest.raises(ValueError, match=r"the model lacks losses\..*image_ids$"):
        require_same("the model", with_later(two.system, lacking), before)

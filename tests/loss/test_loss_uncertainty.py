"""Weights of tasks learned by their uncertainty (Kendall 2018, eq. 7 and 10)."""

import math
import os
from functools import partial

import forked
import pytest
import torch
import torch.distributed as td
from torch import nn
from torch.nn.parallel import DistributedDataParallel

from multimodal_lab.fusion.separate import Separate
from multimodal_lab.head.late_fusion import LateFusion
from multimodal_lab.head.projection import Projection
from multimodal_lab.head.regressor import Regressor
from multimodal_lab.keyed import Keyed
from multimodal_lab.loss.classification import nll
from multimodal_lab.loss.clip import clip
from multimodal_lab.loss.regression import mse
from multimodal_lab.loss.uncertainty import Uncertainty
from multimodal_lab.system import System
from multimodal_lab.types import Band, Batch, Features, Stream

SQUARED = {"clip": False, "label": False, "age": True}


class Encoder(nn.Module):
    def __init__(self, stream):
        super().__init__()
        self.dim, self.layer = 8, nn.Linear(stream.channels, 8)

    def forward(self, x):
        return Features.from_vector(self.layer(x))


def system(task_weights="uncertainty", losses=("label", "age"), **weights):
    """Contrast of image and text, the class of either or both, and a number of the image."""
    torch.manual_seed(0)
    terms = {
        "label": Keyed(
            nll, weight=weights.get("label", 1.0), log_probs="out.late_fusion", target="batch.targets.label"
        ),
        "age": Keyed(mse, weight=weights.get("age", 1.0), predicted="out.regressor", target="batch.targets.age"),
    }
    streams = {n: Stream(n, "vector", tuple(Band(f"{n}{i}") for i in range(4))) for n in ("image", "text")}
    heads = {
        "late_fusion": partial(LateFusion, label="label", dropout=0.0),
        "regressor": partial(Regressor, label="age", dropout=0.0, input="image"),
    }
    return System(
        streams,
        {"label": 3},
        backbone=partial(Encoder),
        fusion=partial(Separate),
        head=partial(Projection, dim=6, hidden=8),
        heads=heads if "age" in losses else {"late_fusion": heads["late_fusion"]},
        loss=Keyed(clip, z="out.projection", ids="batch.ids", present="present", temperature=0.2),
        losses={k: terms[k] for k in losses},
        numbers={"age": (torch.zeros(1), torch.ones(1))},
        task_weights=task_weights,
    ).double()  # fmt: skip


def batch(rows=slice(None)):
    """Eight samples of two data sets: the first four of pairs without labels, the others of labelled images without words."""
    make = torch.Generator().manual_seed(1)
    n = 8
    here, ids = torch.ones(n, dtype=torch.bool), torch.arange(n)
    text = here.clone()
    text[5:] = False
    whole = Batch(
        {s: torch.randn(n, 4, generator=make, dtype=torch.float64) for s in ("image", "text")},
        {
            "label": torch.tensor([-1, -1, -1, -1, 0, 1, 2, 1]),
            "age": torch.tensor([math.nan, math.nan, 0.3, math.nan, 1.0, -1.0, 0.5, math.nan], dtype=torch.float64),
        },
        {"image": here, "text": text},
        ids,
        ids,
    )
    return whole.map(lambda x: x[rows])


def test_each_term_is_kendalls():
    weights = Uncertainty(SQUARED).double()
    s = {"clip": 0.4, "label": -0.7, "age": 1.1}
    with torch.no_grad():
        for name, value in s.items():
            weights.log_variance[name].fill_(value)
    terms = {name: torch.tensor(x, dtype=torch.float64, requires_grad=True) for name, x in zip(s, (2.0, 0.5, 3.0))}
    found = weights(terms)
    for name, x in terms.items():
        sigma = math.exp(s[name] / 2)
        half = 2 if SQUARED[name] else 1
        assert found[name].item() == pytest.approx(x.item() / (half * sigma**2) + math.log(sigma), rel=1e-6)
    sum(found.values()).backward()
    for name, x in terms.items():
        precision = (0.5 if SQUARED[name] else 1.0) * math.exp(-s[name])
        assert x.grad.item() == pytest.approx(precision, rel=1e-6)
        slope = -precision * x.item() + 0.5
        assert weights.log_variance[name].grad.item() == pytest.approx(slope, rel=1e-6)
    assert weights.scalars() == pytest.approx(s)


def test_at_their_best_terms_of_any_size_weigh_alike():
    weights = Uncertainty({"large": False, "small": False})
    descent = torch.optim.SGD(weights.parameters(), lr=0.5)
    for _ in range(200):
        descent.zero_grad()
        sum(weights({"large": torch.tensor(50.0), "small": torch.tensor(0.02)}).values()).backward()
        descent.step()
    found = {name: math.exp(-s) * x for (name, s), x in zip(weights.scalars().items(), (50.0, 0.02))}
    assert found == pytest.approx({"large": 0.5, "small": 0.5}, rel=1e-3)


def test_a_system_weighs_its_terms_and_logs_them_before_and_after():
    model, plain = system(age=2.0), system("fixed", age=2.0)
    with torch.no_grad():
        model.task_weights.log_variance["age"].fill_(0.6)
    found, raw = model(batch()), plain(batch())
    for name in ("clip", "label", "age"):
        torch.testing.assert_close(found[f"{name}/unweighted"], raw[name].detach())
    torch.testing.assert_close(found["age"], 0.5 * math.exp(-0.6) * raw["age"] + 0.3)  # a fixed weight stands beside it
    torch.testing.assert_close(found["label"], raw["label"])
    torch.testing.assert_close(found["total"], found["clip"] + found["label"] + found["age"])
    said = model.loss_scalars(0.0)
    assert said["age/log_variance"] == pytest.approx(0.6)
    assert said["label/log_variance"] == 0
    found["total"].backward()
    assert model.unused() == []
    assert not any(name.startswith("task_weights") for name in plain.state_dict())


def test_a_task_without_a_label_in_the_batch_keeps_its_weight():
    model = system()
    model(batch(slice(0, 2)))["total"].backward()  # pairs alone: neither a class nor a number
    grads = {name: s.grad.item() for name, s in model.task_weights.log_variance.items()}
    assert grads["label"] == grads["age"] == 0
    assert grads["clip"] != 0


def test_one_task_alone_is_refused():
    with pytest.raises(ValueError, match=r"task_weights=uncertainty weighs several loss terms, found clip"):
        Uncertainty.of({"clip": Keyed(clip)})


def stepped(model, rows):
    """The terms of some rows and every gradient."""
    terms = model(batch(rows))
    terms["total"].backward()
    net = getattr(model, "module", model)
    return [terms[k].detach() for k in sorted(terms)] + [p.grad for p in net.parameters()]


def worker(rank, port, folder):
    os.environ |= {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port)}
    torch.set_num_threads(1)
    td.init_process_group("gloo", rank=rank, world_size=2)
    for weights in ("fixed", "uncertainty"):
        found = stepped(DistributedDataParallel(system(weights)), slice(rank * 4, rank * 4 + 4))
        torch.save(found, f"{folder}/{weights}{rank}.pt")
    td.destroy_process_group()


def test_mixed_data_sets_on_two_processes_are_one(tmp_path):
    """Rank 0 has pairs without a class, rank 1 labelled images of which one has a text."""
    forked.meeting(worker, str(tmp_path))
    for weights in ("fixed", "uncertainty"):
        whole = stepped(system(weights), slice(0, 8))
        terms = len(whole) - len(list(system(weights).parameters()))
        ranks = [torch.load(tmp_path / f"{weights}{rank}.pt", weights_only=True) for rank in (0, 1)]
        for i, expected in enumerate(whole):
            ours = (ranks[0][i] + ranks[1][i]) / 2 if i < terms else ranks[0][i]
            torch.testing.assert_close(ours, expected, rtol=1e-10, atol=1e-12)
            if i >= terms:
                torch.testing.assert_close(ranks[1][i], ours, rtol=0, atol=0)

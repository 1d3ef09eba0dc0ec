"""Gradient accumulation is the large batch, however unevenly the labels fall."""

import pytest
import torch
from torch import nn

from multimodal_lab.keyed import Keyed
from multimodal_lab.loss.caption import caption
from multimodal_lab.loss.classification import bce, cross_entropy
from multimodal_lab.loss.regression import mse
from multimodal_lab.optim.optimizers import sgd
from multimodal_lab.train.step import Step
from multimodal_lab.types import Batch

CPU, K, L = torch.device("cpu"), 3, 5
NAN = float("nan")
SPECIES = torch.tensor([0, 1, 2, 0, -1, -1, -1, 1, -1, 2, -1, -1])
TRAITS = torch.tensor([[0.0, 1, NAN]] * 3 + [[NAN] * 3] * 4 + [[1, 1, 0.0]] * 5)
WORDS = torch.tensor([[1, 2, 2, 1, 2]] * 2 + [[1, 2, 0, 0, 0]] * 6 + [[0] * 5] * 4)


class Small(nn.Module):
    """A System of three labelled terms and one without labels."""

    def __init__(self):
        super().__init__()
        torch.manual_seed(0)
        self.layer, self.words = nn.Linear(4, K), nn.Linear(4, (L - 1) * K)
        weighted = {"label_smoothing": 0.1, "class_weight": [0.2, 1.0, 3.0]}
        self.losses = nn.ModuleDict({
            "species": Keyed(cross_entropy, logits="out.one", target="batch.targets.species", **weighted),
            "by_name": Keyed(bce, 2.0, logits="out.both", target="batch.targets.traits"),
            "words": Keyed(caption, logits="out.words", tokens="batch.targets.words"),
            "mass": Keyed(mse, predicted="out.one", target="batch.targets.mass", scale="std.species"),
            "size": Keyed(lambda x: x.square().mean(), x="out.one"),
        })  # fmt: skip
        self.double()

    def scope(self, batch, progress=0.0):
        x = batch.inputs["x"]
        one = self.layer(x)
        out = {"one": one, "both": {"a": one, "b": -one}, "words": self.words(x).view(len(x), L - 1, K)}
        return {"batch": batch, "out": out, "progress": progress, "std": {"species": torch.full((1,), 2.0).double()}}

    def forward(self, batch, progress=0.0, shares=None):
        scope = self.scope(batch, progress)
        terms = {k: m(scope) for k, m in self.losses.items()}
        terms |= {k: share * terms[k] for k, share in (shares or {}).items()}
        return terms | {"total": sum(terms.values())}

    def unused(self):
        return []


def batch(rows):
    x = torch.randn(12, 4, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    mass = torch.where(SPECIES[:, None] > 0, x[:, :K], NAN)
    targets = {"species": SPECIES, "traits": TRAITS, "words": WORDS, "mass": mass}
    ids = torch.arange(12)
    return Batch({"x": x[rows]}, {k: v[rows] for k, v in targets.items()}, {}, ids[rows], ids[rows])


def gradient(*parts, views=1):
    """The terms and gradients of one step over these batches."""

    def augment(b, *_):
        return b.map(lambda x: torch.cat([x] * views))

    net = Small()
    step = Step(net, sgd(net), torch.amp.GradScaler("cpu", enabled=False), augment, CPU, "fp32", 0, None)
    terms = step.gradient([batch(p) for p in parts], 0, 0, 0.0)
    return {**terms, **{k: p.grad for k, p in net.named_parameters()}}


@pytest.mark.parametrize("views", [1, 2])
def test_the_step_is_that_of_the_large_batch(views):
    whole = gradient(slice(0, 12), views=views)
    for parts in ((slice(0, 4), slice(4, 8), slice(8, 12)), (slice(0, 6), slice(6, 12))):
        torch.testing.assert_close(gradient(*parts, views=views), whole, rtol=1e-12, atol=1e-12)


def test_batches_without_any_label_count_nothing():
    found = gradient(slice(0, 4), slice(4, 7))
    alone = gradient(slice(0, 4))
    torch.testing.assert_close(found["species"], alone["species"])
    assert gradient(slice(4, 6), slice(4, 6))["species"] == 0


class Asks:
    """An augmentation that adds the words, some of them; no batch has them before."""

    adds = ("words",)

    def __call__(self, given, *_):
        kept = torch.where((torch.arange(L) < 2) | (given.ids % 3 == 0)[:, None], WORDS[given.ids], 0)
        return given.replace(targets={**given.targets, "words": kept})


def test_targets_that_the_augmentation_adds_are_counted_as_it_adds_them():
    def of(*parts):
        net = Small()
        step = Step(net, sgd(net), torch.amp.GradScaler("cpu", enabled=False), Asks(), CPU, "fp32", 0, None)
        bare = [batch(p) for p in parts]
        bare = [b.replace(targets={k: v for k, v in b.targets.items() if k != "words"}) for b in bare]
        terms = step.gradient(bare, 0, 0, 0.0)
        return {**terms, **{k: p.grad for k, p in net.named_parameters()}}

    torch.testing.assert_close(of(slice(0, 4), slice(4, 8), slice(8, 12)), of(slice(0, 12)), rtol=1e-12, atol=1e-12)

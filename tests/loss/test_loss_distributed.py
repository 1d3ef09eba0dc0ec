"""Two gloo processes under DDP give one process's loss and gradients, however unevenly the valid rows fall."""

import os
from functools import partial

import forked
import pytest
import torch
import torch.distributed as td
from torch import nn
from torch.nn.parallel import DistributedDataParallel

from multimodal_lab.loss import comm as of_fused
from multimodal_lab.loss import contrastive
from multimodal_lab.loss import cross_modal as of_terms
from multimodal_lab.loss import factorcl as of_factors
from multimodal_lab.loss.barlow_twins import barlow_twins
from multimodal_lab.loss.caption import caption
from multimodal_lab.loss.classification import asymmetric, bce, cross_entropy, focal, nll
from multimodal_lab.loss.clip import clip
from multimodal_lab.loss.contrastive import info_nce
from multimodal_lab.loss.dcl import dcl
from multimodal_lab.loss.schedule import FreeScalar, LearnedScalar
from multimodal_lab.loss.siglip import siglip
from multimodal_lab.loss.simclr import simclr
from multimodal_lab.loss.supcon import supcon
from multimodal_lab.loss.tiled import tiles
from multimodal_lab.loss.triplet import triplet
from multimodal_lab.loss.vicreg import vicreg


def cross_modal(*arguments, **knobs):
    return of_terms.cross_modal(*arguments, **knobs).total


def comm(*arguments):
    return of_fused.comm(*arguments, fused_weight=0.7, alone_weight=0.4, temperature=0.2).total


def factorcl(z, ids, present):
    """Every factor another stretch of the same vector."""
    factors = torch.linspace(-1, 1, 50, dtype=torch.float64).view(10, 5).cos()
    z = {name: x[:, None] * factors for name, x in z.items()}
    return of_factors.factorcl(z, ids, present, shared_weight=0.7, unique_weight=0.4, temperature=0.2).total


N, D, K, L = 6, 5, 3, 4  # samples of both ranks together
NAMES = ("rgb", "uv", "fused")
CONTRASTIVE = {
    "simclr": partial(simclr, temperature=0.1),
    "cross_modal": partial(cross_modal, cross_weight=0.7, intra_weight=0.3),
    "clip": clip,
    "clip_by_label": clip,
    "clip_cold": partial(clip, temperature=0.002),  # exponents are shifted
    "simclr_cold": partial(simclr, temperature=0.002),
    "itself": lambda z, ids, present: info_nce(
        z["uv"], z["uv"], ids, ids, 0.1, present_a=present["uv"], present_b=present["uv"], exclude_self=True
    ),
    "siglip": siglip,
    "supcon": partial(supcon, temperature=0.1),
    "dcl": partial(dcl, temperature=0.1),
    "comm": comm,
    "factorcl": factorcl,
    "hardest": partial(triplet, margin=0.3),
    "semi_hard": partial(triplet, margin=0.3, mining="semi_hard"),
    "vicreg": partial(vicreg, invariance=25.0, variance=25.0, covariance=1.0),
    "vicreg_modalities": partial(vicreg, invariance=25.0, variance=25.0, covariance=1.0, between="modalities"),
    "barlow_twins": partial(barlow_twins, redundancy=0.01, between="both"),
}
LABELLED = {
    "cross_entropy": partial(cross_entropy, label_smoothing=0.1),
    "weighted": partial(cross_entropy, class_weight=[0.2, 1.0, 3.0]),
    "nll": nll,
    "bce": partial(bce, pos_weight=2.0),
    "asymmetric": asymmetric,
    "focal": focal,
}
FEW = (0, 4 * N * N)  # pairs that one matrix may hold: none, and all 12 x 12 of both ranks
CASES = [*CONTRASTIVE, *LABELLED, "caption", "unlabelled"]
# Uneven on purpose: rank 0 holds samples 0-2, rank 1 samples 3-5; rank 1 has one label, and its rgb is mostly missing.
LABELS = torch.tensor([0, 2, 1, -1, 1, -1])
SOME = torch.tensor([0, -1, -1, -1, 0, -1])  # each unlabelled row a class of its own, on either rank
HERE = torch.tensor([[1, 1], [1, 1], [1, 0], [0, 1], [1, 1], [0, 0]], dtype=torch.bool)
TOKENS = torch.tensor([[1, 2, 2, 2], [1, 1, 2, 0], [1, 2, 0, 0], [0, 0, 0, 0], [1, 1, 0, 0], [0, 0, 0, 0]])


class Toy(nn.Module):
    """An encoder for each name, a classifier, a captioner, and one loss with learned numbers."""

    def __init__(self, case):
        super().__init__()
        torch.manual_seed(0)
        self.case = case
        self.encoders = nn.ModuleDict({n: nn.Linear(D, D) for n in NAMES})
        self.classifier, self.captioner = nn.Linear(D, K), nn.Linear(D, (L - 1) * K)
        self.temperature, self.scale, self.bias = (
            LearnedScalar(0.2, 0.01, 1.0),
            LearnedScalar(5.0, 1.0, 100.0),
            FreeScalar(-2.0),
        )
        self.double()

    def forward(self, x, samples):
        views = samples.repeat(2)
        here = HERE[views]
        present = {"rgb": here[:, 0], "uv": here[:, 1], "fused": here.any(1)}
        z = {n: self.encoders[n](x[n]) for n in NAMES}
        scores = self.classifier(z["rgb"])
        touched = sum(p.sum() for p in self.parameters()) * 0  # no parameter unused, as in a System
        return touched + self.loss(z, views, present, scores)

    def loss(self, z, views, present, scores):
        if self.case == "caption":
            return caption(self.captioner(z["uv"]).view(-1, L - 1, K), TOKENS[views])
        if self.case == "unlabelled":
            return cross_entropy(scores, torch.full_like(views, -1))
        if self.case in LABELLED:
            return LABELLED[self.case](scores, LABELS[views])
        clips = ("clip", "clip_by_label", "cross_modal")
        learned = {"temperature": self.temperature(0.0)} if self.case in clips else {}
        if self.case == "siglip":
            learned = {"scale": self.scale(0.0), "bias": self.bias(0.0)}
        ids = {"supcon": LABELS, "clip_by_label": SOME}.get(self.case, torch.arange(N))[views]
        return CONTRASTIVE[self.case](z, ids, present, **learned)


def inputs(samples):
    """Views of `samples`, stacked; a view of a sample is the same wherever it is drawn."""
    x = torch.randn(2, len(NAMES), N, D, generator=torch.Generator().manual_seed(7), dtype=torch.float64)
    return {n: x[:, i, samples].flatten(0, 1) for i, n in enumerate(NAMES)}


def result(model, samples):
    value = model(inputs(samples), samples)
    value.backward()
    return value.detach(), [p.grad.clone() for p in model.parameters()]


def worker(rank, port, folder):
    os.environ |= {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port)}
    torch.set_num_threads(1)
    tiles.EDGE = 2
    td.init_process_group("gloo", rank=rank, world_size=2)
    found = {}
    for few in FEW:
        contrastive.FEW = few
        for case in CASES:
            value, grads = result(DistributedDataParallel(Toy(case)), torch.arange(rank * 3, rank * 3 + 3))
            td.all_reduce(value)
            found[f"{case} {few}"] = [value / 2, *grads]
    torch.save(found, f"{folder}/{rank}.pt")
    td.destroy_process_group()


@pytest.fixture(scope="module")
def both(tmp_path_factory):
    folder = tmp_path_factory.mktemp("ranks")
    forked.meeting(worker, str(folder))
    return [torch.load(folder / f"{rank}.pt", weights_only=True) for rank in (0, 1)]


@pytest.mark.parametrize("few", FEW)
@pytest.mark.parametrize("case", CASES)
def test_two_processes_equal_one(both, case, few):
    value, grads = result(Toy(case), torch.arange(N))
    assert (value == 0) == (case == "unlabelled")
    for rank in both:
        for ours, alone in zip(rank[f"{case} {few}"], [value, *grads]):
            torch.testing.assert_close(ours, alone, rtol=1e-10, atol=1e-12)


def test_the_ranks_really_disagree(both):
    """Each rank's own mean of its own rows, the usual mistake, is not the global mean here."""
    alone, _ = result(Toy("cross_entropy"), torch.arange(N))
    halves = [result(Toy("cross_entropy"), torch.arange(r * 3, r * 3 + 3))[0] for r in (0, 1)]
    assert abs(sum(halves) / 2 - alone) > 1e-3
    torch.testing.assert_close(both[0]["cross_entropy 144"][0], alone)

"""CoMM and FactorCL against their papers in plain loops, and against the authors' code stated again."""

import math

import loss_oracle as oracle
import pytest
import torch
import torch.nn.functional as F
from loss_oracle import assert_same, value_and_gradients
from torch import nn

from multimodal_lab.head.factorcl import FactorCL
from multimodal_lab.loss import comm as of_comm
from multimodal_lab.loss import factorcl as of_factors
from multimodal_lab.types import Batch, Features

IDS = torch.arange(4).repeat(2)
SHAPES = {"comm": (8, 5), "factorcl": (8, 10, 5)}
KNOBS = {
    "comm": {"fused_weight": 0.7, "alone_weight": 0.4, "temperature": 0.2},
    "factorcl": {"shared_weight": 0.7, "unique_weight": 0.4, "temperature": 0.2},
}
OURS = {"comm": of_comm.comm, "factorcl": of_factors.factorcl}
NAMES = {"comm": ("rgb", "uv", "fused"), "factorcl": ("rgb", "uv", "nir")}


def leaves(name):
    make = torch.Generator().manual_seed(0)
    return [torch.randn(*SHAPES[name], generator=make, dtype=torch.float64) for _ in NAMES[name]]


def here(name, missing=False):
    present = {n: torch.ones(8, dtype=torch.bool) for n in NAMES[name]}
    if missing:
        present["rgb"][2], present["uv"][[3, 7]] = False, False
    return present


def run(fn, name, knobs, present):
    return value_and_gradients(lambda *x: fn(dict(zip(NAMES[name], x)), IDS, present, **knobs), *leaves(name))


def total(name):
    return lambda *arguments, **knobs: OURS[name](*arguments, **knobs).total


@pytest.mark.parametrize("name", OURS)
@pytest.mark.parametrize("missing", [False, True])
def test_value_and_gradient_are_the_papers(name, missing):
    found = run(total(name), name, KNOBS[name], here(name, missing))
    assert found[0].abs() > 1e-3
    assert_same(found, run(getattr(oracle, name), name, KNOBS[name], here(name, missing)), 1e-10)


@pytest.mark.parametrize(("name", "knob"), [(name, knob) for name, knobs in KNOBS.items() for knob in knobs])
def test_every_weight_changes_value_and_gradients(name, knob):
    before = run(total(name), name, KNOBS[name], here(name))
    after = run(total(name), name, {**KNOBS[name], knob: KNOBS[name][knob] * 1.5}, here(name))
    changed = [float((x - y).abs().max()) > 1e-6 for x, y in zip(before, after)]
    # what a stream alone says has no part in the term of all streams
    assert changed == ([True, False, False, True] if knob == "fused_weight" else [True] * 4)


def test_the_terms_are_logged_before_their_weights():
    z, present = dict(zip(NAMES["comm"], leaves("comm"))), here("comm")
    said = of_comm.comm(z, IDS, present, 0.7, 0.4, 0.2)
    torch.testing.assert_close(said.total, (0.7 * said.parts["fused"] + 0.4 * 2 * said.parts["alone"]) / 3)
    z, present = dict(zip(NAMES["factorcl"], leaves("factorcl"))), here("factorcl")
    said = of_factors.factorcl(z, IDS, present, 0.7, 0.4, 0.2)
    parts = said.parts
    torch.testing.assert_close(said.total, 0.7 * parts["shared"] + 0.4 * parts["unique"] + parts["critic"])


def authors_comm(one, two, temperature):
    """`CoMMLoss` of github.com/Duplums/CoMM: lists of (N, D), the fused ones last."""

    def info_nce(a, b):
        n, far = len(a), 1e8 * torch.eye(len(a), dtype=a.dtype)
        across, within, other = a @ b.T / temperature, a @ a.T / temperature - far, b @ b.T / temperature - far
        rows = torch.cat([torch.cat([across, within], 1), torch.cat([other, across.T], 1)])
        return -rows.log_softmax(1).diag().mean() + 0 * n

    one, two = ([F.normalize(x, dim=1) for x in side] for side in (one, two))
    terms = [(info_nce(a, two[-1]) + info_nce(b, one[-1])) / 2 for a, b in zip(one, two)]
    return torch.stack(terms).mean()


def test_comm_with_both_weights_1_is_the_authors_code():
    def theirs(*x):
        return authors_comm([z[:4] for z in x], [z[4:] for z in x], 0.1)

    def ours(*x):
        return total("comm")(dict(zip(NAMES["comm"], x)), IDS, here("comm"), 1.0, 1.0, 0.1)

    assert_same(value_and_gradients(ours, *leaves("comm")), value_and_gradients(theirs, *leaves("comm")), 1e-10)


class Critic(nn.Module):
    """`InfoNCECritic` and `CLUBInfoNCECritic` of github.com/pliang279/FactorCL, their MLP of (y, x) a cosine of two maps."""

    def __init__(self, x, y):
        super().__init__()
        self.x, self.y = (nn.Parameter(w.detach().clone()) for w in (x, y))

    def scores(self, x, y):
        """T1 (N, N): row i is y_i with every x."""
        return F.normalize(y @ self.y.T, dim=1) @ F.normalize(x @ self.x.T, dim=1).T / 0.2

    def learning_loss(self, x, y):
        t1 = self.scores(x, y)
        return -(t1.diag().mean() - (t1.logsumexp(1).mean() - math.log(len(x))))

    def club(self, x, y):
        t1 = self.scores(x, y)
        return t1.diag().mean() - t1.mean()


def test_factorcl_is_the_authors_code_and_two_optimizers_in_turn():
    """Of one pair of views: projections move by the first loss of the authors, critics of upper bounds by the second alone."""
    torch.manual_seed(0)
    head = FactorCL({"rgb": 6, "uv": 7}, dim=4, hidden=8).double()
    inputs = {"rgb": torch.randn(8, 6).double(), "uv": torch.randn(8, 7).double()}
    said = head({n: Features.from_vector(x) for n, x in inputs.items()}, Batch.of(inputs))
    present = {n: torch.ones(8, dtype=torch.bool) for n in inputs}
    ours = of_factors.factorcl(said, IDS, present, 1.0, 1.0, 0.2).total

    first, second, critics = [], [], {}
    for factor in head.project["rgb"]:
        weights = [head.critics[n][factor].weight for n in inputs]
        if weights[0].shape[0] > 4:  # of both views: one map each, side by side
            weights = [torch.cat([w[:4], w[4:]], 1) for w in weights]
        critics[factor] = Critic(*weights)
    for view, other in ((slice(4), slice(4, None)), (slice(4, None), slice(4))):
        for factor, critic in critics.items():
            mlp = [head.project[n][factor] for n in inputs]
            z = [m(x, present["rgb"]) for m, x in zip(mlp, inputs.values())]
            if factor == "unique":
                own = [Critic(w, w) for w in (critic.x, critic.y)]
                first += [(c.learning_loss(x[view], x[other])) for c, x in zip(own, z)]
                continue
            seen = [
                torch.cat([x[view], x[other]], 1) if factor in ("shared_club", "unique_given") else x[view] for x in z
            ]
            for x, y in (seen,):
                if "club" in factor:
                    first.append(critic.club(x, y))
                    second.append((critic.learning_loss(x, y), critic.scores(x, y), factor))
                else:
                    t1 = critic.scores(x, y)
                    back = -(t1.diag().mean() - (t1.logsumexp(0).mean() - math.log(4)))
                    first.append((critic.learning_loss(x, y) + back) / 2)
    learning = []
    for loss, t1, _ in second:
        learning.append((loss - (t1.diag().mean() - (t1.logsumexp(0).mean() - math.log(4)))) / 2)
    bounds, learnt = torch.stack(first).sum() / 2, torch.stack(learning).sum() / 2
    constants = math.log(4) * (1 + 2 + 1 + 2)  # log N of every lower bound, which ours leaves out
    torch.testing.assert_close(ours, bounds + learnt + constants)

    projections = list(head.project.parameters())
    torch.testing.assert_close(torch.autograd.grad(ours, projections, retain_graph=True),
                               torch.autograd.grad(bounds, projections, retain_graph=True))  # fmt: skip
    for factor in ("shared_club", "unique_club"):
        weights = [head.critics[n][factor].weight for n in inputs]
        theirs = torch.autograd.grad(learnt, [critics[factor].x, critics[factor].y], retain_graph=True)
        if factor == "shared_club":
            theirs = [torch.cat([w[:, :4], w[:, 4:]]) for w in theirs]
        torch.testing.assert_close(list(torch.autograd.grad(ours, weights, retain_graph=True)), list(theirs))

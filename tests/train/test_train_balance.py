"""OGM-GE against its paper and the authors' loop stated again; alike under fp16's scale, accumulation, two ranks and a resume."""

import copy
import math
from functools import partial

import pytest
import torch
import torch.nn.functional as F

from multimodal_lab.backbone.convnet import ConvNet
from multimodal_lab.backbone.shared import Shared
from multimodal_lab.fusion.concat import Concat
from multimodal_lab.fusion.modality_tokens import ModalityTokens
from multimodal_lab.fusion.separate import Separate
from multimodal_lab.head.classifier import Classifier
from multimodal_lab.head.late_fusion import LateFusion
from multimodal_lab.head.projection import Projection
from multimodal_lab.keyed import Keyed
from multimodal_lab.loss.classification import cross_entropy, nll
from multimodal_lab.loss.simclr import simclr
from multimodal_lab.optim.optimizers import sgd
from multimodal_lab.system import System
from multimodal_lab.train.balance import Balance
from multimodal_lab.train.step import Step
from multimodal_lab.types import Band, Batch, Stream, alone

CPU, N, K = torch.device("cpu"), 6, 3
STREAMS = {name: Stream(name, bands=(Band("x"), Band("y")), size=8) for name in ("rgb", "uv", "nir")}


LATE = Keyed(nll, log_probs="out.late_fusion", target="batch.targets.species")
FUSED = Keyed(cross_entropy, logits="out.classifier", target="batch.targets.species")
VIEWS = Keyed(simclr, z="out.projection", ids="batch.ids", present="present", temperature=0.1)


def system(streams=("rgb", "uv"), head=LateFusion, loss=LATE, fusion=Separate, backbone=ConvNet):
    torch.manual_seed(0)
    told = {"label": "species", "dropout": 0.0} if head is not Projection else {}
    return System(
        {name: STREAMS[name] for name in streams}, {"species": K}, backbone=partial(backbone, widths=[4, 8]),
        fusion=partial(fusion), head=partial(head, **told), loss=loss,
    )  # fmt: skip


def batch(streams=("rgb", "uv"), n=N, seed=1):
    make = torch.Generator().manual_seed(seed)
    inputs = {name: torch.randn(n, 2, 8, 8, generator=make) * (i + 1) for i, name in enumerate(streams)}
    return Batch.of(inputs, {"species": torch.arange(n) % K})


def stepped(one, groups, kind="ogm_ge", alpha=0.7, end=1.0, start=0, scale=None, progress=0.0):
    balance = None if kind is None else Balance(one, kind, alpha, end)
    scaler = torch.amp.GradScaler("cpu", enabled=scale is not None, init_scale=scale or 1.0)
    update = Step(one, sgd(one, momentum=0.0), scaler, lambda b, *_: b, CPU, "fp32", 5, None, balance=balance)
    for group in update.optimizer.param_groups:
        group["lr"] = 0.1
    return [update(group, start + i, 0, progress)[0] for i, group in enumerate(groups)]


def gradient(one, given, **knobs):
    """The gradient that the optimizer would see, by name."""
    balance = Balance(one, **knobs)
    one.train()
    one(given)["total"].backward()
    before = {k: p.grad.clone() for k, p in one.named_parameters()}
    told = balance.modulate(7, 0.0)
    return before, {k: p.grad for k, p in one.named_parameters()}, {k: float(v) for k, v in told.items()}


def seen(one, given):
    """What the classifier of each stream reads."""
    return {name: f.pooled.detach() for name, f in one.features(given).items()}


def test_factors_are_the_papers():
    one, given, alpha = system(), batch(), 0.7
    before, after, told = gradient(one, given, kind="ogm", alpha=alpha, end=1.0)
    features, score = seen(one, given), {}
    for name in ("rgb", "uv"):
        logits = one.heads["late_fusion"].experts[name](features[name]).detach()
        score[name] = sum(float(logits[i].softmax(0)[i % K]) for i in range(N))
    rho = {"rgb": score["rgb"] / score["uv"], "uv": score["uv"] / score["rgb"]}
    for name, r in rho.items():
        k = 1 - math.tanh(alpha * r) if r > 1 else 1.0  # eq. 10
        assert told[f"balance/{name}"] == pytest.approx(k, rel=1e-5)
        for key, grad in before.items():
            if key.startswith(f"backbones.each.{name}."):
                torch.testing.assert_close(after[key], grad * k)
    assert sorted(told.values())[0] < 1 == sorted(told.values())[1]
    heads = [k for k in before if not k.startswith("backbones.")]
    assert all(torch.equal(before[k], after[k]) for k in heads)


def test_it_is_the_authors_loop_where_a_linear_classifier_reads_the_streams_apart():
    """Their softmax of W_m z_m + b / 2, with their relu and sums; noise by the deviation of the whole gradient."""
    one, given = system(), batch()
    before, after, told = gradient(one, given, kind="ogm_ge", alpha=0.7, end=1.0)
    experts, features = one.heads["late_fusion"].experts, seen(one, given)
    out = {n: experts[n](features[n]).detach() for n in ("rgb", "uv")}
    label = given.targets["species"]
    score = {n: sum(F.softmax(x, dim=1)[i][label[i]] for i in range(N)) for n, x in out.items()}
    ratio = score["rgb"] / score["uv"]
    if ratio > 1:
        coeff = {"rgb": 1 - torch.tanh(0.7 * torch.relu(ratio)), "uv": torch.tensor(1.0)}
    else:
        coeff = {"rgb": torch.tensor(1.0), "uv": 1 - torch.tanh(0.7 * torch.relu(1 / ratio))}
    for name, k in coeff.items():
        assert told[f"balance/{name}"] == pytest.approx(float(k), rel=1e-5)
        for key in (k for k in before if k.startswith(f"backbones.each.{name}.")):
            noise = after[key] - before[key] * k
            if before[key].ndim > 1:  # their test is of 4 dimensions, of convolutions
                assert noise.std() == pytest.approx(float(before[key].std()), rel=0.35)
            else:
                torch.testing.assert_close(noise, torch.zeros_like(noise), atol=1e-7, rtol=0)


def test_each_flag_changes_the_weights_as_it_says():
    start = system()
    ends = {}
    for name, knobs in {
        "none": {"kind": None}, "ogm": {"kind": "ogm"}, "ogm_ge": {}, "alpha": {"kind": "ogm", "alpha": 2.0},
        "over": {"end": 0.5, "progress": 0.5},
    }.items():  # fmt: skip
        one = copy.deepcopy(start)
        stepped(one, [[batch()]], **knobs)
        ends[name] = torch.cat([p.detach().flatten() for p in one.backbones.parameters()])
    assert torch.equal(ends["none"], ends["over"])
    different = ["none", "ogm", "ogm_ge", "alpha"]
    assert all(not torch.equal(ends[a], ends[b]) for i, a in enumerate(different) for b in different[:i])


def test_three_streams_are_compared_with_the_mean_of_the_others_and_rows_that_lack_one_are_left_out():
    names = ("rgb", "uv", "nir")
    one, given = system(names, Classifier, FUSED, Concat), batch(names)
    given = given.replace(
        present={**given.present, "uv": torch.arange(N) != 1},
        targets={"species": torch.tensor([0, 1, -1, 0, 1, 2])},
    )
    _, _, told = gradient(one, given, kind="ogm", alpha=0.4, end=1.0)
    one.eval()
    features, score = one.features(given), {}
    for name in names:
        logits = one.heads["classifier"](one.fusion(alone(features, name)), given)
        score[name] = sum(float(logits[i].softmax(0)[int(given.targets["species"][i])]) for i in (0, 3, 4, 5))
    for name in names:
        rho = score[name] / (sum(v for k, v in score.items() if k != name) / 2)
        assert told[f"balance/{name}"] == pytest.approx(1 - math.tanh(0.4 * rho) if rho > 1 else 1.0, rel=1e-5)


def test_fp16_accumulation_and_a_resume_change_nothing():
    whole, parts, scaled = (system() for _ in range(3))
    given = batch()
    half = [given.map(lambda x: x[:3]), given.map(lambda x: x[3:])]
    told = [stepped(one, [group])[0] for one, group in ((whole, [given]), (parts, half))]
    for k in ("balance/rgb", "balance/uv"):
        torch.testing.assert_close(told[0][k], told[1][k])
    state = dict(whole.named_parameters())
    for k, p in parts.named_parameters():
        torch.testing.assert_close(p, state[k], rtol=1e-4, atol=1e-5)
    # the loss scale is out of the gradient before it is changed
    stepped(scaled, [[given]], scale=1024.0)
    for k, p in scaled.named_parameters():
        torch.testing.assert_close(p, state[k], rtol=1e-4, atol=1e-5)
    # the second step is the same after a restart: nothing is kept between steps
    again = copy.deepcopy(whole)
    stepped(whole, [[given], [given]], start=1)
    stepped(again, [[given]], start=1)
    stepped(again, [[given]], start=2)
    assert all(torch.equal(p, q) for p, q in zip(whole.parameters(), again.parameters(), strict=True))


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ({"streams": ("rgb",)}, "a trained encoder for each of two streams or more, found one of rgb"),
        ({"backbone": Shared}, "found one of none"),
        ({"head": Projection, "loss": VIEWS}, "needs a head that tells a class"),
        ({"head": Classifier, "loss": FUSED, "fusion": ModalityTokens}, "and this one changes the streams"),
    ],
)
def test_what_cannot_be_balanced_is_refused_when_it_is_built(words, said):
    with pytest.raises(ValueError, match=said):
        Balance(system(**words), "ogm_ge", 0.3, 0.5)

"""Parts of a batch, joined for heads and losses, give the value and the gradient of the whole."""

import os
import re
from dataclasses import replace
from functools import partial
from pathlib import Path

import forked
import pytest
import torch
import torch.distributed as td
from omegaconf import OmegaConf
from torch import nn

from multimodal_lab.backbone.temporal_conv import TemporalConv
from multimodal_lab.config.instantiate import safe_instantiate
from multimodal_lab.fusion.concat import Concat
from multimodal_lab.fusion.separate import Separate
from multimodal_lab.head.caption_lstm import CaptionLSTM
from multimodal_lab.head.classifier import Classifier
from multimodal_lab.head.factorcl import FactorCL
from multimodal_lab.head.late_fusion import LateFusion
from multimodal_lab.head.match import Match
from multimodal_lab.head.projection import Projection
from multimodal_lab.head.regressor import Regressor
from multimodal_lab.head.segment import Segment
from multimodal_lab.head.separator import Separator
from multimodal_lab.head.subsets import Subsets
from multimodal_lab.head.tokens import Tokens
from multimodal_lab.optim import optimizers
from multimodal_lab.system import System
from multimodal_lab.train import gradcache
from multimodal_lab.train.config import TrainConfig
from multimodal_lab.train.ema import Teacher
from multimodal_lab.train.step import Step
from multimodal_lab.types import Band, Batch, Features, Stream

EVERY = sorted((Path(__file__).parents[2] / "conf" / "loss").glob("*.yaml"))
SOUNDS = [p for p in EVERY if "out.separator" in p.read_text()]  # of waves, which a system of vectors has none of
LOSSES = [p for p in EVERY if p not in SOUNDS]
OF_ALL_RANKS = [p for p in LOSSES if p.stem != "match"]  # its negatives are mined in each rank's own batch
NEEDS_TWO = {"clip", "siglip", "triplet", "match", "factorcl", "moco"}
NUMBERS = dict.fromkeys(("mass", "depth"), (torch.zeros(1), torch.ones(1)))
HEADS = {
    "regressor": partial(Regressor, label="mass", dropout=0.0),
    "projection": partial(Projection, dim=6, hidden=8, norm="batch"),
    "classifier": partial(Classifier, label="species", dropout=0.0),
    "late_fusion": partial(LateFusion, label="species", dropout=0.0),
    "match": partial(Match, by="projection", width=8, heads=2, layers=1),
    "tokens": partial(Tokens),
    "subsets": partial(Subsets, dim=6, hidden=8),
    "factorcl": partial(FactorCL, dim=6, hidden=8),
    "caption_lstm": partial(CaptionLSTM, vocab=7, width=8, embed=5, dropout=0.0, input="a"),
    "segment": partial(Segment, label="cover", width=8),
}
N, VIEWS, ROWS = 7, 2, 4  # 14 rows in parts of 4, the last ragged


class Encoder(nn.Module):
    """Two tokens a row side by side, dropped out, and a finer map of twice as many places each way."""

    def __init__(self, stream, dropout=0.0):
        super().__init__()
        self.dim, self.levels, self.give_levels = 8, (8,), False
        self.first, self.second = nn.Linear(stream.channels, 16), nn.Linear(8, 8)
        self.dropout = nn.Dropout(dropout)
        self.words = nn.Embedding(7, 8)

    def forward(self, x):
        tokens = self.dropout(self.second(torch.tanh(self.first(x)).unflatten(1, (2, 8))))
        finer = tokens.transpose(1, 2).unflatten(2, (1, 2)).repeat_interleave(2, 2).repeat_interleave(2, 3)
        found = Features.from_tokens(tokens, grid=(1, 2))
        return replace(found, levels=(finer.sin(),)) if self.give_levels else found


def system(loss, names=("a", "b"), dropout=0.0):
    head = re.search(r"out\.(\w+)", loss.read_text()).group(1)
    numbers = "std." in loss.read_text()
    label = {"regressor": "mass", "segment": "depth" if numbers else "cover"}.get(head, "species")
    config = OmegaConf.create({"label": label, "loss": OmegaConf.load(loss)})
    if "dim" in config.loss.fn:
        config.loss.fn.dim = 6
    made = HEADS[head]
    first, heads = (HEADS["projection"], {head: made}) if head == "match" else (made, {})
    more = {"variance": True} if loss.stem == "gaussian_nll" else {"label": label} if head == "segment" else {}
    streams = {n: Stream(n, "vector", tuple(Band(f"{n}{i}") for i in range(5))) for n in names}
    torch.manual_seed(0)
    built = System(
        streams,
        {"species": 3, "cover": 3, "depth": 0},
        backbone=partial(Encoder, dropout=dropout),
        fusion=partial(Concat, width=8),
        head=partial(first, **more),
        heads=heads,
        loss=safe_instantiate(config.loss),
        numbers=NUMBERS,
    )
    return taught(built, loss)


def taught(built, loss):
    """With a teacher, where a loss hears one."""
    if "teacher." in loss.read_text():
        built.teacher = Teacher(built, 0.9)
        with torch.no_grad():  # so that it says something else
            for p in built.teacher.parameters():
                p.mul_(0.9)
    return built


def batch(names=("a", "b"), n=N, seed=1, dtype=torch.float64):
    make = torch.Generator().manual_seed(seed)
    rows, ids = n * VIEWS, torch.arange(n).repeat(VIEWS)
    here = torch.rand(n, len(names), generator=make) < 0.7
    here[0] = True
    here = here.repeat(VIEWS, 1)
    tokens = torch.randint(0, 7, (rows, 5), generator=make)
    return Batch(
        {name: torch.randn(rows, 5, generator=make, dtype=torch.float64).to(dtype) for name in names},
        {
            "species": ids % 3,
            "caption": tokens,
            "masked_words": tokens[:, :2] - 1,
            "mass": torch.randn(rows, generator=make),
            "cover": torch.randint(-1, 3, (rows, 2, 4), generator=make),
            "depth": torch.randn(rows, 2, 4, generator=make),
        },
        {name: here[:, i] for i, name in enumerate(names)},
        ids,
        ids,
    )


def gradients(model):
    return {k: p.grad.clone() for k, p in model.named_parameters() if p.grad is not None}


def by_parts(model, whole, rows=ROWS):
    terms = gradcache.backward(model, whole, 0.3, rows=rows, scaled=lambda x: 3 * x)
    return terms["total"].detach(), gradients(model)


def at_once(model, whole):
    total = model(whole, 0.3)["total"]
    (3 * total).backward()
    return total.detach(), gradients(model)


def assert_equal(ours, theirs, rtol):
    assert ours[1].keys() == theirs[1].keys()
    # Some gradients are exactly zero (a shift that a batch norm takes away) and come out as rounding of the others.
    largest = max(float(g.abs().max()) for g in theirs[1].values())
    torch.testing.assert_close(ours[0], theirs[0], rtol=rtol, atol=0)
    for name, g in theirs[1].items():
        torch.testing.assert_close(ours[1][name], g, rtol=0, atol=rtol * largest, msg=name)


@pytest.mark.parametrize("names", [("a",), ("a", "b"), ("a", "b", "c")], ids=len)
@pytest.mark.parametrize("loss", LOSSES, ids=lambda p: p.stem)
def test_parts_are_the_whole_for_every_loss(loss, names):
    if loss.stem in NEEDS_TWO and len(names) == 1:
        with pytest.raises(ValueError, match="compares two streams or more"):
            by_parts(system(loss, names).double(), batch(names))
        return
    # In float32 the whole batch at once is itself up to 2e-6 away from float64, and parts 1.4e-5 without fused multiply-add.
    plain = torch.backends.cpu.get_cpu_capability() == "DEFAULT"
    close = {torch.float64: 1e-12, torch.float32: 5e-5 if plain else 5e-6}
    for dtype in [*close] if len(names) == 2 else [torch.float64]:
        found, expected = (run(system(loss, names).to(dtype), batch(names, dtype=dtype)) for run in (by_parts, at_once))
        assert any(g.abs().max() > 0 for g in expected[1].values())
        assert_equal(found, expected, close[dtype])


def test_each_part_by_itself_is_not_the_whole():
    """What plain accumulation gives: other negatives, another gradient."""
    loss = next(p for p in LOSSES if p.stem == "simclr")
    whole, model = batch(), system(loss).double()
    expected = at_once(system(loss).double(), whole)
    for i in range(0, len(whole), ROWS):
        model(gradcache.part(whole, slice(i, i + ROWS)), 0.3)["total"].backward()
    with pytest.raises(AssertionError):
        assert_equal((expected[0], gradients(model)), expected, 1e-3)


def test_dropout_draws_the_same_in_both_passes():
    loss = next(p for p in LOSSES if p.stem == "clip")
    whole = batch()
    model, other = (system(loss, dropout=0.5).double() for _ in range(2))
    torch.manual_seed(5)
    found = by_parts(model, whole)
    torch.manual_seed(5)
    parts = [gradcache.part(whole, slice(i, i + ROWS)) for i in range(0, len(whole), ROWS)]
    features = [other.features(one) for one in parts]  # with a graph, all of it in memory
    joined = {
        n: Features(*(torch.cat([getattr(f[n], key) for f in features]) for key in ("tokens", "pooled", "mask")))
        for n in features[0]
    }
    total = other.judge(joined, whole, 0.3)["total"]
    (3 * total).backward()
    assert_equal(found, (total.detach(), gradients(other)), 1e-12)


def test_running_statistics_move_once_a_part_and_a_frozen_backbone_is_passed_over():
    loss = next(p for p in LOSSES if p.stem == "clip")
    model = system(loss).double()
    model.backbones.each["a"].second = nn.Sequential(nn.Linear(8, 8), nn.Flatten(0, 0), nn.BatchNorm1d(2)).double()
    for p in model.backbones.each["b"].parameters():
        p.requires_grad_(False)
    by_parts(model, batch())
    assert model.backbones.each["a"].second[2].num_batches_tracked == 4
    assert model.backbones.each["b"].first.weight.grad is None
    assert model.backbones.each["a"].first.weight.grad.abs().max() > 0
    assert model.heads["projection"].own["a"].batch.running_mean.abs().max() > 0


@pytest.mark.parametrize("loss", SOUNDS, ids=lambda p: p.stem)
def test_parts_of_separated_sounds_are_the_whole(loss):
    """In float32, as the head transforms in it; rows that lack the sound or are asked for silence do not count."""
    make = torch.Generator().manual_seed(0)
    sources = torch.randn(14, 2, 40, generator=make)
    sources[3, 0] = 0
    present = torch.arange(14) != 5
    valid = {"a": present[:, None].expand(-1, 40)}
    targets = {"species": torch.arange(14) % 3, "sources": torch.where(present[:, None, None], sources, torch.nan)}
    whole = Batch.of({"a": sources.sum(1, keepdim=True)}, targets).replace(present={"a": present}, valid=valid)
    found = []
    for run in (by_parts, at_once):
        config = OmegaConf.create({"loss": OmegaConf.load(loss)})
        if "hop_length" in config.loss:
            config.loss.hop_length = 4
        torch.manual_seed(0)
        head = partial(Separator, sound="a", condition="species", n_fft=8, hop_length=4, width=8, layers=1, dropout=0.0)
        built = System(
            {"a": Stream("a", "vector", (Band("mono"),), steps=40)}, {"species": 3}, fusion=partial(Separate), head=head,
            backbone=partial(TemporalConv, widths=[4], stride=2), loss=safe_instantiate(config.loss),
        )  # fmt: skip
        found.append(run(built, whole))
    assert any(g.abs().max() > 1e-4 for g in found[1][1].values())
    assert_equal(*found, 5e-5)


def step(composed, **knobs):
    cfg = composed("fusion.dropout=0", "fusion.width=16", "loss=cross_modal")
    torch.manual_seed(0)
    made = safe_instantiate(cfg.system)({n: Stream(n, bands=(Band("x"),) * 3, size=16) for n in "ab"}, {"species": 3})
    scaler = torch.amp.GradScaler("cpu", enabled=False)
    return Step(
        made,
        optimizers.adamw(made, lr=1e-3),
        scaler,
        lambda b, seed, epoch: b,
        torch.device("cpu"),
        "fp32",
        0,
        1.0,
        **knobs,
    )


def test_a_step_by_parts_is_the_step(composed):
    images = torch.randn(2, 12, 3, 16, 16, generator=torch.Generator().manual_seed(0))
    ids, here = torch.arange(6).repeat(2), torch.ones(12, dtype=torch.bool)
    whole = Batch({"a": images[0], "b": images[1]}, {"species": ids % 3}, {"a": here, "b": here}, ids, ids)
    results = []
    for knobs in ({}, {"micro_batch": 5}):
        s = step(composed, **knobs)
        seen = []
        s.system.backbones.register_forward_hook(lambda m, x, out, seen=seen: seen.append(len(x[0]["a"])))
        terms = s.gradient([whole, whole], 0, 0, 0.0)
        results.append((terms["total"], gradients(s.system)))
        assert max(seen) == knobs.get("micro_batch", 12)
    assert_equal(*reversed(results), 1e-5)


def test_compile_with_parts_is_refused():
    with pytest.raises(ValueError, match=r"train\.compile and train\.micro_batch"):
        TrainConfig(compile=True, micro_batch=4)


def worker(rank, port, folder):
    os.environ |= {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port)}
    torch.set_num_threads(1)
    td.init_process_group("gloo", rank=rank, world_size=2)
    found = {}
    for loss in OF_ALL_RANKS:
        model = system(loss).double()
        total, _ = by_parts(model, batch_of(rank), rows=3)
        gradcache.average(model)
        td.all_reduce(total)
        found[loss.stem] = total / 2, gradients(model)
    torch.save(found, f"{folder}/{rank}.pt")
    td.destroy_process_group()


def batch_of(rank):
    """Four of eight samples, both views; rows 0-3 and 8-11 of the whole, or the others."""
    whole = batch(n=8)
    rows = torch.cat([torch.arange(4), torch.arange(8, 12)]) + 4 * rank
    return gradcache.part(whole, rows)


def test_two_processes_by_parts_are_one_at_once(tmp_path):
    forked.meeting(worker, str(tmp_path))
    ranks = [torch.load(tmp_path / f"{rank}.pt", weights_only=True) for rank in (0, 1)]
    for loss in OF_ALL_RANKS:
        expected = at_once(system(loss).double(), batch(n=8))
        for found in ranks:
            assert_equal(found[loss.stem], expected, 1e-10)

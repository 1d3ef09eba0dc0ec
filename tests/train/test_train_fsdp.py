"""Two gloo ranks that hold a piece of the system each: DDP's numbers, exact resumes, whole checkpoints."""

import json
import math
import os
import signal
import warnings

import forked
import pytest
import torch
import torch.distributed as td
from safetensors.torch import load_file
from torch import nn

from multimodal_lab.adapt.freeze import freeze
from multimodal_lab.build import build
from multimodal_lab.checkpoint import store
from multimodal_lab.checkpoint.store import CheckpointStore
from multimodal_lab.config.instantiate import safe_instantiate
from multimodal_lab.device import distributed
from multimodal_lab.keyed import Keyed
from multimodal_lab.log.log import Log
from multimodal_lab.optim import optimizers
from multimodal_lab.optim.schedule import set_rates
from multimodal_lab.system import System
from multimodal_lab.train import fsdp, loop
from multimodal_lab.train.config import TrainConfig
from multimodal_lab.train.dtensor import local, own_piece, whole
from multimodal_lab.train.interrupt import Interrupted
from multimodal_lab.train.loop import fit

WORDS = (
    "data.source.individuals=32", "data.source.size=16", "data.batch_size=8", "backbone.widths=[8,16]", "fusion.width=16",
    "fusion.layers=2", "augment=none",
    "loss.temperature={_target_:multimodal_lab.loss.schedule.LearnedScalar,init:0.2,low:0.01,high:1.0}",
)  # fmt: skip
STEPS = 3

pytestmark = pytest.mark.slow  # two and three ranks, trained in pieces: a minute


class Again(nn.Module):
    """A head that holds a whole backbone, and reads one of its weights by itself."""

    def __init__(self, dims, backbones):
        super().__init__()
        self.rgb = backbones["rgb"]
        self.own = nn.Linear(dims["rgb"], 3)

    def forward(self, features, batch):
        return self.own(self.rgb(batch.inputs["rgb"]).pooled) + next(self.rgb.parameters()).sum()


class Bench:
    """Data prepared once, and one small training after the other over them."""

    def __init__(self, cfg, base):
        self.cfg, self.base, self.tied = cfg, base, False
        self.data = safe_instantiate(cfg.data).prepare(safe_instantiate(cfg.modality), 0)

    def build(self):
        torch.manual_seed(0)
        classes = {k: len(v) for k, v in self.data.classes.items()}
        self.system = safe_instantiate(self.cfg.system)(self.data.streams, classes)
        if self.tied:
            self.system.heads["again"] = Again(self.system.dims, self.system.backbones.by_stream())
            self.system.losses["again"] = Keyed(lambda x: x.square().mean(), x="out.again")
            freeze(self.system, modules=["backbones.each.uv"])

    def fit(self, name, *, rule=optimizers.sgd, lr=0.1, validate=lambda: {}, resume="never", **knobs):
        self.build()
        augment = build(safe_instantiate(self.cfg.augment), streams=self.data.streams)
        folder = self.base / name
        folder.mkdir(exist_ok=True)
        knobs = {"epochs": 9, "max_steps": STEPS, "log_every": 1, "validate_every": 0, **knobs}
        return fit(
            self.system, self.data, rule(self.system, lr=lr), TrainConfig(**knobs), augment=augment, validate=validate,
            log=Log(folder, main=distributed.rank() == 0), store=CheckpointStore(folder / "checkpoints", 2), seed=0,
            device=torch.device("cpu"), facts={"a": 1}, resume=resume,
        )  # fmt: skip


def weights(system):
    return {k: v.clone() for k, v in system.state_dict().items()}


def interrupted(bench, name, at, **knobs):
    """A training that gets SIGTERM, on the last rank only, in step `at`."""
    real, calls = set_rates, []

    def signalling(optimizer, multiplier):
        calls.append(1)
        if len(calls) == at and distributed.rank() == distributed.world() - 1:
            os.kill(os.getpid(), signal.SIGTERM)
        real(optimizer, multiplier)

    loop.set_rates = signalling
    try:
        with pytest.raises(Interrupted, match=f"at step {at}, saved"):
            bench.fit(name, **knobs)
    finally:
        loop.set_rates = real


def diverging(bench, name, **knobs):
    """A training whose loss is not finite on the last rank from its second step on."""
    real = System.forward

    def forward(self, batch, progress=0.0):
        terms = real(self, batch, progress)
        bad = math.nan if progress > 0 and distributed.rank() == distributed.world() - 1 else 1.0
        return {k: v * bad for k, v in terms.items()}

    System.forward = forward
    try:
        with pytest.raises(FloatingPointError, match="has not been finite for 10 steps"):
            bench.fit(name, max_steps=30, **knobs)
    finally:
        System.forward = real


def pieces(bench):
    """Bytes that this rank holds and that all hold, and what the ranks make of buffers, states and gradients."""
    bench.build()
    start = weights(bench.system)
    bench.system.fusion.register_buffer("mark", torch.tensor([float(distributed.rank() + 1)]))
    optimizer = optimizers.sgd(bench.system, lr=0.1)
    total = sum(p.nbytes for p in bench.system.parameters())
    cut = fsdp.Shards(bench.system, optimizer)
    there = sum(local(p.detach()).nbytes for p in cut.system.parameters())
    stored = sum(local(p.detach()).untyped_storage().nbytes() for p in cut.system.parameters())
    cut.share_buffers()
    name, p = next((k, p) for k, p in cut.system.named_parameters() if p.ndim == 2)
    again = whole(own_piece(whole(p.detach()), p.detach()))
    for q in cut.system.parameters():
        q.grad = torch.zeros_like(q)
    local(p.grad).fill_(3.0)
    cut.rest[0].grad.fill_(distributed.rank() + 1)
    cut.scatter_gradients()
    norm = cut.norm().item()
    scaler = torch.amp.GradScaler("cpu", init_scale=2.0)
    scaler.scale(torch.ones(()))
    if distributed.rank() == 1:
        cut.own[name].grad[0, 0] = math.inf
    scaler.unscale_(optimizer)
    cut.sync_found_inf(scaler, optimizer)
    scaler.step(optimizer)
    scaler.update()
    return {
        "total": total, "there": there, "stored": stored, "mark": cut.system.fusion.mark.item(),
        "held": sum(p.nbytes for g in optimizer.param_groups for p in g["params"]),
        "home": sum(p.nbytes for p in bench.system.parameters()),
        "empty": sum(p.numel() == 0 for p in cut.own.values()), "scalars": len(cut.rest),
        "modules": [k for k, m in cut.system.named_modules() if type(m).__name__.startswith("FSDP")],
        "same": torch.equal(again, start[name]), "norm": norm, "expected": math.sqrt(9 * p.numel() + 1.5**2),
        "scale": scaler.get_scale(), "moved": not torch.equal(whole(p.detach()), start[name]),
    }  # fmt: skip


def worker(rank, port, base, cfg):
    os.environ |= {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port), "RANK": str(rank), "WORLD_SIZE": "2"}
    torch.set_num_threads(1)
    warnings.simplefilter("ignore")
    td.init_process_group("gloo", rank=rank, world_size=2)
    fsdp.SMALLEST = 2000
    bench, found = Bench(cfg, base), {}
    for name, on in (("plain", False), ("cut", True)):
        bench.fit(name, shard=on, **KNOBS)
        found[name] = weights(bench.system)
        bench.fit(f"{name}_half", shard=on, precision="fp16", rule=optimizers.adamw, lr=1e-3)
        found[f"{name}_half"] = weights(bench.system)
    exact = {"rule": optimizers.adamw, "lr": 1e-3, "shard": True, "ema": 0.9, "accumulate_steps": 2}
    bench.fit("whole", **exact)
    interrupted(bench, "parts", 2, **exact)
    found["left"] = sum(p.numel() for p in bench.system.parameters())
    bench.fit("parts", resume="auto", **exact)
    interrupted(bench, "cut_first", 2, shard=True, **KNOBS)
    interrupted(bench, "plain_first", 2, **KNOBS)
    bench.fit("plain_first", shard=True, resume="auto", **KNOBS)
    found["plain_first"] = weights(bench.system)
    seen = []
    look = {"validate": lambda: seen.append(weights(bench.system)) or {"val/x": 1.0}, "validate_every": 1}
    bench.fit("looked", shard=True, monitor="val/x", **look, **KNOBS)
    found["looked"], found["seen"] = weights(bench.system), seen
    diverging(bench, "bad", shard=True)
    found["pieces"] = pieces(bench)
    bench.tied = True
    for name, on in (("tied_plain", False), ("tied_cut", True)):
        bench.fit(name, shard=on, save="trained", **KNOBS)
        found[name] = weights(bench.system)
    interrupted(bench, "tied_parts", 2, shard=True, save="trained", **KNOBS)
    bench.fit("tied_parts", shard=True, save="trained", resume="auto", **KNOBS)
    found["tied_parts"] = weights(bench.system)
    torch.save(found, base / f"{rank}.pt")
    td.destroy_process_group()


KNOBS = {"accumulate_steps": 2, "ema": 0.9, "clip_norm": 0.1}


@pytest.fixture(scope="module")
def trained(composed, tmp_path_factory):
    """The folder of every training above, what each rank found, and a bench for one process."""
    cfg, base = composed(*WORDS), tmp_path_factory.mktemp("ranks")
    forked.meeting(worker, base, cfg)
    return base, [torch.load(base / f"{rank}.pt", weights_only=True) for rank in (0, 1)], Bench(cfg, base)


def close(a, b, tolerance=1e-6):
    assert a.keys() == b.keys()
    for k, v in a.items():
        torch.testing.assert_close(v, b[k], rtol=0, atol=tolerance, msg=lambda m, k=k: f"{k}: {m}")


def losses(folder):
    found = [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]
    return [r[key] for r in found for key in ("train/total", "train/grad_norm")]


def last(folder):
    return CheckpointStore(folder / "checkpoints", 2).all()[-1]


def bits(folder):
    return {p.name: p.read_bytes() for p in last(folder).glob("*.safetensors")}


def test_two_ranks_in_pieces_are_two_ranks_of_ddp_and_one_process(trained):
    base, ranks, bench = trained
    bench.fit("alone", **KNOBS)
    alone = weights(bench.system)
    for found in ranks:
        close(found["cut"], found["plain"])
        close(found["cut"], alone)
    assert len(losses(base / "cut")) == 2 * STEPS
    assert min(losses(base / "cut")[1::2]) > KNOBS["clip_norm"]
    for other in ("plain", "alone"):
        assert losses(base / "cut") == pytest.approx(losses(base / other), rel=1e-6)


def test_half_precision_scales_and_steps_as_under_ddp(trained):
    base, ranks, _ = trained
    close(ranks[0]["cut_half"], ranks[0]["plain_half"], 1e-3)
    states = [json.loads((last(base / n) / "state.json").read_text())["scaler"] for n in ("cut_half", "plain_half")]
    assert states[0] == states[1]


def test_a_checkpoint_is_whole_and_as_one_process_would_write_it(trained):
    base, ranks, _ = trained
    one, two = (last(base / n) for n in ("cut", "plain"))
    names = {p.name for p in one.iterdir()}
    assert names == {p.name for p in two.iterdir()} >= {"model.safetensors", "optimizer.safetensors", "ema.safetensors"}
    for name in names:
        if name.endswith("safetensors"):
            close(load_file(one / name), load_file(two / name), 1e-5)
    close({k.removeprefix("weights."): v for k, v in load_file(one / "ema.safetensors").items()}, ranks[0]["cut"], 0)


def test_a_run_in_pieces_stopped_and_resumed_ends_with_the_same_bits(trained):
    base, ranks, _ = trained
    assert bits(base / "parts") == bits(base / "whole")
    assert losses(base / "parts") == losses(base / "whole")
    assert ranks[0]["left"] == 0  # the caller's system is empty while its twin trains


def test_a_checkpoint_goes_on_in_pieces_or_not_and_with_another_world(trained):
    base, ranks, bench = trained
    close(ranks[1]["plain_first"], ranks[1]["plain"])
    bench.fit("cut_first", resume="auto", **KNOBS)
    close(weights(bench.system), ranks[0]["cut"])
    store.load_weights(last(base / "cut"), bench.system)
    close(weights(bench.system), ranks[0]["cut"], 0)


def test_shared_and_frozen_weights_in_pieces_are_those_of_ddp(trained):
    base, ranks, _ = trained
    for found in ranks:
        close(found["tied_cut"], found["tied_plain"])
        close(found["tied_parts"], found["tied_cut"], 0)
        assert not [k for k in found["tied_cut"] if k.startswith("heads.again.rgb")]
    saved = load_file(last(base / "tied_cut") / "model.safetensors")
    close(saved, load_file(last(base / "tied_plain") / "model.safetensors"))
    assert not [k for k in saved if k.startswith("backbones.each.uv") and k.endswith("weight")]


def test_rank_0_validates_alone_with_all_the_weights(trained):
    _, ranks, _ = trained
    assert ranks[1]["seen"] == []
    close(ranks[0]["seen"][-1], ranks[0]["looked"], 0)
    for found in ranks:
        close(found["looked"], found["cut"], 0)  # looking changes nothing


def test_what_is_not_finite_on_one_rank_stops_all_and_whole_weights_are_kept(trained):
    base, ranks, _ = trained
    kept = [load_file(base / "bad" / f"bad_batch_{rank}" / "model.safetensors") for rank in (0, 1)]
    close(kept[0], kept[1], 0)
    assert {k: v.shape for k, v in kept[0].items()} == {k: v.shape for k, v in ranks[0]["cut"].items()}
    assert all(v.isfinite().all() for v in kept[0].values())


def test_each_rank_holds_its_share(trained):
    _, ranks, _ = trained
    found = [r["pieces"] for r in ranks]
    total = found[0]["total"]
    scalars = found[0]["scalars"] * 4
    assert scalars
    assert sum(f["there"] - scalars for f in found) == total - scalars
    for f in found:
        assert f["there"] == f["held"]
        assert f["there"] <= f["stored"] < 0.55 * total
        assert f["home"] == 0
        assert f["mark"] == 1.0  # rank 0's
        assert f["same"]


def test_gradients_and_overflows_count_over_all_pieces(trained):
    for found in (r["pieces"] for r in trained[1]):
        assert found["norm"] == pytest.approx(found["expected"], rel=1e-6)  # the scalar's gradients, 1 and 2, are 1.5
        assert found["scale"] == 1.0  # halved, though only rank 1 saw the overflow
        assert not found["moved"]


def test_blocks_backbones_fusion_heads_and_the_rest_are_cut_apart(trained):
    modules = trained[1][0]["pieces"]["modules"]
    assert {"", "backbones.each.rgb", "backbones.each.uv", "fusion", "heads.projection"} <= set(modules)
    assert [m for m in modules if m.startswith("fusion.")] == ["fusion.blocks.0", "fusion.blocks.1"]


def test_a_block_is_a_large_member_of_a_list_that_shares_nothing_outside():
    tied = nn.Linear(9, 9)
    net = nn.ModuleDict({
        "list": nn.ModuleList([nn.Linear(9, 9), nn.Linear(2, 2), tied]),
        "deep": nn.Sequential(nn.Sequential(nn.Linear(9, 9), nn.ReLU())),
        "plain": nn.Linear(9, 9),
        "twin": nn.ModuleDict({"tied": nn.Linear(9, 9)}),
    })  # fmt: skip
    net["twin"]["tied"].weight = tied.weight
    names = {id(m): k for k, m in net.named_modules()}
    found = [names[id(m)] for m in fsdp.blocks(net, 90)]
    assert sorted(found) == ["deep.0", "deep.0.0", "list.0"]
    assert found.index("deep.0.0") < found.index("deep.0")


def test_what_cannot_be_is_refused_before_training(trained, monkeypatch):
    bench = trained[2]
    with pytest.raises(ValueError, match=r"train\.shard=true: there is one process"):
        bench.fit("refused", shard=True)
    monkeypatch.setattr(distributed, "world", lambda: 2)
    for key, value in {"micro_batch": 4, "compile": True, "channels_last": True}.items():
        with pytest.raises(ValueError, match=rf"train\.shard=true and train\.{key}={value} can't be together"):
            bench.fit("refused", shard=True, **{key: value})
    assert not (bench.base / "refused" / "metrics.jsonl").exists()

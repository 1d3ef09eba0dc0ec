"""What only a GPU can show; each of these is skipped where there is none."""

import json
import shutil

import pytest
import torch
from safetensors.torch import load_file

from multimodal_lab.augment import draw
from multimodal_lab.loss import contrastive
from multimodal_lab.loss.contrastive import info_nce, nt_xent
from multimodal_lab.loss.siglip import siglip
from multimodal_lab.loss.tiled import float16, gpu, tiles

pytestmark = pytest.mark.skipif(not torch.cuda.is_available(), reason="no GPU here")


def losses(n):
    ids = torch.arange(n, device="cuda") // 2
    here = torch.rand(n, device="cuda") > 0.1
    return {
        "clip": lambda a, b: info_nce(a, b, ids, ids, 0.07, present_a=here),
        "nt_xent": lambda a, b: nt_xent(torch.cat([a, b]), ids.repeat(2), 0.07),
        "decoupled": lambda a, b: nt_xent(torch.cat([a, b]), ids.repeat(2), 0.07, decoupled=True),
        "siglip": lambda a, b: siglip({"a": a, "b": b}, ids, {"a": here, "b": here}, 14.0, -10.0),
    }


def found(loss, a, b):
    a, b = (x.detach().clone().requires_grad_() for x in (a, b))
    value = loss(a, b)
    value.backward()
    return value.detach().double(), a.grad.double(), b.grad.double()


def worst(got, expected):
    return max(float((x - y).norm() / y.norm()) for x, y in zip(got, expected, strict=True))


@pytest.fixture(params=["whole", "tiles", "kernels"])
def path(request, monkeypatch):
    if request.param == "whole":
        return request.param
    monkeypatch.setattr(contrastive, "FEW_ACCELERATED", 0)
    if request.param == "tiles":
        monkeypatch.setattr(gpu, "wanted", lambda x: False)
        monkeypatch.setattr(tiles, "ACCELERATED", 128)
    else:
        monkeypatch.setattr(gpu, "SUMMED", 512)
        monkeypatch.setattr(gpu, "PULLED", 256)
    return request.param


@pytest.mark.parametrize("kind", ["clip", "nt_xent", "decoupled", "siglip"])
@pytest.mark.parametrize(("dtype", "near"), [(torch.float32, 1e-5), (torch.bfloat16, 4e-3), (torch.float16, 1e-3)])
def test_losses_are_float64s(path, kind, dtype, near):
    """The inputs' own rounding is in both; bf16's gradient is rounded to bf16 at the end."""
    torch.manual_seed(0)
    n = 700  # no multiple of a tile's edge
    loss = losses(n)[kind]
    a = torch.randn(n, 96, device="cuda")
    a, b = (a + 0.5 * torch.randn_like(a)).to(dtype), a.to(dtype)
    exact = found(loss, a.double(), b.double())
    assert gpu.wanted(a.half()) is (path != "tiles")
    assert float16.wanted(a) is (dtype in (torch.bfloat16, torch.float16))
    assert worst(found(loss, a, b), exact) < near


@pytest.mark.parametrize(
    "words", [("fp32",), ("bf16",), ("fp16",), ("bf16", "train.compile=true", "train.channels_last=true")]
)
def test_a_run_learns_on_the_gpu(cli, tmp_path, words):
    precision, *more = words
    cli(f"train.precision={precision}", f"dir={tmp_path / 'run'}", "train.max_steps=12", *more)
    summary = json.loads((tmp_path / "run" / "summary.json").read_text())
    assert summary["provenance/device"] == torch.cuda.get_device_name()
    lines = [json.loads(line) for line in (tmp_path / "run" / "metrics.jsonl").read_text().splitlines()]
    told = [line["train/total"] for line in lines if "train/total" in line]
    assert all(torch.isfinite(torch.tensor(told)))


def weights(folder):
    newest = max((folder / "checkpoints").glob("step_*"))
    return load_file(next(newest.glob("model*.safetensors")))


def test_again_or_resumed_ends_with_the_same_bits(cli, tmp_path):
    once, again = tmp_path / "once", tmp_path / "again"
    words = ("train.precision=bf16", "train.epochs=4")
    cli(*words, f"dir={once}")
    expected = weights(once)
    cli(*words, f"dir={again}")
    for resumed in (False, True):
        if resumed:
            shutil.rmtree(max((again / "checkpoints").glob("step_*")))
            cli(*words, f"dir={again}", "resume=auto")
        assert all(torch.equal(expected[key], x) for key, x in weights(again).items()), f"resumed: {resumed}"


def test_draws_are_the_cpus():
    keys = torch.randint(-(2**63), 2**63 - 1, (300,))
    here, there = draw.Draw(keys), draw.Draw(keys.cuda())
    for word in ("crop", "color_jitter"):
        assert torch.equal(there.fold(word).keys.cpu(), here.fold(word).keys)
        assert torch.equal(there.fold(word).uniform(5).cpu(), here.fold(word).uniform(5))
    assert torch.equal(there.normal(7).cpu(), here.normal(7))

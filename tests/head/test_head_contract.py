"""What every head of conf/head promises; a new file there tests itself."""

from __future__ import annotations

import inspect
import itertools
from pathlib import Path

import pytest
import torch
import yaml

from multimodal_lab.types import Features

CONF = Path(__file__).parents[2] / "conf" / "head"
NAMES = sorted(p.stem for p in CONF.glob("*.yaml"))
VARIANTS = [(n, {}) for n in NAMES] + [
    ("projection", {"shared": True, "norm": "batch"}),
    ("projection", {"norm": "batch"}),
    ("projection", {"norm": "layer", "hidden": 16}),
    ("projection", {"hidden": None}),
    ("classifier", {"kind": "mlp"}),
    ("decision", {"kind": "mlp"}),
    ("decision", {"weights": "uniform"}),
]
IDS = [n + "".join(f",{k}={v}" for k, v in knobs.items()) for n, knobs in VARIANTS]
DIMS = {"a": 8, "b": 12, "c": 8, "d": 5, "fused": 10}
WORDS = torch.tensor([[1, 4, 5, 2, 0], [1, 6, 2, 0, 0]])


def tensors(out):
    return list(out.values()) if isinstance(out, dict) else [out]


def total(out):
    g = torch.Generator().manual_seed(7)
    return sum((x * torch.randn(x.shape, generator=g)).sum() for x in tensors(out))


def words(n: int) -> torch.Tensor:
    return WORDS.repeat(4, 1)[:n]


def test_every_knob_is_in_the_yaml_with_its_default(build):
    facts = {"classes", "self", "dims"}
    for name in NAMES:
        knobs = inspect.signature(type(build(name, {"a": 8}))).parameters
        conf = {k: v for k, v in yaml.safe_load((CONF / f"{name}.yaml").read_text()).items() if not k.startswith("_")}
        assert set(conf) == set(knobs) - facts, name
        given = {k: v for k, v in conf.items() if not str(v).startswith("${")}
        assert given == {k: knobs[k].default for k in given}, name


@pytest.mark.parametrize(("name", "knobs"), VARIANTS, ids=IDS)
def test_gradient_reaches_every_parameter(name, knobs, build, make, batch):
    head = build(name, DIMS, **{**knobs, "dropout": 0.0} if name != "projection" else knobs)
    nothing = {s: torch.arange(8) != 3 for s in DIMS}  # one row has no stream: the prior of the decisions learns
    total(head(make(DIMS, 8, nothing), batch(8, caption=words(8)))).backward()
    zero = [k for k, p in head.named_parameters() if p.grad is None or not p.grad.abs().sum() > 0]
    assert zero == []


@pytest.mark.parametrize("n", [1, 2, 8])
@pytest.mark.parametrize(("name", "knobs"), VARIANTS, ids=IDS)
def test_every_presence_pattern_is_finite(name, knobs, n, build, make, batch):
    head = build(name, DIMS, **knobs)
    patterns = list(itertools.product([False, True], repeat=4))
    for shift, pattern in enumerate(patterns):
        rows = [pattern] + [patterns[(shift * 5 + 3 * i) % len(patterns)] for i in range(1, n)]
        present = {s: torch.tensor([r[i] for r in rows]) for i, s in enumerate("abcd")}
        present["fused"] = torch.stack(list(present.values())).any(0)
        features = make(DIMS, n, present)
        for f in features.values():
            f.pooled.requires_grad_()
        head.zero_grad()
        out = head(features, batch(n, caption=words(n)))
        total(out).backward()
        assert all(torch.isfinite(x).all() for x in tensors(out))
        assert all(p.grad is not None and torch.isfinite(p.grad).all() for p in head.parameters()), pattern
        assert all(f.pooled.grad is None or torch.isfinite(f.pooled.grad).all() for f in features.values())


@pytest.mark.parametrize(("name", "knobs"), VARIANTS, ids=IDS)
def test_a_missing_row_changes_no_other(name, knobs, build, make, batch):
    head = build(name, DIMS, **{**knobs, "dropout": 0.0} if name != "projection" else knobs).train()
    present = {s: torch.tensor([True, True, False, True]) for s in DIMS}
    features = make(DIMS, 4, present)
    full = head(features, batch(4, caption=words(4)))
    kept = torch.tensor([0, 1, 3])
    few = {s: Features(f.tokens[kept], f.pooled[kept], f.mask[kept]) for s, f in features.items()}
    part = build(name, DIMS, **{**knobs, "dropout": 0.0} if name != "projection" else knobs).train()(
        few, batch(3, caption=words(4)[kept])
    )
    for x, y in zip(tensors(full), tensors(part)):
        torch.testing.assert_close(x[kept], y)


@pytest.mark.parametrize("kind", [torch.bfloat16, torch.float16])
@pytest.mark.parametrize(("name", "knobs"), VARIANTS, ids=IDS)
def test_autocast_stays_close_to_full_precision(name, knobs, kind, build, make, batch):
    head = build(name, DIMS, **knobs).eval()
    features, b = make(DIMS, 8), batch(8, caption=words(8))
    full = head(features, b)
    with torch.autocast("cpu", dtype=kind):
        half = head(features, b)
        total(half).backward()
    for x, y in zip(tensors(half), tensors(full)):
        torch.testing.assert_close(x.float(), y, rtol=0.05, atol=0.05)
    assert all(torch.isfinite(p.grad).all() for p in head.parameters() if p.grad is not None)

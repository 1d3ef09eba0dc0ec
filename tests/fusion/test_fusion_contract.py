"""What every fusion of conf/fusion promises; a new file there tests itself."""

from __future__ import annotations

import inspect
import itertools
from pathlib import Path

import pytest
import torch
import yaml

from multimodal_lab.types import Features

CONF = Path(__file__).parents[2] / "conf" / "fusion"
NAMES = sorted(p.stem for p in CONF.glob("*.yaml"))
MIXING = [n for n in NAMES if n != "separate"]
VARIANTS = [(n, {}) for n in NAMES] + [
    ("concat", {"width": 12}),
    ("weighted", {"gate": "sample"}),
    ("attention", {"layers": 2, "dropout": 0.1}),
    ("cross_attend", {"query": "c", "layers": 2}),
    ("modality_tokens", {"width": 16}),
]
IDS = [n + "".join(f",{k}={v}" for k, v in knobs.items()) for n, knobs in VARIANTS]
DIMS = {"a": 8, "b": 12, "c": 8, "d": 5}


def total(out: dict[str, Features]) -> torch.Tensor:
    """A scalar of everything that leaves, with weights that no symmetry cancels."""
    g = torch.Generator().manual_seed(7)
    parts = [x for f in out.values() for x in (f.pooled, f.tokens)]
    return sum((x * torch.randn(x.shape, generator=g)).sum() for x in parts)


def test_every_knob_is_in_the_yaml_with_its_default(build):
    for name in NAMES:
        knobs = inspect.signature(type(build(name, {"a": 8}))).parameters
        conf = {k: v for k, v in yaml.safe_load((CONF / f"{name}.yaml").read_text()).items() if not k.startswith("_")}
        assert conf == {k: p.default for k, p in knobs.items() if p.kind is p.KEYWORD_ONLY}, name


@pytest.mark.parametrize(("name", "knobs"), VARIANTS, ids=IDS)
def test_widths_and_shapes_are_as_claimed(name, knobs, build, make):
    fusion = build(name, DIMS, **knobs)
    out = fusion(make(DIMS, 3))
    assert list(out) == list(fusion.dims) == [*DIMS, *(["fused"] if name != "separate" else [])]
    for stream, f in out.items():
        n, length, width = f.tokens.shape
        assert (n, width) == (3, fusion.dims[stream])
        assert f.pooled.shape == (3, width)
        assert f.mask.shape == (3, length)
        assert f.mask.dtype is torch.bool


@pytest.mark.parametrize(("name", "knobs"), VARIANTS, ids=IDS)
def test_a_single_stream_works(name, knobs, build, make):
    knobs = {k: v for k, v in knobs.items() if k != "query"}
    fusion = build(name, {"a": 8}, **knobs)
    out = fusion(make({"a": 8}, 2, tokens={"a": 1}))
    total(out).backward()
    assert all(torch.isfinite(f.pooled).all() for f in out.values())
    assert all(p.grad is not None and torch.isfinite(p.grad).all() for p in fusion.parameters())


@pytest.mark.parametrize(("name", "knobs"), VARIANTS, ids=IDS)
def test_gradient_reaches_every_parameter_from_fused_alone(name, knobs, build, make):
    if name == "separate":
        assert not list(build(name, DIMS).parameters())
        return
    fusion = build(name, DIMS, **knobs)
    present = {s: torch.arange(8) % 4 != i for i, s in enumerate(DIMS)}  # each misses somewhere: absent vectors learn
    features = make(DIMS, 8, present)
    fused = fusion(features)["fused"].pooled
    (fused * torch.randn(fused.shape, generator=torch.Generator().manual_seed(1))).sum().backward()
    zero = [k for k, p in fusion.named_parameters() if p.grad is None or not p.grad.abs().sum() > 0]
    assert zero == []


@pytest.mark.parametrize(("name", "knobs"), VARIANTS, ids=IDS)
def test_streams_leave_unimodal_and_fused_mixes(name, knobs, build, make):
    fusion = build(name, DIMS, **knobs).eval()
    one, two = make(DIMS, 4, seed=1), make(DIMS, 4, seed=2)
    base = fusion(one)
    for changed in DIMS:
        out = fusion({**one, changed: two[changed]})
        for stream in DIMS:
            same = torch.equal(out[stream].pooled, base[stream].pooled) and torch.equal(
                out[stream].tokens, base[stream].tokens
            )
            assert same == (stream != changed)
            moved = (out[stream].pooled - base[stream].pooled).abs().amax(1)
            assert stream != changed or (moved > 1e-2).all()
        if "fused" in out:
            assert ((out["fused"].pooled - base["fused"].pooled).abs().amax(1) > 1e-4).all(), changed


@pytest.mark.parametrize(("name", "knobs"), VARIANTS, ids=IDS)
def test_a_missing_stream_leaks_nothing(name, knobs, build, make):
    fusion = build(name, DIMS, **knobs).eval()
    for absent in DIMS:
        present = {s: torch.tensor([s != absent, True, s == absent]) for s in DIMS}
        base = fusion(make(DIMS, 3, present, seed=1))
        changed = make(DIMS, 3, present, seed=1)
        # before `keep` the missing rows held something else, NaN at the worst
        garbage = make(DIMS, 3, seed=2)[absent]
        raw, rows = changed[absent], present[absent][:, None]
        tokens = torch.where(rows[..., None], raw.tokens, garbage.tokens * float("nan"))
        pooled = torch.where(rows, raw.pooled, garbage.pooled * 1e6)
        changed[absent] = Features.from_tokens(tokens, pooled).keep(present[absent])
        out = fusion(changed)
        for stream in base:
            assert torch.equal(out[stream].pooled, base[stream].pooled)
            assert torch.equal(out[stream].tokens, base[stream].tokens)
        assert not out[absent].mask[0].any()
        assert not out[absent].pooled[0].any()


@pytest.mark.parametrize(("name", "knobs"), VARIANTS, ids=IDS)
def test_rows_do_not_see_each_other_and_order_of_rows_is_kept(name, knobs, build, make):
    fusion = build(name, DIMS, **knobs).eval()
    present = {s: torch.arange(4) != i for i, s in enumerate(DIMS)}
    features = make(DIMS, 4, present)
    out = fusion(features)
    row = {s: Features(f.tokens[2:3], f.pooled[2:3], f.mask[2:3]) for s, f in features.items()}
    for stream, f in fusion(row).items():
        torch.testing.assert_close(f.pooled, out[stream].pooled[2:3])


@pytest.mark.parametrize("name", MIXING)
def test_padding_tokens_are_not_seen(name, build, make):
    fusion = build(name, DIMS).eval()
    features = make(DIMS, 3)
    f = features["c"]
    mask = f.mask.clone()
    mask[:, -2:] = False

    def padded(value: float) -> Features:
        return Features(torch.where(mask[..., None], f.tokens, torch.tensor(value)), f.pooled, mask)

    low, high = fusion({**features, "c": padded(0.0)}), fusion({**features, "c": padded(50.0)})
    torch.testing.assert_close(low["fused"].pooled, high["fused"].pooled)
    torch.testing.assert_close(low["c"].pooled, high["c"].pooled)


@pytest.mark.parametrize("n", [1, 2, 8])
@pytest.mark.parametrize(("name", "knobs"), VARIANTS, ids=IDS)
def test_every_presence_pattern_is_finite(name, knobs, n, build, make):
    fusion = build(name, DIMS, **knobs)
    patterns = list(itertools.product([False, True], repeat=len(DIMS)))
    for shift, pattern in enumerate(patterns):
        rows = [pattern] + [patterns[(shift * 5 + 3 * i) % len(patterns)] for i in range(1, n)]
        present = {s: torch.tensor([r[i] for r in rows]) for i, s in enumerate(DIMS)}
        features = make(DIMS, n, present)
        fusion.zero_grad()
        out = fusion(features)
        if "fused" in out:
            any_row = torch.stack(list(present.values())).any(0)
            assert torch.equal(out["fused"].present, any_row)
            assert not out["fused"].pooled[~any_row].any()
            total({"fused": out["fused"]}).backward(retain_graph=True)
            assert all(p.grad is not None for p in fusion.parameters()), pattern
        total(out).backward()
        assert all(torch.isfinite(f.pooled).all() and torch.isfinite(f.tokens).all() for f in out.values())
        assert all(torch.isfinite(p.grad).all() for p in fusion.parameters()), pattern


@pytest.mark.parametrize("kind", [torch.bfloat16, torch.float16])
@pytest.mark.parametrize(("name", "knobs"), VARIANTS, ids=IDS)
def test_autocast_stays_close_to_full_precision(name, knobs, kind, build, make):
    fusion = build(name, DIMS, **knobs).eval()
    present = {s: torch.arange(8) % 5 != i for i, s in enumerate(DIMS)}
    present = {s: p & (torch.arange(8) != 7) for s, p in present.items()}  # the last row has nothing
    features = make(DIMS, 8, present)
    full = fusion(features)
    with torch.autocast("cpu", dtype=kind):
        half = fusion(features)
        total(half).backward()
    for stream, f in half.items():
        torch.testing.assert_close(f.pooled.float(), full[stream].pooled, rtol=0.05, atol=0.05)
    assert all(torch.isfinite(p.grad).all() for p in fusion.parameters())


@pytest.mark.parametrize("name", MIXING)
def test_streams_named_fused_and_no_streams_are_refused(name, build):
    with pytest.raises(ValueError, match="'fused'"):
        build(name, {"rgb": 8, "fused": 8})
    with pytest.raises(ValueError, match="at least one stream"):
        build(name, {})


@pytest.mark.parametrize("name", ["attention", "cross_attend", "modality_tokens"])
def test_heads_that_do_not_divide_are_refused_with_those_that_do(name, build):
    with pytest.raises(ValueError, match=rf"fusion={name}: heads=4 doesn't divide width=6; heads that do: 1, 2, 3, 6"):
        build(name, {"a": 6}, width=6)

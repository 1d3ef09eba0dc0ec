import itertools

import pytest
import torch

from multimodal_lab.config.instantiate import safe_instantiate
from multimodal_lab.system import check_used
from multimodal_lab.types import Band, Batch, Stream


def streams(names=("rgb", "uv"), size=16):
    return {
        n: Stream(n, bands=tuple(Band(f"{n}{i}") for i in range(3)), size=size, mean=(0.4,) * 3, std=(0.2,) * 3)
        for n in names
    }


def batch(names=("rgb", "uv"), n=6, size=16, views=2, seed=0):
    g = torch.Generator().manual_seed(seed)
    ids = torch.arange(n).repeat(views)
    rows = n * views
    return Batch(
        {name: torch.rand(rows, 3, size, size, generator=g) for name in names},
        {"species": ids % 3},
        {name: torch.ones(rows, dtype=torch.bool) for name in names},
        ids,
        ids,
    )


def system(composed, *overrides, names=("rgb", "uv")):
    torch.manual_seed(0)
    cfg = composed(*overrides)
    return safe_instantiate(cfg.system)(streams(names), {"species": 3})


def test_widths_flow_from_backbones_to_fusion_to_heads(composed):
    s = system(composed, "fusion=concat", "fusion.width=24", "backbone.widths=[8,20]", "head.dim=7")
    features, out = s.encode(batch())
    assert {k: f.dim for k, f in features.items()} == {"rgb": 20, "uv": 20, "fused": 24} == s.dims
    assert {k: tuple(z.shape) for k, z in out["projection"].items()} == dict.fromkeys(("rgb", "uv", "fused"), (12, 7))


def test_a_stream_may_have_a_backbone_of_its_own(composed):
    s = system(composed, "+backbone@backbones.uv=convnet", "backbones.uv.widths=[8,40]", "fusion=concat")
    assert s.backbones.dims == {"rgb": 16, "uv": 40}


def test_a_shared_backbone_is_built_once_for_all_streams(composed):
    s = system(composed, "backbone=shared", "fusion=modality_tokens")
    assert not len(s.backbones.each)
    assert set(s.backbones.shared.dims) == {"rgb", "uv"}


def test_a_backbone_for_no_stream_is_refused(composed):
    with pytest.raises(ValueError, match=r"backbones\.ir: no such stream"):
        system(composed, "+backbone@backbones.ir=convnet", "backbones.ir.widths=[8]")


def test_the_total_is_the_sum_of_the_weighted_terms(composed):
    s = system(
        composed, "+head@heads.classifier=classifier", "+loss@losses.label=cross_entropy", "losses.label.weight=0.5"
    )
    s.eval()
    terms = s(batch())
    assert set(terms) == {"cross_modal", "cross", "intra", "label", "total"}
    assert terms["cross_modal"].item() == pytest.approx(terms["cross"].item() + 0.5 * terms["intra"].item(), rel=1e-6)
    assert not terms["cross"].requires_grad
    assert terms["total"].item() == pytest.approx(terms["cross_modal"].item() + terms["label"].item(), rel=1e-6)


def test_parts_of_several_terms_are_told_apart(composed):
    words = ["+loss@losses.more=cross_modal_curriculum", "+loss@losses.cross=simclr"]
    s = system(composed, *words)
    assert set(s(batch())) == {"cross_modal", "cross", "more", "total", *(f"{k}/{p}" for k in ("cross_modal", "more")
                                                                          for p in ("cross", "intra"))}  # fmt: skip
    weights = [v for k, v in s.loss_scalars(0.5).items() if k.endswith("_weight")]
    assert sorted(weights) == [0.5, 0.5, 0.5, 1.0]
    assert s.loss_scalars(0.5)["more/cross_weight"] == 0.5


def test_every_part_of_a_used_system_gets_a_gradient(composed):
    s = system(composed)
    s(batch())["total"].backward()
    check_used(s)


def test_a_part_that_nothing_reads_is_named(composed):
    s = system(composed, "+head@heads.extra=projection")
    s(batch())["total"].backward()
    with pytest.raises(ValueError, match=r"composed but unused: heads\.extra\. Does a head or a loss read it"):
        check_used(s)


def test_inputs_are_normalised_by_the_streams_statistics(composed):
    s = system(composed)
    x = batch().inputs["rgb"]
    assert torch.allclose(s.normalise["rgb"](x), (x - 0.4) / 0.2)
    assert "normalise.rgb.mean" in s.state_dict()


@pytest.mark.parametrize(
    "fusion", ["concat", "attention", "weighted", "linear_projection", "cross_attend", "modality_tokens"]
)
def test_a_missing_modality_leaks_nothing_not_even_nan(composed, fusion):
    s = system(composed, f"fusion={fusion}").eval()
    one, two = batch(), batch()
    for b in (one, two):
        b.present["uv"][::2] = False
    two.inputs["uv"][::2] = float("nan")
    a, b = s.features(one), s.features(two)
    for name in a:
        assert torch.equal(a[name].pooled, b[name].pooled)
    assert not a["uv"].present[::2].any()
    assert a["fused"].present.all()


@pytest.mark.parametrize(
    "fusion", ["concat", "attention", "weighted", "linear_projection", "cross_attend", "modality_tokens"]
)
def test_what_rgb_knows_does_not_depend_on_uv(composed, fusion):
    s = system(composed, f"fusion={fusion}").eval()
    one, two = batch(), batch()
    two.inputs["uv"] = torch.rand_like(two.inputs["uv"])
    a, b = s.features(one), s.features(two)
    assert torch.equal(a["rgb"].pooled, b["rgb"].pooled)
    assert torch.equal(a["rgb"].tokens, b["rgb"].tokens)
    assert ((a["fused"].pooled - b["fused"].pooled).abs().amax(1) > 1e-4).all()


CONTRASTIVE = ["simclr", "cross_modal", "clip", "siglip", "supcon", "dcl", "triplet", "vicreg", "barlow_twins"]
SUPERVISED = ["cross_entropy", "focal"]
PATTERNS = list(itertools.product([False, True], repeat=4))


FUSIONS = ["separate", "concat", "weighted", "linear_projection", "attention", "cross_attend", "modality_tokens"]
PAIRS = [(f, x) for f in FUSIONS for x in CONTRASTIVE + SUPERVISED if f != "separate" or x in CONTRASTIVE]


def hold_every_pattern(composed, fusion, loss, alone):
    """All patterns in one batch, a row each, and those of `alone` (pattern, rows): finite, and no gradient is missing."""
    names = ("a", "b", "c", "d")
    head = "projection" if loss in CONTRASTIVE else "classifier"
    s = system(composed, f"fusion={fusion}", f"loss={loss}", f"head={head}", "backbone.widths=[8]", names=names)
    idle = None
    for pattern in [[(True,) * 4] * 8, PATTERNS, *([p] * n for p, n in alone)]:
        b = batch(names, n=len(pattern), size=8)
        for i, name in enumerate(names):
            b.present[name] = torch.tensor([p[i] for p in pattern]).repeat(2)
        s.zero_grad(set_to_none=True)
        terms = s(b)
        assert all(torch.isfinite(v) for v in terms.values()), (pattern, terms)
        terms["total"].backward()
        grads = {k: p.grad for k, p in s.named_parameters()}
        wrong = [k for k, g in grads.items() if g is not None and not torch.isfinite(g).all()]
        assert not wrong, (pattern, wrong)
        none = {k for k, g in grads.items() if g is None}
        idle = none if idle is None else idle  # what a loss that leaves fused out never reads
        assert none == idle, (pattern, none ^ idle)
    assert all("fus" in k for k in idle)


@pytest.mark.parametrize(
    ("fusion", "loss"),
    [(f, x) for f, x in PAIRS if f == "attention" or x in ("cross_modal", "cross_entropy")],
)
def test_presence_patterns_are_finite_over_every_fusion_and_loss(composed, fusion, loss):
    """Nothing in a lone row, all but one stream in two, one stream in eight."""
    hold_every_pattern(composed, fusion, loss, [(PATTERNS[0], 1), (PATTERNS[7], 2), (PATTERNS[8], 8)])


@pytest.mark.slow
@pytest.mark.parametrize(("fusion", "loss"), PAIRS)
def test_every_presence_pattern_is_finite_over_every_fusion_and_loss(composed, fusion, loss):
    hold_every_pattern(composed, fusion, loss, itertools.product(PATTERNS, (1, 2, 8)))

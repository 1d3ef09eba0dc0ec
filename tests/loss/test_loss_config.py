"""Every conf/loss/*.yaml builds one term that runs on a scope, whatever is missing, with a finite gradient."""

from itertools import product
from pathlib import Path

import pytest
import torch
from contract import loss as contract
from hydra.utils import instantiate
from omegaconf import OmegaConf

from multimodal_lab.config.rules.wiring import of_loss
from multimodal_lab.types import Batch

CONF = Path(__file__).resolve().parents[2] / "conf" / "loss"
FILES = sorted(CONF.glob("*.yaml"))
PROJECTED = [p for p in FILES if "out.projection" in p.read_text()]
SUPERVISED = [p for p in FILES if "batch.targets" in p.read_text()]
STREAMS = ("a", "b", "c", "d")
K, V, L, D = 3, 7, 5, 6


def term(path):
    config = OmegaConf.create({"label": "species", "loss": OmegaConf.load(path)})
    return instantiate(config.loss, _convert_="all")


def made(n, pattern, views=2, seed=0, labelled=True):
    """A scope of n samples x views whose leaves need gradients; `pattern` (M,) or (n, M) of bool says what is there."""
    make = torch.Generator().manual_seed(seed)
    rows = n * views
    here = torch.as_tensor(pattern, dtype=torch.bool).expand(n, len(STREAMS)).repeat(views, 1)
    present = {name: here[:, i] for i, name in enumerate(STREAMS)} | {"fused": here.any(1)}

    def leaf(*shape):
        return torch.randn(*shape, generator=make, dtype=torch.float64).requires_grad_()

    z = {name: leaf(rows, D) for name in present}
    out = {
        "projection": {name: torch.where(present[name][:, None], x, 0.0) for name, x in z.items()},
        "classifier": leaf(rows, K),
        "late_fusion": leaf(rows, K),
        "caption_lstm": leaf(rows, L - 1, V),
    }
    labels = (torch.arange(n) % K).repeat(views) if labelled else torch.full((rows,), -1)
    tokens = torch.randint(0, V, (rows, L), generator=make) * labelled
    targets = {"species": labels, "caption": tokens}
    ids = torch.arange(n).repeat(views)
    batch = Batch(inputs={}, targets=targets, present={n: present[n] for n in STREAMS}, ids=ids, groups=ids)
    leaves = [*z.values(), *(out[k] for k in ("classifier", "late_fusion", "caption_lstm"))]
    return {"batch": batch, "features": {}, "out": out, "present": present, "progress": 0.25}, leaves


def gradients(loss, module, leaves):
    """Of the leaves the term reads (None for the rest) and of its parameters, each of which must take part."""
    parameters = list(module.parameters())
    found = torch.autograd.grad(loss, [*leaves, *parameters], allow_unused=True)
    assert all(g is not None for g in found[len(leaves) :]), "a parameter is out of the graph"
    assert any(g is not None for g in found[: len(leaves)]), "the loss has no graph"
    return [g for g in found if g is not None]


@pytest.mark.parametrize("path", PROJECTED, ids=lambda p: p.stem)
@pytest.mark.parametrize("between", [None, "views", "modalities", "both"])
def test_it_compares_what_it_states(path, between):
    node = OmegaConf.to_container(OmegaConf.create({"label": "species", "loss": OmegaConf.load(path)}), resolve=True)[
        "loss"
    ]
    if between is not None:
        if "between" not in node["fn"]:
            return
        node["fn"]["between"] = between
    module = instantiate(node, _convert_="all")
    contract.views(path.stem, module, of_loss(node, "views", 1))
    contract.pairs(path.stem, module, of_loss(node, "pairs", False))
    contract.left_out(path.stem, module, of_loss(node, "leaves_out", ()))


@pytest.mark.parametrize("path", FILES, ids=lambda p: p.stem)
def test_it_builds_runs_and_learns(path):
    module = term(path)
    assert module.name == path.stem or path.stem.startswith(module.name)
    scope, leaves = made(8, [True] * 4)
    loss = module(scope)
    assert loss.shape == ()
    assert abs(loss) > 1e-3
    assert any((g.abs() > 1e-4).any() for g in gradients(loss, module, leaves))
    module.weight = 3.0
    torch.testing.assert_close(module(scope), 3 * loss)


@pytest.mark.parametrize("path", PROJECTED, ids=lambda p: p.stem)
@pytest.mark.parametrize("n", [1, 2, 8])
def test_every_presence_pattern_is_finite(path, n):
    module = term(path)
    mixed = torch.rand(n, 4, generator=torch.Generator().manual_seed(n)) < 0.5
    for pattern in [*product([False, True], repeat=4), mixed, mixed & False]:
        scope, leaves = made(n, pattern)
        loss = module(scope)
        assert torch.isfinite(loss)
        assert all(torch.isfinite(g).all() for g in gradients(loss, module, leaves))
        if not torch.as_tensor(pattern).any():
            assert loss == 0


@pytest.mark.parametrize("path", PROJECTED, ids=lambda p: p.stem)
def test_a_missing_row_leaks_nothing(path):
    """What stands in a missing row changes neither the value nor any other row's gradient."""
    module = term(path)
    pattern = torch.rand(8, 4, generator=torch.Generator().manual_seed(1)) < 0.6
    found = []
    for noise in (0.0, 1e6, float("nan")):
        scope, leaves = made(8, pattern)
        projection, present = scope["out"]["projection"], scope["present"]
        scope["out"]["projection"] = {
            n: x + torch.where(present[n], 0.0, noise)[:, None] for n, x in projection.items()
        }
        loss = module(scope)
        found.append([loss, *gradients(loss, module, leaves)])
    for other in found[1:]:
        for x, y in zip(found[0], other):
            torch.testing.assert_close(x, y, rtol=0, atol=0)


@pytest.mark.parametrize("path", SUPERVISED, ids=lambda p: p.stem)
def test_no_labels_at_all_is_zero(path):
    module = term(path)
    scope, leaves = made(4, [True] * 4, labelled=False)
    loss = module(scope)
    assert loss == 0
    assert all((g == 0).all() for g in gradients(loss, module, leaves))


def test_the_curriculum_moves_from_intra_to_cross():
    module = term(CONF / "cross_modal_curriculum.yaml")
    plain = term(CONF / "cross_modal.yaml")
    scope, _ = made(4, [True] * 4)
    for progress, cross, intra in [(0.0, 0.2, 0.8), (0.5, 0.5, 0.5), (1.0, 0.8, 0.2)]:
        plain.constants |= {"cross_weight": cross, "intra_weight": intra}
        torch.testing.assert_close(module({**scope, "progress": progress}), plain(scope))


@pytest.mark.parametrize(("name", "count"), [("clip", 1), ("siglip", 2), ("cross_modal", 0)])
def test_learned_numbers_are_parameters_of_the_term(name, count):
    module = term(CONF / f"{name}.yaml")
    scope, _ = made(4, [True] * 4)
    module(scope).backward()
    parameters = list(module.parameters())
    assert len(parameters) == count
    assert all(p.grad.abs() > 0 for p in parameters)

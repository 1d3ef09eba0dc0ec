"""One matrix or tiles of any size: the losses are the papers'; and with tiles no matrix of all pairs exists."""

import loss_oracle as oracle
import pytest
import torch
from loss_oracle import assert_same, value_and_gradients
from torch.utils._python_dispatch import TorchDispatchMode

from multimodal_lab.loss import contrastive
from multimodal_lab.loss.contrastive import info_nce, nt_xent
from multimodal_lab.loss.dcl import dcl
from multimodal_lab.loss.siglip import siglip
from multimodal_lab.loss.supcon import supcon
from multimodal_lab.loss.tiled import rows, softmax, tiles

IDS = torch.tensor([4, 0, 2, 3, 0, 1, 4, 2, 1, 3, 3])
LABELS = torch.tensor([1, 0, 1, -1, 2, 0, 0, 1, -1, 0, 2])
HERE_A = torch.tensor([1, 1, 1, 0, 1, 1, 1, 1, 1, 1, 1], dtype=torch.bool)
HERE_B = torch.tensor([1, 0, 1, 1, 1, 1, 1, 0, 1, 1, 1], dtype=torch.bool)


def leaves(dtype=torch.float64):
    make = torch.Generator().manual_seed(3)
    return [torch.randn(11, 6, generator=make, dtype=torch.float64).to(dtype) for _ in range(2)]


def named(a, b):
    return {"a": a, "b": b}, {"a": HERE_A, "b": HERE_B}


def number(x):
    return torch.tensor(x, dtype=torch.float64)


def cases(tau):
    """{name: (ours, the paper's, learned numbers)}, each of a, b and the numbers."""

    def over(fn, ids):
        return lambda a, b, t: fn(named(a, b)[0], ids, named(a, b)[1], t)

    def sigmoid(fn):
        return lambda a, b, s, bias: fn(named(a, b)[0], IDS, named(a, b)[1], s, bias)

    def cross(fn):
        return lambda a, b, t: fn(a, b, IDS, IDS.flip(0), t, HERE_A, HERE_B)

    def ours(a, b, *rest):
        return info_nce(a, b, *rest[:3], present_a=rest[3], present_b=rest[4])

    return {
        "info_nce": (cross(ours), cross(oracle.info_nce), [number(tau)]),
        "nt_xent": (
            lambda a, b, t: nt_xent(a, IDS, t, HERE_A) + 0 * b.sum(),
            lambda a, b, t: oracle.info_nce(a, a, IDS, IDS, t, HERE_A, HERE_A, True) + 0 * b.sum(),
            [number(tau)],
        ),
        "supcon": (over(supcon, LABELS), over(oracle.supcon, LABELS), [number(tau)]),
        "dcl": (over(dcl, IDS), over(oracle.dcl, IDS), [number(tau)]),
        "siglip": (sigmoid(siglip), sigmoid(oracle.siglip), [number(1 / tau), number(-2.0)]),
    }


@pytest.fixture(autouse=True)
def no_whole_matrix(monkeypatch):
    """Few rows go through the tiles as many do."""
    monkeypatch.setattr(contrastive, "FEW", 0)
    monkeypatch.setattr(contrastive, "FEW_ACCELERATED", 0)


@pytest.fixture(params=["whole", "plain", "again", "shifted", "accelerator"])
def path(request, monkeypatch):
    """One matrix; or tiles whose logits are kept or computed again, whose exponents are shifted or not; an accelerator's keep
    missing rows and mask every tile."""
    if request.param == "whole":
        monkeypatch.setattr(contrastive, "FEW", 11 * 11)
        return
    monkeypatch.setattr(tiles, "EDGE", 3)
    if request.param != "plain":
        monkeypatch.setattr(softmax, "KEPT", 0)
    if request.param in ("shifted", "accelerator"):
        monkeypatch.setattr(softmax, "_bounded", lambda scale, dtype: False)
    if request.param == "accelerator":
        monkeypatch.setattr(rows, "_asks", lambda x: False)


@pytest.mark.parametrize("tau", [0.5, 0.02])
@pytest.mark.parametrize("name", list(cases(1.0)))
def test_small_tiles_are_the_papers(path, name, tau):
    ours, paper, numbers = cases(tau)[name]
    found, expected = (value_and_gradients(fn, *leaves(), *numbers) for fn in (ours, paper))
    assert_same(found, expected, 1e-12)


@pytest.mark.parametrize("name", list(cases(1.0)))
def test_float32_by_tiles_is_float64(path, name):
    ours, _, numbers = cases(0.01)[name]
    exact = value_and_gradients(ours, *leaves(), *numbers)
    found = value_and_gradients(ours, *leaves(torch.float32), *(x.float() for x in numbers))
    assert_same([x.double() for x in found], exact, 1e-5)


class Largest(TorchDispatchMode):
    """The most elements of any tensor that an operation gave, and how many matrices were multiplied."""

    def __init__(self):
        super().__init__()
        self.size = self.products = 0

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        out = func(*args, **(kwargs or {}))
        for x in out if isinstance(out, tuple | list) else [out]:
            if isinstance(x, torch.Tensor):
                self.size = max(self.size, x.numel())
        self.products += func in (torch.ops.aten.mm.out, torch.ops.aten.addmm_.default)
        return out


@pytest.mark.parametrize("name", list(cases(1.0)))
def test_no_matrix_of_all_pairs_exists(monkeypatch, name):
    monkeypatch.setattr(tiles, "EDGE", 32)
    monkeypatch.setattr(softmax, "KEPT", 0)
    n = 400
    a, b = (torch.randn(n, 4, requires_grad=True) for _ in range(2))
    ids, here = torch.arange(n) // 2, torch.ones(n, dtype=torch.bool)
    z, present = {"a": a, "b": b}, {"a": here, "b": here}
    loss = {
        "info_nce": lambda: info_nce(a, b, ids, ids, 0.1),
        "nt_xent": lambda: nt_xent(a, ids, 0.1),
        "supcon": lambda: supcon(z, ids % 7, present, 0.1),
        "dcl": lambda: dcl(z, ids, present, 0.1),
        "siglip": lambda: siglip(z, ids, present, 10.0, -10.0),
    }[name]
    with Largest() as seen:
        loss().backward()
    assert seen.size <= 4 * n  # the rows themselves, or a tile
    with torch.no_grad(), Largest() as blind:
        loss()
    assert 0 < blind.products < seen.products / 2  # no gradient is made where none is wanted


def test_equal_ids_may_be_anything_and_anywhere(path):
    """Rows in another order, and other names for the ids, are the same question."""
    a, b = leaves()
    order, names = torch.randperm(11, generator=torch.Generator().manual_seed(1)), torch.tensor([7, -3, 2**40, 0, -9])
    plain = value_and_gradients(lambda a, b: info_nce(a, b, IDS, IDS, 0.1), a, b)
    moved = value_and_gradients(lambda a, b: info_nce(a[order], b, names[IDS[order]], names[IDS], 0.1), a, b)
    assert_same(moved, plain, 1e-12)


@pytest.mark.parametrize("name", list(cases(1.0)))
def test_one_matrix_holds_as_many_pairs_as_it_may(monkeypatch, name):
    monkeypatch.setattr(tiles, "EDGE", 3)
    ours, _, numbers = cases(0.1)[name]
    sizes = []
    for limit in (11 * 11 - 1, 11 * 11):
        monkeypatch.setattr(contrastive, "FEW", limit)
        with Largest() as seen:
            ours(*leaves(), *numbers)
        sizes.append(seen.size)
    assert sizes[0] < 11 * 11 <= sizes[1]


@pytest.mark.parametrize("limit", [0, 1000])
def test_a_second_derivative_is_refused(monkeypatch, limit):
    monkeypatch.setattr(contrastive, "FEW", limit)
    a, b = (x.requires_grad_() for x in leaves())
    value = info_nce(a, b, IDS, IDS, 0.1).square()
    (grad,) = torch.autograd.grad(value, a, create_graph=True)
    with pytest.raises(RuntimeError, match="once_differentiable"):
        grad.sum().backward()


def test_other_ids_than_their_own_are_refused_where_rows_meet_themselves():
    a, _ = leaves()
    with pytest.raises(ValueError, match="exclude_self compares rows with themselves, which have equal ids, found ids"):
        info_nce(a, a, IDS, IDS.flip(0), 0.1, exclude_self=True)


@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device: its path is run on the CPU above")
@pytest.mark.parametrize("name", list(cases(1.0)))
def test_cuda_is_the_cpu(name):
    _, paper, numbers = cases(0.05)[name]
    expected = value_and_gradients(paper, *leaves(), *numbers)
    moved = [x.cuda() for x in (*leaves(), *numbers)]
    with torch.device("cuda"), pytest.MonkeyPatch.context() as patch:
        for constant in ("IDS", "LABELS", "HERE_A", "HERE_B"):
            patch.setitem(globals(), constant, globals()[constant].cuda())
        found = value_and_gradients(cases(0.05)[name][0], *moved)
    assert_same([x.cpu() for x in found], expected, 1e-11)

"""The GPU's kernels, run by Triton's interpreter on small tiles: equal to the papers' losses in value and gradient."""

import loss_oracle as oracle
import pytest
import torch
from loss_oracle import assert_same, value_and_gradients

from multimodal_lab.loss import contrastive
from multimodal_lab.loss.contrastive import info_nce, nt_xent
from multimodal_lab.loss.dcl import dcl
from multimodal_lab.loss.siglip import siglip
from multimodal_lab.loss.tiled import float16, gpu, rows, softmax

pytest.importorskip("triton", reason="Triton is not installed: there are no kernels to run")
pytestmark = pytest.mark.skipif(torch.cuda.is_available(), reason="run on the GPU by tests/device/test_device_gpu.py")

N = 25  # no multiple of a tile's edge
MAKE = torch.Generator().manual_seed(5)
IDS = torch.randint(0, 14, (N,), generator=MAKE)
HERE = {name: torch.rand(N, generator=MAKE) > 0.15 for name in "ab"}


def leaves(dtype):
    a = torch.randn(N, 20, generator=torch.Generator().manual_seed(3))
    return [x.to(dtype) for x in (a, a + torch.randn(N, 20, generator=torch.Generator().manual_seed(4)))]


def cases(tau):
    """{name: (ours, the paper's, learned numbers)}, as in test_loss_tiles."""
    here_a, here_b = HERE.values()

    def over(fn, ids):
        return lambda a, b, t: fn({"a": a, "b": b}, ids, HERE, t)

    def sigmoid(fn):
        return lambda a, b, s, bias: fn({"a": a, "b": b}, IDS, HERE, s, bias)

    numbers = [torch.tensor(tau)]
    return {
        "info_nce": (
            lambda a, b, t: info_nce(a, b, IDS, IDS.flip(0), t, present_a=here_a, present_b=here_b),
            lambda a, b, t: oracle.info_nce(a, b, IDS, IDS.flip(0), t, here_a, here_b),
            numbers,
        ),
        "nt_xent": (
            lambda a, b, t: nt_xent(a, IDS, t, here_a) + 0 * b.sum(),
            lambda a, b, t: oracle.info_nce(a, a, IDS, IDS, t, here_a, here_a, True) + 0 * b.sum(),
            numbers,
        ),
        "dcl": (over(dcl, IDS), over(oracle.dcl, IDS), numbers),
        "siglip": (sigmoid(siglip), sigmoid(oracle.siglip), [torch.tensor(1 / tau), torch.tensor(-2.0)]),
    }


def interpreted():
    """Whether Triton's interpreter can read a number: Triton 3.6 cannot with numpy 2.4."""
    import triton
    import triton.language as tl

    @triton.jit
    def count(out, number):
        for i in range(number):
            tl.store(out, i + 1)

    out = torch.zeros(1, dtype=torch.int32)
    try:
        count[(1,)](out, 3)
    except Exception:
        return False
    return int(out) == 3


@pytest.fixture(scope="module")
def interpreter():
    if not interpreted():
        pytest.skip("this Triton's interpreter fails at a loop of its own: install a newer one, or an older numpy")


@pytest.fixture(autouse=True)
def on_a_gpu(monkeypatch):
    """Rows are treated as on a GPU, several programs a tile and several tiles a side; the plain tiles are not there."""
    monkeypatch.setattr(contrastive, "FEW", 0)
    monkeypatch.setattr(rows, "_asks", lambda x: False)
    monkeypatch.setattr(float16, "wanted", lambda x: x.dtype in (torch.float16, torch.bfloat16))
    monkeypatch.setattr(gpu, "wanted", lambda x: x.dtype in gpu.EDGES)
    monkeypatch.setattr(gpu, "EDGES", {torch.float16: (16, 16, 16), torch.float32: (16, 32, 16)})
    monkeypatch.setattr(gpu, "SUMMED", 32)
    monkeypatch.setattr(gpu, "PULLED", 16)


@pytest.mark.filterwarnings("ignore:.*encountered in.*:RuntimeWarning")  # what is thrown away may overflow
@pytest.mark.parametrize(
    ("name", "dtype", "tau", "near"),
    [
        *((name, torch.float32, 0.01, 1e-5) for name in cases(1.0)),
        *((name, torch.bfloat16, 0.3, 4e-3) for name in ("nt_xent", "siglip")),
    ],
)
def test_a_kernel_is_the_paper(interpreter, monkeypatch, name, dtype, tau, near):
    """bf16's gradient is rounded to bf16 at the end; the inputs' own rounding is in both."""
    ours, paper, numbers = cases(tau)[name]
    a, b = leaves(dtype)
    with monkeypatch.context() as away:
        away.setattr(softmax, "Softmax", None)
        found = value_and_gradients(ours, a, b, *numbers)
    expected = value_and_gradients(paper, a.double(), b.double(), *(x.double() for x in numbers))
    assert_same([x.double() for x in found], expected, near)

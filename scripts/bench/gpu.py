"""GPU benchmarks: tiled losses, training steps of whole systems, augmentation, ranks, neighbours, probes.

python scripts/bench/gpu.py [loss resnet50 vit small repeated augment evaluate]        minutes, most of them a compiler's

Milliseconds are the device's own (CUDA events), medians after a warm-up, candidates in alternation. Without a GPU it says so.
"""

from __future__ import annotations

import contextlib
import sys
import time
import warnings
from collections.abc import Callable, Iterator
from functools import partial

import torch
import torch.nn.functional as F
from _gpu import DEVICE, times
from _gpu_loss import losses
from _gpu_train import augmentation, repeated, small, training
from _measure import row

from multimodal_lab.metric import logistic, neighbours, retrieval


def evaluation() -> None:
    """Exact ranks and neighbours of 131,072 rows, and the linear probe."""
    n, d = 131072, 512
    torch.manual_seed(0)
    a = F.normalize(torch.randn(n, d, device=DEVICE), dim=1)
    b = F.normalize(a + 0.05 * torch.randn(n, d, device=DEVICE), dim=1)
    ids = torch.arange(n, device=DEVICE)
    low, out = [x.bfloat16() for x in (a, b)], torch.empty(8192, 16384, dtype=torch.bfloat16, device=DEVICE)

    def products() -> None:
        for x in low[0].split(8192):
            for y in low[1].split(16384):
                torch.mm(x, y.T, out=out)

    found = times({"ranks": lambda: retrieval.rank(a, b, ids, ids), "products": products}, rounds=3, warm=1)
    row(
        f"exact ranks, {n} x {n}, d={d}",
        found["ranks"],
        unit="ms",
        goal=3000 / 64,
        limit=("bf16 products", found["products"]),
    )
    some = a[:32768]
    found = times({"top": lambda: neighbours.top_k(some, b, 20), "products": lambda: some @ b.T}, rounds=3, warm=1)
    row(f"20 nearest, 32768 x {n}, d={d}", found["top"], unit="ms", limit=("fp32 products", found["products"]))
    x, y = torch.randn(128_000, 2048, device=DEVICE), torch.randint(0, 100, (128_000,), device=DEVICE)
    x += 0.5 * torch.randn(100, 2048, device=DEVICE)[y]
    start = time.monotonic()
    logistic.fit(x, F.one_hot(y, 100).float(), [10.0**k for k in range(-4, 3)], "softmax")
    torch.cuda.synchronize()
    row("linear probe, seven C, 128,000 x 2048, 100 classes", time.monotonic() - start, unit="s")


PARTS: dict[str, Callable[[], None]] = {
    "loss": losses,
    "resnet50": partial(training, "resnet50", 256, 3500),
    "vit": partial(training, "vit_base", 256, 3300),
    "small": small,
    "repeated": repeated,
    "augment": augmentation,
    "evaluate": evaluation,
}


@contextlib.contextmanager
def said(part: str) -> Iterator[None]:
    """A part that fails says why, and the next begins."""
    try:
        yield
    except Exception as error:
        if "--strict" in sys.argv:
            raise
        print(f"{part} failed: {type(error).__name__}: {error}", flush=True)


def main() -> None:
    """Print the table of the parts named, all by default."""
    if not torch.cuda.is_available():
        print("no GPU here: nothing measured")
        return
    warnings.filterwarnings("ignore", message=".*TensorFloat32.*")
    print(f"{torch.cuda.get_device_name()}, torch {torch.__version__}", flush=True)
    for part in [p for p in sys.argv[1:] if p in PARTS] or PARTS:
        with said(part):
            PARTS[part]()


if __name__ == "__main__":
    main()

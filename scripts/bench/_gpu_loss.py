"""Contrastive losses on a GPU: value and gradient against the full matrix, peak memory, accuracy."""

from __future__ import annotations

from collections.abc import Callable

import torch
import torch.nn.functional as F
from _gpu import DEVICE, PEAK, began, extra_peak, times
from _measure import row
from torch import Tensor

from multimodal_lab.loss.contrastive import info_nce, nt_xent
from multimodal_lab.loss.siglip import siglip


def pairs(n: int, d: int, dtype: torch.dtype) -> tuple[Tensor, Tensor]:
    """Two sides that agree better than chance."""
    torch.manual_seed(0)
    a = torch.randn(n, d, device=DEVICE)
    b = a + 2 * torch.randn(n, d, device=DEVICE)
    return a.to(dtype).requires_grad_(), b.to(dtype).requires_grad_()


def ours(kind: str, n: int) -> Callable[[Tensor, Tensor], Tensor]:
    """A loss of both sides, its temperature a number on the device as a learned one is."""
    ids, here = torch.arange(n, device=DEVICE), torch.ones(n, dtype=torch.bool, device=DEVICE)
    tau, bias = torch.tensor(0.07, device=DEVICE), torch.tensor(-10.0, device=DEVICE)
    return {
        "nt_xent": lambda a, b: nt_xent(torch.cat([a, b]), ids.repeat(2), tau),
        "clip": lambda a, b: info_nce(a, b, ids, ids, tau),
        "siglip": lambda a, b: siglip({"a": a, "b": b}, ids, {"a": here, "b": here}, 1 / tau, bias),
    }[kind]


def whole(kind: str, n: int) -> Callable[[Tensor, Tensor], Tensor]:
    """The same as one writes it, with the matrix of all pairs, in autocast's bf16: what open_clip and lightly compute."""

    def lost(a: Tensor, b: Tensor) -> Tensor:
        with torch.autocast("cuda", torch.bfloat16):
            a, b = F.normalize(a), F.normalize(b)
            if kind == "nt_xent":
                z = torch.cat([a, b])
                logits = (z @ z.T).float() / 0.07
                logits = logits.masked_fill(torch.eye(2 * n, dtype=torch.bool, device=DEVICE), -torch.inf)
                return F.cross_entropy(logits, torch.arange(2 * n, device=DEVICE).roll(n))
            logits = (a @ b.T).float() / 0.07
            if kind == "clip":
                target = torch.arange(n, device=DEVICE)
                return (F.cross_entropy(logits, target) + F.cross_entropy(logits.T, target)) / 2
            sign = 2 * torch.eye(n, device=DEVICE) - 1
            return -F.logsigmoid(sign * (logits - 10)).sum() / n

    return lost


def step_of(loss: Callable[[Tensor, Tensor], Tensor], a: Tensor, b: Tensor) -> Callable[[], None]:
    """Value and gradient."""

    def act() -> None:
        a.grad = b.grad = None
        loss(a, b).backward()

    return act


def exactness(n: int = 3000, d: int = 256) -> None:
    """How far values and gradients are from float64's, the largest of the losses; n is no multiple of a tile's edge."""
    for dtype in (torch.float32, torch.bfloat16):
        worst = dict.fromkeys(("value", "gradient"), 0.0)
        for kind in ("nt_xent", "clip", "siglip"):
            a, b = pairs(n, d, dtype)
            wide = [x.detach().double().requires_grad_() for x in (a, b)]
            value, exact = ours(kind, n)(a, b), ours(kind, n)(*wide)
            value.backward()
            exact.backward()
            worst["value"] = max(worst["value"], abs(float(value.detach().double() / exact.detach()) - 1))
            for x, y in zip((a, b), wide, strict=True):
                off = torch.linalg.vector_norm(x.grad.double() - y.grad) / torch.linalg.vector_norm(y.grad)
                worst["gradient"] = max(worst["gradient"], float(off))
        note = ", ".join(f"{k} {v:.1e}" for k, v in worst.items())
        print(f"  relative error against float64, {str(dtype)[6:]} inputs: {note}", flush=True)


def losses() -> None:
    """Value and gradient at sizes whose matrix of all pairs would take 17 to 275 GB."""
    exactness()
    goals = {("clip", 65536, 768): 70, ("siglip", 65536, 768): 45, ("nt_xent", 32768, 128): 6}
    for kind, n, d in (
        ("clip", 1024, 512), ("clip", 4096, 512), ("clip", 16384, 768), ("siglip", 16384, 768),
        ("nt_xent", 32768, 128), ("clip", 65536, 768), ("siglip", 65536, 768), ("clip", 262144, 768),
    ):  # fmt: skip
        a, b = pairs(n, d, torch.bfloat16)
        act, done = step_of(ours(kind, n), a, b), began(f"{kind} {n}")
        act()
        done()
        factor = {"clip": 8, "siglip": 6, "nt_xent": 16}[kind] * n * n * d
        few = n > 100_000
        work = {"ours": act} | ({"whole": step_of(whole(kind, n), a, b)} if n <= 16384 else {})
        found = times(work, rounds=3 if few else 15, warm=1 if few else 3)
        row(
            f"{kind}, value and gradient, bf16, {n} x {d}", found["ours"], unit="ms", goal=goals.get((kind, n, d)),
            peers=[("matrix of all pairs", found["whole"])] if "whole" in found else [],
            limit=("products at 989 TFLOP/s", 1000 * factor / PEAK), note=f"extra peak {extra_peak(act):.0f} MB",
        )  # fmt: skip
    for kind in ("clip", "siglip"):
        a, b = pairs(16384, 768, torch.float32)
        act = step_of(ours(kind, 16384), a, b)
        row(f"{kind}, value and gradient, fp32, 16384 x 768", times({"ours": act})["ours"], unit="ms")

"""What an accelerator gives: the tiled losses, training steps of whole systems, augmentation, ranks, neighbours, the probe.

python scripts/bench/gpu.py [loss resnet50 vit small repeated augment evaluate]        minutes, most of them a compiler's

Milliseconds are the device's own (CUDA events), medians after a warm-up, candidates in alternation. Without a GPU it says so.
"""

from __future__ import annotations

import contextlib
import statistics
import sys
import time
import warnings
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

import torch
import torch.nn.functional as F
from _measure import row
from hydra import compose, initialize_config_dir
from torch import Tensor
from torch.utils.flop_counter import FlopCounterMode

from multimodal_lab import resolvers
from multimodal_lab.build import build
from multimodal_lab.device import repeatable
from multimodal_lab.instantiate import safe_instantiate
from multimodal_lab.loss.contrastive import info_nce, nt_xent
from multimodal_lab.loss.siglip import siglip
from multimodal_lab.metric import logistic, neighbours, retrieval
from multimodal_lab.step import Step, arrange
from multimodal_lab.targets import conf_dir
from multimodal_lab.types import Band, Batch, Stream

DEVICE = torch.device("cuda", 0)
PEAK = 989e12  # dense bf16 operations a second of an H100 or H200 (NVIDIA's data sheet)


def times(work: dict[str, Callable[[], Any]], rounds: int = 15, warm: int = 3) -> dict[str, float]:
    """Median milliseconds of each candidate."""
    spent: dict[str, list[float]] = {name: [] for name in work}
    for i in range(warm + rounds):
        for name, act in work.items():
            begin, end = (torch.cuda.Event(enable_timing=True) for _ in range(2))
            begin.record()
            act()
            end.record()
            end.synchronize()
            if i >= warm:
                spent[name].append(begin.elapsed_time(end))
    return {name: statistics.median(found) for name, found in spent.items()}


def extra_peak(act: Callable[[], Any]) -> float:
    """The most device memory in MB above what was there before."""
    act()
    torch.cuda.synchronize()
    torch.cuda.empty_cache()
    torch.cuda.reset_peak_memory_stats()
    before = torch.cuda.memory_allocated()
    act()
    torch.cuda.synchronize()
    return (torch.cuda.max_memory_allocated() - before) / 1e6


def began(what: str) -> Callable[[], None]:
    """Say how long the first call took, a compiler's time in it."""
    start = time.monotonic()

    def done() -> None:
        torch.cuda.synchronize()
        print(f"  ({what}: first call {time.monotonic() - start:.1f} s)", flush=True)

    return done


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
            worst["value"] = max(worst["value"], abs(float(value.double() / exact) - 1))
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


def system_of(*overrides: str, size: int) -> tuple[Any, dict[str, Stream], Any]:
    """A composed config and its streams, RGB images of `size`."""
    resolvers.register()
    with initialize_config_dir(str(conf_dir()), version_base="1.3"):
        cfg = compose("config", overrides=["modality=rgb", "fusion=separate", "loss=simclr", *overrides])
    bands = tuple(Band(name) for name in "RGB")
    streams = {"rgb": Stream("rgb", "image", bands=bands, size=size, mean=(0.5,) * 3, std=(0.25,) * 3)}
    torch.manual_seed(0)
    return safe_instantiate(cfg.system)(streams, {}).to(DEVICE), streams, cfg


def images(n: int, size: int, device: torch.device) -> Batch:
    """n images."""
    ids, here = torch.arange(n, device=device), torch.ones(n, dtype=torch.bool, device=device)
    return Batch({"rgb": torch.rand(n, 3, size, size, device=device)}, {}, {"rgb": here}, ids, ids)


def twice(batch: Batch, seed: int, epoch: int) -> Batch:
    """Two views that are the same: what a step costs without augmentation."""
    ids, here = batch.ids.repeat(2), batch.present["rgb"].repeat(2)
    return Batch({"rgb": batch.inputs["rgb"].repeat(2, 1, 1, 1)}, {}, {"rgb": here}, ids, ids)


def stepper(
    backbone: str, *, augmented: bool, compiled: bool, precision: str = "bf16", size: int = 224, last: bool = True
) -> tuple[Step, Any]:
    """A step of SimCLR as a run makes it, and its system."""
    system, streams, cfg = system_of(f"backbone={backbone}", size=size)
    augment = build(safe_instantiate(cfg.augment), streams=streams).to(DEVICE) if augmented else twice
    optimizer = safe_instantiate(cfg.optim)(system)
    arrange(system, last, compiled)
    if compiled and augmented:
        augment.compile()
    system.train()
    scaler = torch.amp.GradScaler("cuda", enabled=precision == "fp16")
    return Step(system, optimizer, scaler, augment, DEVICE, precision, 0, 1.0), system  # type: ignore[arg-type]


def flops(system: Any, size: int) -> float:
    """Floating-point operations of forward and backward of one image, counted."""
    batch = twice(images(4, size, DEVICE), 0, 0)
    with FlopCounterMode(display=False) as counter:
        system(batch)["total"].backward()
    system.zero_grad()
    return counter.get_total_flops() / 8


def training(backbone: str, n: int, goal: float) -> None:
    """SimCLR at 224 pixels: views a second, the share of augmentation, memory; eager and compiled, fp32 beside them."""
    _, system = stepper(backbone, augmented=False, compiled=False)
    each = flops(system, 224)
    batch, host = images(n, 224, DEVICE), images(n, 224, torch.device("cpu"))
    for key, x in host.inputs.items():
        host.inputs[key] = x.pin_memory()
    counter = iter(range(10**9))
    for compiled in (False, True):
        work: dict[str, Callable[[], Any]] = {}
        for name, augmented, given in (("ours", True, batch), ("plain", False, batch), ("from the host", True, host)):
            if name != "from the host":
                step, _ = stepper(backbone, augmented=augmented, compiled=compiled)
                done = began(f"{backbone} {'compiled' if compiled else 'eager'} {name}")
            else:
                step, done = work["ours"].args[0], lambda: None  # type: ignore[attr-defined]
            work[name] = partial(lambda s, b: s([b], next(counter), 0, 0.5), step, given)
            work[name]()
            done()
        found = times(work, rounds=12)
        peak = extra_peak(work["ours"]) / 1000
        rate = 2000 * n / found["ours"]
        row(
            f"SimCLR, {backbone}, 224 px, bf16, {2 * n} views, {'compiled' if compiled else 'eager'}, a step",
            found["ours"], unit="ms", goal=2000 * n / goal if compiled else None,
            peers=[("without augmentation", found["plain"]), ("batch in host memory", found["from the host"])],
            limit=("989 TFLOP/s", 2000 * n * each / PEAK),
            note=f"{rate:.0f} views/s, MFU {rate * each / PEAK:.0%}, "
            f"augmentation {1 - found['plain'] / found['ours']:.0%}, peak {peak:.1f} GB",
        )  # fmt: skip
        del work
        torch.cuda.empty_cache()


def small() -> None:
    """A step of the default network on 64 specimens of 64 pixels, where launching kernels is what takes the time."""
    batch = images(64, 64, DEVICE)
    counter = iter(range(10**9))
    for precision in ("fp32", "bf16", "fp16"):
        work: dict[str, Callable[[], Any]] = {}
        for name, compiled in (("eager", False), ("compiled", True)):
            step, _ = stepper("convnet", augmented=True, compiled=compiled, precision=precision, size=64, last=False)
            work[name] = partial(lambda s: s([batch], next(counter), 0, 0.5), step)
            done = began(f"convnet {precision} {name}")
            work[name]()
            done()
        step, system = stepper("convnet", augmented=True, compiled=False, precision=precision, size=64, last=False)
        with contextlib.suppress(Exception):
            system.compile(mode="reduce-overhead")
            work["CUDA graphs"] = partial(lambda s: s([batch], next(counter), 0, 0.5), step)
            work["CUDA graphs"]()
            work["CUDA graphs"]()
        found = times(work, rounds=30, warm=5)
        row(
            f"SimCLR, convnet, 64 px, {precision}, 128 views, a step", found["eager"], unit="ms",
            peers=[(k, v) for k, v in found.items() if k != "eager"],
        )  # fmt: skip


def augmentation() -> None:
    """The presets at 224 pixels, and the warp of 408 bands against a copy of its bytes."""
    for preset, n, size in (("simclr", 256, 224), ("phenoscape_multispectral", 256, 224), ("classify", 256, 224)):
        _, streams, cfg = system_of(f"augment={preset}", size=size)
        augment, batch = build(safe_instantiate(cfg.augment), streams=streams).to(DEVICE), images(n, size, DEVICE)
        plain = times({"": partial(augment, batch, 0, 0)})[""]
        augment.compile()
        done = began(f"augment={preset}, compiled")
        augment(batch, 0, 0)
        done()
        found = times({"ours": partial(augment, batch, 0, 0), "copy": partial(twice, batch, 0, 0)})
        row(
            f"augment={preset}, compiled, {n} images of {size} px, its views", found["ours"], unit="ms",
            peers=[("as it stands", plain)], limit=("two copies", found["copy"]),
        )  # fmt: skip
    x = torch.rand(16, 408, 128, 128, device=DEVICE)
    where = torch.rand(16, 128, 128, 2, device=DEVICE) * 0.02 + F.affine_grid(
        torch.eye(2, 3, device=DEVICE).expand(16, 2, 3), [16, 408, 128, 128], align_corners=False
    )
    found = times({"ours": lambda: F.grid_sample(x, where, align_corners=False), "copy": x.clone})
    row("warp of 16 x 408 x 128 x 128", found["ours"], unit="ms", goal=2 * found["copy"], limit=("copy", found["copy"]))


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


def repeated() -> None:
    """What kernels that give the same bits each time cost, and whether they do."""
    for backbone, size, n in (("resnet50", 224, 64), ("vit_base", 224, 64)):
        batch, work, same = images(n, size, DEVICE), {}, {}
        for name in ("any", "the same bits"):
            repeatable(DEVICE, name != "any")
            ends = []
            for _ in range(2):
                step, system = stepper(backbone, augmented=True, compiled=False)
                for i in range(3):
                    step([batch], i, 0, 0.5)
                ends.append(torch.cat([p.detach().flatten() for p in system.parameters()]))
            same[name] = bool(torch.equal(*ends))
            work[name] = times({"": partial(step, [batch], 0, 0, 0.5)}, rounds=7)[""]
        repeatable(DEVICE, False)
        row(
            f"{backbone}, {2 * n} views, deterministic=true, a step", work["the same bits"], unit="ms",
            peers=[("deterministic=false", work["any"])], note=f"equal bits after three steps: {same}",
        )  # fmt: skip


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

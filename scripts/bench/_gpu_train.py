"""Training steps of whole systems on a GPU: SimCLR at 224 pixels, a small network, deterministic kernels, augmentation."""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from functools import partial
from typing import Any

import torch
import torch.nn.functional as F
from _gpu import DEVICE, PEAK, began, extra_peak, times
from _measure import row
from hydra import compose, initialize_config_dir
from torch.utils.flop_counter import FlopCounterMode

from multimodal_lab.build import build
from multimodal_lab.config import resolvers
from multimodal_lab.config.instantiate import safe_instantiate
from multimodal_lab.config.targets import conf_dir
from multimodal_lab.device.placement import repeatable
from multimodal_lab.train.step import Step, prepare_model
from multimodal_lab.types import Band, Batch, Stream


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
    prepare_model(system, last, compiled)
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

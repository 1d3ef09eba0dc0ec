"""Benchmark: contrastive losses against lightly and open_clip: CPU time, peak memory, two processes, `train.micro_batch`.

python scripts/bench/loss.py [--full]        (--full adds 65,536 rows: minutes)
"""

from __future__ import annotations

import argparse
import importlib.util
import os
import socket
import subprocess
import sys
import warnings
from collections.abc import Callable
from functools import partial

import torch
import torch.nn.functional as F
from _measure import extra_peak_mb, ratios, row
from torch import Tensor

from multimodal_lab.backbone.convnet import ConvNet
from multimodal_lab.fusion.separate import Separate
from multimodal_lab.head.projection import Projection
from multimodal_lab.keyed import Keyed
from multimodal_lab.loss.contrastive import info_nce, nt_xent
from multimodal_lab.loss.siglip import siglip
from multimodal_lab.system import System
from multimodal_lab.train import gradcache
from multimodal_lab.types import Band, Batch, Stream

D, TAU = 128, 0.1
SCALE, BIAS = 10.0, -10.0
PEER = {"nt_xent": "lightly", "clip": "open_clip", "siglip": "open_clip"}
GOALS = {("nt_xent", 1024): 0.5, ("nt_xent", 4096): 0.2, ("clip", 1024): 0.75, ("clip", 4096): 0.5}
MEGABYTES = {4096: 60, 65536: 250}


def views(n: int, seed: int = 0) -> tuple[Tensor, Tensor]:
    """Two sides that agree better than chance, as in training, with gradients on."""
    make = torch.Generator().manual_seed(seed)
    a = torch.randn(n, D, generator=make)
    b = a + 2 * torch.randn(n, D, generator=make)
    return a.requires_grad_(), b.requires_grad_()


def ours(kind: str, n: int, tau: float = TAU) -> Callable[[Tensor, Tensor], Tensor]:
    ids, here = torch.arange(n), torch.ones(n, dtype=torch.bool)
    twice = ids.repeat(2)
    return {
        "nt_xent": lambda a, b: nt_xent(torch.cat([a, b]), twice, tau),
        "clip": lambda a, b: info_nce(a, b, ids, ids, tau),
        "siglip": lambda a, b: siglip({"a": a, "b": b}, ids, {"a": here, "b": here}, SCALE, BIAS),
    }[kind]


def theirs(kind: str, tau: float = TAU) -> Callable[[Tensor, Tensor], Tensor] | None:
    if importlib.util.find_spec(PEER[kind]) is None:
        return None
    if kind == "nt_xent":
        from lightly.loss import NTXentLoss

        return NTXentLoss(tau)
    from open_clip.loss import ClipLoss, SigLipLoss

    if kind == "clip":
        return lambda a, b: ClipLoss()(F.normalize(a), F.normalize(b), torch.tensor(1 / tau))
    return lambda a, b: SigLipLoss()(F.normalize(a), F.normalize(b), torch.tensor(SCALE), torch.tensor(BIAS))


def limit(kind: str, n: int) -> Callable[[], None]:
    """Nothing but the multiplications of the tiled algorithm: 4 M² D, 8 N² D and 6 N² D floating-point operations."""
    tiles = {"nt_xent": 4 * (2 * n) ** 2, "clip": 8 * n**2, "siglip": 6 * n**2}[kind] / (2 * 512**2)
    a, out = torch.randn(512, D), torch.empty(512, 512)

    def run() -> None:
        for _ in range(round(tiles)):
            torch.mm(a, a.T, out=out)

    return run


def step(loss: Callable[[Tensor, Tensor], Tensor], a: Tensor, b: Tensor) -> Callable[[], None]:
    def run() -> None:
        a.grad = b.grad = None
        loss(a, b).backward()

    return run


def times() -> None:
    for n in (1024, 4096):
        for kind, peer in PEER.items():
            a, b = views(n)
            runs = {"ours": step(ours(kind, n), a, b), "multiplications only": limit(kind, n)}
            if kind == "clip":
                runs["ours, temperature 0.01"] = step(ours(kind, n, 0.01), a, b)
            other = theirs(kind)
            if other is None:
                print(f"{kind} N={n}: {peer} is not installed")
                continue
            found = ratios({peer: step(other, a, b), **runs}, peer, rounds=7)
            bound = ("multiplications", found["multiplications only"])
            for name in [n for n in runs if n != "multiplications only"]:
                goal = GOALS.get((kind, n)) if name == "ours" else None
                what = f"{kind}, value and gradient, N={n}, d={D}{name.removeprefix('ours')}"
                row(what, found[name], goal=goal, peers=[(peer, 1.0)], limit=bound)


def peak(kind: str, n: int, who: str) -> float:
    """Extra peak of one value and gradient in this process."""
    torch.set_num_threads(1)
    make = (lambda n: ours(kind, n)) if who == "ours" else (lambda _: theirs(kind))
    step(make(64), *views(64))()
    return extra_peak_mb(step(make(n), *views(n)))


def rank_peak(who: str, n: int, rank: int, port: int) -> float:
    """The same for one of two gloo ranks with n rows each, CLIP."""
    import torch.distributed as td

    os.environ |= {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port)}
    warnings.simplefilter("ignore")
    td.init_process_group("gloo", rank=rank, world_size=2)
    torch.set_num_threads(1)

    def make(n: int) -> Callable[[Tensor, Tensor], Tensor]:
        if who == "ours":
            ids = torch.arange(rank * n, rank * n + n)
            return lambda a, b: info_nce(a, b, ids, ids, TAU)
        from open_clip.loss import ClipLoss

        loss = ClipLoss(local_loss=True, gather_with_grad=True, rank=rank, world_size=2)
        return lambda a, b: loss(F.normalize(a), F.normalize(b), torch.tensor(1 / TAU))

    step(make(64), *views(64, rank))()
    run = step(make(n), *views(n, rank))
    td.barrier()
    found = extra_peak_mb(run)
    td.destroy_process_group()
    return found


def asked(*words: object) -> subprocess.Popen[str]:
    return subprocess.Popen([sys.executable, __file__, *map(str, words)], stdout=subprocess.PIPE, text=True)


def answer(process: subprocess.Popen[str]) -> float:
    return float(process.communicate()[0].split()[-1])


def peaks(full: bool) -> None:
    for kind, peer in PEER.items():
        for n in (4096, 65536) if full else (4096,):
            # NT-Xent's rows are both views: 65,536 rows are N = 32,768.
            each = n // 2 if kind == "nt_xent" and n == 65536 else n
            found = answer(asked("--peak", kind, each, "ours"))
            there = n == 4096 and importlib.util.find_spec(peer) is not None
            peers = [(peer, answer(asked("--peak", kind, each, peer)))] if there else []
            row(
                f"{kind}, extra peak memory, N={each}", found, unit="MB", goal=MEGABYTES[n], peers=peers,
                limit=("the gradients", 2 * each * D * 4 / 1e6),
            )  # fmt: skip


def two_ranks(n: int = 2048) -> None:
    found = {}
    for who in ("ours", "open_clip"):
        if importlib.util.find_spec(who) is None and who != "ours":
            print(f"{who} is not installed")
            return
        with socket.socket() as s:
            s.bind(("127.0.0.1", 0))
            port = s.getsockname()[1]
        found[who] = max(answer(p) for p in [asked("--rank", who, n, rank, port) for rank in (0, 1)])
    ours, peer = found["ours"], found["open_clip"]
    row(
        f"clip on two gloo ranks of {n} rows, extra peak memory of a rank", ours / peer, goal=0.3,
        peers=[("open_clip, local loss, gathered with gradient", 1.0)],
        limit=("the gradients", 2 * n * D * 4 / 1e6 / peer), note=f"{ours:.0f} and {peer:.0f} MB",
    )  # fmt: skip


def parts(rows: int, n: int = 512) -> Callable[[], None]:
    """A step's gradient of n image pairs, CLIP over two small convolutional networks, `rows` rows at a time."""
    torch.manual_seed(0)
    streams = {name: Stream(name, bands=(Band("x"),) * 3, size=64) for name in "ab"}
    clip = Keyed(info_nce_of_pairs, z="out.projection", ids="batch.ids")
    system = System(
        streams,
        {},
        backbone=partial(ConvNet, widths=[32, 64, 128]),
        fusion=partial(Separate),
        head=partial(Projection, dim=D),
        loss=clip,
    )
    here = torch.ones(n, dtype=torch.bool)
    ids = torch.arange(n)
    batch = Batch({name: torch.rand(n, 3, 64, 64) for name in "ab"}, {}, {"a": here, "b": here}, ids, ids)

    def run() -> None:
        system.zero_grad()
        if rows < n:
            gradcache.backward(system, batch, 0.0, rows=rows, scaled=lambda total: total)
        else:
            system(batch)["total"].backward()

    return run


def info_nce_of_pairs(z: dict[str, Tensor], ids: Tensor) -> Tensor:
    return info_nce(z["a"], z["b"], ids, ids, TAU)


def micro_batches() -> None:
    peaks = {rows: answer(asked("--parts", rows)) for rows in (512, 128, 32)}
    found = ratios({f"{rows} rows": parts(rows) for rows in peaks}, "512 rows", rounds=3)
    for rows in (128, 32):
        what = f"micro_batch={rows} of 512 image pairs of 64 x 64, CPU time"
        note = f"extra peak {peaks[rows]:.0f} MB, at once {peaks[512]:.0f}"
        row(what, found[f"{rows} rows"], peers=[("all at once", 1.0)], note=note)


def main() -> None:
    """Print the tables; --peak, --rank and --parts answer one question each, for a process of its own."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--full", action="store_true")
    parser.add_argument("--peak", nargs=3)
    parser.add_argument("--rank", nargs=4)
    parser.add_argument("--parts", type=int)
    words = parser.parse_args()
    if words.peak:
        print(peak(words.peak[0], int(words.peak[1]), words.peak[2]))
    elif words.parts:
        torch.set_num_threads(1)
        print(extra_peak_mb(parts(words.parts)))
    elif words.rank:
        who, n, rank, port = words.rank
        print(rank_peak(who, int(n), int(rank), int(port)))
    else:
        torch.set_num_threads(1)
        times()
        peaks(words.full)
        two_ranks()
        micro_batches()


if __name__ == "__main__":
    main()

"""Benchmark: retrieval ranks, nearest neighbours and linear probes against peer libraries and a plain matrix product.

python scripts/bench/evaluate.py        CPU time, one thread; some two minutes
"""

from __future__ import annotations

import importlib.util
import subprocess
import sys
import warnings
from collections.abc import Callable
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from _measure import extra_peak_mb, ratios, row
from sklearn.linear_model import LogisticRegression
from sklearn.neighbors import NearestNeighbors
from threadpoolctl import threadpool_limits
from torch import Tensor

from multimodal_lab.metric import logistic
from multimodal_lab.metric.hypersphere import uniformity
from multimodal_lab.metric.neighbours import top_k
from multimodal_lab.metric.retrieval import mean_average_precision, rank
from multimodal_lab.metric.silhouette import silhouette

STRENGTHS = [10.0**i for i in range(-4, 3)]
ROUNDS = 7
WHOLE = "a @ b.T"
REFERENCE = (WHOLE, 1.0)


def pair(n: int, d: int, noise: float = 1.5) -> tuple[Tensor, Tensor]:
    """Unit rows, the positive of each being its own number, with as much noise as `noise` times the signal."""
    make = torch.Generator().manual_seed(0)
    a = torch.randn(n, d, generator=make)
    b = a + noise * torch.randn(n, d, generator=make)
    return F.normalize(a, dim=1), F.normalize(b, dim=1)


def bare(a: Tensor, b: Tensor) -> dict[str, Callable[[], Any]]:
    """What a rank or a neighbour costs at least: the plain product, and the limit, see `tiled`."""
    return {WHOLE: lambda: a @ b.T, "tiles": tiled(a, b)}


def tiled(a: Tensor, b: Tensor) -> Callable[[], None]:
    """Every score is made once, in tiles of memory that is kept and stays in the cache, and nothing is done with it."""
    out = torch.empty(512 * 2048)

    def run() -> None:
        for p in a.split(512):
            for q in b.split(2048):
                torch.mm(p, q.T, out=out[: len(p) * len(q)].view(len(p), len(q)))

    return run


def argsort(a: Tensor, b: Tensor) -> None:
    for i in range(0, len(a), 512):
        order = (a[i : i + 512] @ b.T).argsort(1, descending=True)
        (order == torch.arange(i, i + len(order))[:, None]).nonzero()


def retrieval() -> None:
    for n, d, noise in ((5000, 128, 1.5), (5000, 512, 1.5), (10000, 512, 1.5), (5000, 512, 20.0)):
        a, b = pair(n, d, noise)
        ids = torch.arange(n)
        found = ratios(
            {
                **bare(a, b),
                "ours": lambda a=a, b=b, ids=ids: rank(a, b, ids, ids),
                **({"argsort": lambda a=a, b=b: argsort(a, b)} if n == 5000 and noise < 2 else {}),
            },
            WHOLE,
            ROUNDS,
        )
        limit = ("product in tiles", found["tiles"])
        what = f"ranks {n} x {n}, d={d}" + ("" if noise < 2 else ", nothing learnt")
        peers = [REFERENCE, *([("argsort", found["argsort"])] if "argsort" in found else [])]
        row(what, found["ours"], goal=1.15, peers=peers, limit=limit)
    many(*pair(4000, 512))
    against_torchmetrics(*pair(1000, 512))


def many(a: Tensor, b: Tensor) -> None:
    for each in (5, 400):
        ids = torch.arange(len(a)) // each
        found = ratios({**bare(a, b), "ours": lambda ids=ids: rank(a, b, ids, ids)}, WHOLE, ROUNDS)
        what, limit = (
            f"average precision 4000 x 4000, d=512, {each} positives each",
            ("product in tiles", found["tiles"]),
        )
        row(what, found["ours"], peers=[REFERENCE], limit=limit)


def against_torchmetrics(a: Tensor, b: Tensor) -> None:
    if importlib.util.find_spec("torchmetrics") is None:
        print("torchmetrics is not installed")
        return
    from torchmetrics.retrieval import RetrievalMAP

    n = len(a)
    ids = torch.arange(n)

    def theirs() -> float:
        metric = RetrievalMAP()
        metric.update((a @ b.T).flatten(), torch.eye(n, dtype=torch.bool).flatten(), ids.repeat_interleave(n))
        return float(metric.compute())

    found = ratios({**bare(a, b), "ours": lambda: rank(a, b, ids, ids), "torchmetrics": theirs}, WHOLE, 3)
    same = abs(theirs() - mean_average_precision(rank(a, b, ids, ids)))
    peers, limit = [REFERENCE, ("torchmetrics", found["torchmetrics"])], ("product in tiles", found["tiles"])
    row("mAP 1000 x 1000, d=512", found["ours"], peers=peers, limit=limit, note=f"differs by {same:.0e}")


def neighbours() -> None:
    for n, d, k in ((5000, 128, 5), (5000, 512, 5), (5000, 512, 20), (10000, 512, 5), (5000, 1024, 5)):
        a, b = pair(n, d)
        brute = NearestNeighbors(n_neighbors=k, metric="cosine", algorithm="brute", n_jobs=1).fit(b.numpy())
        work: dict[str, Callable[[], Any]] = {
            **bare(a, b),
            "ours": lambda a=a, b=b, k=k: top_k(a, b, k),
            "euclidean": lambda a=a, b=b, k=k: top_k(a, b, k, "euclidean"),
            "topk": lambda a=a, b=b, k=k: [(p @ b.T).topk(k, 1) for p in a.split(512)],
        }
        if n == 5000:
            work["scikit-learn brute"] = lambda a=a, brute=brute: brute.kneighbors(a.numpy())
        if importlib.util.find_spec("faiss") is not None:
            import faiss

            faiss.omp_set_num_threads(1)
            index = faiss.IndexFlatIP(d)
            index.add(b.numpy())
            work["faiss IndexFlatIP"] = lambda a=a, index=index, k=k: index.search(a.numpy(), k)
        found = ratios(work, WHOLE, ROUNDS)
        peers, limit = [REFERENCE, *((n, found[n]) for n in list(work)[4:])], ("product in tiles", found["tiles"])
        for name, goal in (("ours", 1.15), ("euclidean", None)):
            what = f"{k} nearest {n} x {n}, d={d}" + ("" if name == "ours" else ", euclidean")
            row(what, found[name], goal=goal, peers=peers, limit=limit)
    if importlib.util.find_spec("faiss") is None:
        print("faiss is not installed")


def probes() -> None:
    """Seven C at once, 1e-4 to 100, against one after another.

    Ours stops at a largest entry of the gradient of 5e-5, scikit-learn at 1e-4: at equal ones either may end some 1e-5
    higher. The limit is the two products of a vector with x that each of scikit-learn's steps makes at least.
    """
    for n, d, k, factor in (
        (4000, 128, 10, 0),
        (4000, 512, 10, 0),
        (4000, 512, 10, 3),
        (4000, 512, 2, 0),
        (4000, 512, 2, 3),
    ):
        make = np.random.default_rng(0)
        y = make.integers(0, k, n)
        x = make.normal(size=(k, d))[y] * 0.15 + make.normal(size=(n, d))
        x = x + factor * make.normal(size=(n, 8)) @ make.normal(size=(8, d))
        x = ((x - x.mean(0)) / x.std(0)).astype(np.float32)
        tensor, truth = torch.as_tensor(x), torch.as_tensor(y)
        target = (truth[:, None] if k == 2 else F.one_hot(truth, k)).float()
        link: logistic.Link = "sigmoid" if k == 2 else "softmax"

        def theirs(x: np.ndarray = x, y: np.ndarray = y) -> list[LogisticRegression]:
            return [LogisticRegression(C=c, tol=1e-4, max_iter=1000).fit(x, y) for c in STRENGTHS]

        def ours(x: Tensor = tensor, y: Tensor = target, link: logistic.Link = link) -> Tensor:
            return logistic.fit(x, y, STRENGTHS, link, tol=5e-5, max_iter=1000)

        steps = sum(int(m.n_iter_[0]) for m in theirs())

        def products(x: Tensor = tensor, steps: int = steps, k: int = target.shape[1]) -> None:
            w, p = x.new_ones(k, x.shape[1]), x.new_ones(k, len(x))
            for _ in range(steps):
                w @ x.T, p @ x

        found = ratios({"scikit-learn": theirs, "ours": ours, "products": products}, "scikit-learn", 5)
        excess = max(
            objective(x, y, w, c) - objective(x, y, sklearns(m), c)
            for w, m, c in zip(ours().double().numpy(), theirs(), STRENGTHS, strict=True)
        )
        what = f"probe {n} x {d}, {k} classes" + (f", 8 common factors of scale {factor}" if factor else "")
        limit, note = (
            ("products of its steps", found["products"]),
            f"objective, ours less theirs, at most {excess:+.1e}",
        )
        row(what, found["ours"], goal=0.5, peers=[("scikit-learn", 1.0)], limit=limit, note=note)


def sklearns(model: LogisticRegression) -> np.ndarray:
    return np.concatenate([model.coef_.T, model.intercept_[None]])


def objective(x: np.ndarray, y: np.ndarray, w: np.ndarray, c: float) -> float:
    """Mean cross-entropy and penalty in double precision; one column of weights is binary regression."""
    z = x.astype(np.float64) @ w[:-1] + w[-1]
    if z.shape[1] == 1:
        z = np.concatenate([np.zeros_like(z), z], 1)
    top = z.max(1, keepdims=True)
    loss = (np.log(np.exp(z - top).sum(1)) + top[:, 0] - z[np.arange(len(y)), y]).mean()
    return float(loss + np.square(w[:-1]).sum() / (2 * c * len(x)))


PEAKS = {
    "ranks, one positive": lambda a, b: rank(a, b, torch.arange(len(a)), torch.arange(len(b))),
    "ranks, 5 positives": lambda a, b: rank(a, b, torch.arange(len(a)) // 5, torch.arange(len(b)) // 5),
    "20 nearest": lambda a, b: top_k(a, b, 20),
    "20 nearest, euclidean": lambda a, b: top_k(a, b, 20, "euclidean"),
    "silhouette, 10 classes": lambda a, b: silhouette(a, torch.arange(len(a)) % 10),
    "uniformity": lambda a, b: uniformity(a),
}


def peaks() -> None:
    for name in PEAKS:
        for n in (8192, 65536) if name in (*list(PEAKS)[:2], "20 nearest") else (8192,):
            words = [sys.executable, __file__, "--peak", name, str(n)]
            found = float(subprocess.run(words, capture_output=True, text=True, check=True).stdout.split()[-1])
            whole = ("all scores", n * n * 4 / 1e6)
            row(f"{name}, N={n}, d=128, extra peak memory", found, unit="MB", goal=150, peers=[whole])


def main() -> None:
    """Print the tables."""
    torch.set_num_threads(1)
    threadpool_limits(1)  # numpy and scikit-learn
    warnings.simplefilter("ignore")
    if "--peak" in sys.argv:
        name, n = sys.argv[2:]
        small, whole = pair(64, 128), pair(int(n), 128)
        PEAKS[name](*small)
        print(extra_peak_mb(lambda: PEAKS[name](*whole)))
        return
    retrieval()
    neighbours()
    probes()
    peaks()


if __name__ == "__main__":
    main()

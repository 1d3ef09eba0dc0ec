"""Benchmark: exact retrieval both ways with several captions an image, against FAISS's exact index.

python scripts/bench/retrieval.py        20,000 texts x 4,000 images: CPU time, one thread; a minute
python scripts/bench/retrieval.py full   1,000,000 x 100,000 as well, once, and FAISS on a part of it: an hour, 4 GB
"""

from __future__ import annotations

import sys
import time

import faiss
import torch
from _measure import extra_peak_mb, ratios, row
from torch import Tensor

from multimodal_lab.device.trim import trim
from multimodal_lab.metric.retrieval import Ranked, rank_pairs_both, recall_at

WIDTH, CAPTIONS, AT = 512, 10, (1, 5, 10)
NOISE = 5.0  # times the signal: half of the texts find their image first among 100,000
BLOCK = 10_000  # rows that are drawn at a time
PART = 5_000  # texts of the full size, on which FAISS is run in alternation


def made(texts: int, images: int) -> tuple[Tensor, Tensor, Tensor]:
    """Unit rows of texts and images, and the image of each text; block by block, so that nothing else is held."""
    g = torch.Generator().manual_seed(0)
    pictures, words = torch.empty(images, WIDTH), torch.empty(texts, WIDTH)
    of = torch.arange(texts) * images // texts
    for part in torch.split(torch.arange(images), BLOCK):
        x = torch.randn(len(part), WIDTH, generator=g)
        pictures[part] = x / x.norm(dim=1, keepdim=True)
    for part in torch.split(torch.arange(texts), BLOCK):
        x = pictures[of[part]] + NOISE * WIDTH**-0.5 * torch.randn(len(part), WIDTH, generator=g)
        words[part] = x / x.norm(dim=1, keepdim=True)
    return words, pictures, of


def by_faiss(words: Tensor, pictures: Tensor, of: Tensor) -> list[list[float]]:
    """R@K both ways from the ten nearest of `IndexFlatIP`."""
    found = []
    sides = (words, pictures, of[:, None], None), (pictures, words, None, of)
    for queries, keys, own, image_of in sides:
        index = faiss.IndexFlatIP(WIDTH)
        index.add(keys.numpy())
        near = torch.from_numpy(index.search(queries.numpy(), max(AT))[1])
        right = near == own if own is not None else image_of[near] == torch.arange(len(queries))[:, None]
        found.append([float(right[:, :k].any(1).double().mean()) for k in AT])
    return found


def recalls(ranked: tuple[Ranked, Ranked]) -> list[list[float]]:
    return [[recall_at(side, k) for k in AT] for side in ranked]


def product(words: Tensor, pictures: Tensor) -> None:
    """Every score made once, in tiles of memory that is kept, and nothing done with it: the limit."""
    out = torch.empty(1024 * 2048)
    for p in words.split(1024):
        for q in pictures.split(2048):
            torch.mm(p, q.T, out=out[: len(p) * len(q)].view(len(p), len(q)))


def alternated(words: Tensor, pictures: Tensor, of: Tensor, rounds: int) -> None:
    """Images without a text among those given are queries without a positive: FAISS's share is over the others, too."""
    told: dict[str, list[list[float]]] = {}
    found = ratios(
        {
            "faiss": lambda: told.update(faiss=by_faiss(words, pictures, of)),
            "ours": lambda: told.update(ours=recalls(rank_pairs_both(words, pictures, torch.arange(len(words)), of))),
            "product": lambda: product(words, pictures),
        },
        "faiss",
        rounds,
    )
    share = len(torch.unique(of)) / len(pictures)
    theirs = [told["faiss"][0], [x / share for x in told["faiss"][1]]]
    apart = max(abs(x - y) for a, b in zip(told["ours"], theirs) for x, y in zip(a, b))
    what = f"R@1, 5, 10 both ways, mAP and ranks, {len(words):,} texts x {len(pictures):,} images"
    limit = ("product in tiles", found["product"])
    note = f"R@K differ by {apart:.0e}; {found['ours'].ms / 1000:.1f} s"
    row(what, found["ours"], goal=1.0, peers=[("IndexFlatIP, k = 10", 1.0)], limit=limit, note=note)


def whole(texts: int, images: int) -> None:
    words, pictures, of = made(texts, images)
    some = torch.arange(PART) * (texts // PART)
    alternated(words[some], pictures, of[some], 2)
    told: list[tuple[Ranked, Ranked]] = []
    trim()  # what was freed and is still held would hide what is taken
    began = time.process_time(), time.monotonic()
    peak = extra_peak_mb(lambda: told.append(rank_pairs_both(words, pictures, torch.arange(texts), of)))
    spent = time.process_time() - began[0], time.monotonic() - began[1]
    for name, own in zip(("text → image", "image → text"), recalls(told[0])):
        print(f"{name}: " + ", ".join(f"R@{k} {x:.4f}" for k, x in zip(AT, own)), flush=True)
    what = f"memory beyond the inputs, {texts:,} texts x {images:,} images"
    row(what, peak, goal=1500, unit="MB", note=f"{spent[0]:.0f} s of CPU, {spent[1]:.0f} s on the clock")


def main() -> None:
    torch.set_num_threads(1)
    faiss.omp_set_num_threads(1)
    alternated(*made(20_000, 4_000), 5)
    if "full" in sys.argv[1:]:
        whole(1_000_000, 100_000)


if __name__ == "__main__":
    main()

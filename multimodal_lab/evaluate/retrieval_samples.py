"""Queries of retrieval with what each found, for a figure: drawn at random, and the worst of all."""

from __future__ import annotations

import json
import logging
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from itertools import permutations
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch
from torch import Tensor

from multimodal_lab import files
from multimodal_lab.evaluate import texts
from multimodal_lab.evaluate.embeddings import Embeddings
from multimodal_lab.evaluate.gallery import Gallery, gallery, pairs
from multimodal_lab.evaluate.pool import pooled, pooled_by
from multimodal_lab.evaluate.retrieval import Retrieval
from multimodal_lab.evaluate.subsets import FUSED
from multimodal_lab.evaluate.tasks import kind
from multimodal_lab.evaluate.thumbnails import Thumbnails
from multimodal_lab.metric import retrieval
from multimodal_lab.metric.neighbours import top_k

FILE = "retrieval.npz"  # of a run directory
RANDOM, WORST, NEAR, PAIRS, LABELS = 4, 4, 5, 6, 20
QUERIES, ROWS = 2000, 20_000  # of which the worst are found; rows that are searched
PIXELS = 96  # a side of a picture
log = logging.getLogger(__name__)
Cell = tuple[int, int]  # (row of the embeddings, which of its texts)


@dataclass
class Query:
    """One query: the nearest keys, nearest first, whether each is right, and how near; the best right one, at `rank` from 1."""

    query: Cell
    worst: bool
    rank: int
    right: int
    found: list[Cell] = field(default_factory=list)
    hits: list[bool] = field(default_factory=list)
    cosine: list[float] = field(default_factory=list)
    best: Cell = (0, 0)
    best_cosine: float = 0.0


def save(
    data: Any, test: Embeddings, path: Path, pictures: bool = True, seed: int = 0, ranking: Retrieval | None = None
) -> bool:
    """Write an npz of queries of every two streams with a common space, both ways; False where there are none.

    <stream>.picture (U, 96, 96, 3) uint8 of the U rows that are shown; `facts`, JSON as bytes: of each row its `ids`, `texts`
    by stream, the class of each label (`targets`, `classes`), and the `pairs` with their queries, see `Query`. ranking: the
    evaluator whose items are shown, in the space that it compares, so that recall is that of its table.
    """
    streams = [name for name in test.vectors if name != FUSED and "@" not in name]
    ranking = ranking or Retrieval()
    test = ranking.counted(_as_ranked(test, data.samples, ranking.pool))
    facts: list[dict[str, Any]] = []
    for a, b in list(permutations(streams, 2))[:PAIRS]:
        if (found := searched(test, a, b, seed, ranking.projection)) is None:
            log.info("no gallery of %s in %s: no common space, or fewer than 2 samples that have both", a, b)
        else:
            facts.append(found)
    if not facts:
        return False
    cells = [c for pair in facts for q in pair["queries"] for c in (q["query"], q["best"], *q["found"])]
    rows = np.unique([row for row, _ in cells])
    place = {int(row): i for i, row in enumerate(rows)}
    for pair in facts:
        for q in pair["queries"]:
            q["query"], q["best"] = ((place[row], text) for row, text in (q["query"], q["best"]))
            q["found"] = [(place[row], text) for row, text in q["found"]]
    files.atomic_write(path, lambda file: np.savez_compressed(file, **_contents(data, test, rows, facts, pictures)))
    return True


def _as_ranked(e: Embeddings, samples: pd.DataFrame, pool: str | None = "auto") -> Embeddings:
    """Recordings for rows where retrieval ranks these, each shown by the first of its rows."""
    if pool is None or (column := pooled_by(pool, e, samples)) is None:
        return e
    found = pooled(e, samples, column, "retrieval")
    home = dict(zip(samples["id"].astype(str), samples[column].map(str), strict=True))
    first = {home[name]: name for name in reversed(e.ids)}
    return replace(found, ids=[first[name] for name in found.ids])


def _contents(
    data: Any, test: Embeddings, rows: np.ndarray, facts: list[dict[str, Any]], pictures: bool
) -> dict[str, Any]:
    ids = [test.ids[row] for row in rows]
    at = pd.Index(data.samples["id"].astype(str)).get_indexer(pd.Index(ids))
    words = {name: [[texts.shortened(t) for t in own] for own in found] for name, found in data.texts(at).items()}
    drawn = Thumbnails(data.streams, size=PIXELS, limit=len(at))
    if pictures and drawn.streams:
        drawn.add("", data.batch(at))
    labels = [k for k in test.classes if k in test.targets and kind(test.targets[k]) == "classes"][:LABELS]
    told = {"ids": ids, "texts": words, "pairs": facts, "classes": {k: test.classes[k] for k in labels},
            "targets": {k: test.targets[k][rows].tolist() for k in labels}}  # fmt: skip
    arrays = {f"{name}.picture": images for name, images in drawn.arrays().items()}
    return {**arrays, "facts": np.frombuffer(json.dumps(told).encode(), dtype=np.uint8)}


def searched(e: Embeddings, a: str, b: str, seed: int = 0, projection: bool = True) -> dict[str, Any] | None:
    """Queries of `a` in `b` by cosine, ranked as `Retrieval` ranks them; None without a common space.

    projection: by projections where both have one, as `evaluate.retrieval.projection`. Of more than 20,000 rows that many are
    searched, and the worst are those of 2,000 queries; what is drawn is drawn by `seed`.
    """
    projected = projection and a in e.projected and b in e.projected
    rows = np.flatnonzero(e.present[a] & e.present[b])
    if e.space(a, projected).shape[1] != e.space(b, projected).shape[1] or len(rows) < 2:
        return None
    draw = np.random.default_rng(seed)
    if len(rows) > ROWS:
        rows = np.sort(draw.permutation(rows)[:ROWS])
    both = np.isin(np.arange(len(e)), rows)
    ours, theirs = gallery(e, a, both, projected), gallery(e, b, both, projected)
    truth = _Truth(ours, theirs, e.same)
    chosen = draw.permutation(truth.queries)[:QUERIES]
    rank, right = truth.ranks(chosen)
    order = [*range(min(RANDOM, len(chosen))), *np.argsort(-rank, kind="stable")]
    shown = list(dict.fromkeys(int(i) for i in order))[: RANDOM + WORST]
    made = [
        Query((int(ours.home[chosen[i]]), int(ours.text[chosen[i]])), n >= RANDOM, int(rank[i]), int(right[i]))
        for n, i in enumerate(shown)
    ]
    _find(made, chosen[shown], truth)
    return {"a": a, "b": b, "projected": projected, "keys": len(theirs.x), "drawn": len(chosen), "of": len(ours.x),
            "recall": {str(k): float((rank <= k).mean()) for k in (1, 5, 10)}, "queries": [vars(q) for q in made]}  # fmt: skip


class _Truth:
    """Which items of a and b belong together, as `Retrieval` has it: those of one row, or (same) of rows that show the same."""

    def __init__(self, ours: Gallery, theirs: Gallery, same: np.ndarray | None) -> None:
        self.ours, self.theirs = ours, theirs
        # where each row holds its own of both, what belongs together is told by an id alone: pairs could be many
        self.ids: tuple[Tensor, ...] | None = None
        if same is not None and ours.own and theirs.own:
            self.ids = tuple(torch.as_tensor(same[g.home]).to(g.x.device) for g in (ours, theirs))
            self.query, self.key = torch.arange(len(ours.x)), torch.zeros(0, dtype=torch.int64)
        else:
            self.query, self.key = pairs(ours, theirs, same)
        self.queries: np.ndarray = torch.unique(self.query).cpu().numpy()

    def ranks(self, chosen: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """The rank of the best right key of each of `chosen` queries (Q,), and how many are right; each has one."""
        at = torch.as_tensor(chosen, device=self.ours.x.device)
        if self.ids is not None:
            found = retrieval.rank(self.ours.x[at], self.theirs.x, self.ids[0][at], self.ids[1])
        else:
            place = at.new_full((len(self.ours.x),), -1)
            place[at] = torch.arange(len(at), device=at.device)
            kept = place[self.query] >= 0
            found = retrieval.rank_pairs(self.ours.x[at], self.theirs.x, place[self.query[kept]], self.key[kept])
        return found.first.cpu().numpy(), found.positives.cpu().numpy()

    def right(self, item: int) -> Tensor:
        """(P,): the keys that are right for one query."""
        if self.ids is not None:
            return (self.ids[1] == self.ids[0][item]).nonzero()[:, 0]
        return self.key[self.query == item]


def _find(made: list[Query], items: np.ndarray, truth: _Truth) -> None:
    """Fill in what each query found."""
    keys = truth.theirs
    x = truth.ours.x[torch.as_tensor(items, device=keys.x.device)]
    near, index = top_k(x, keys.x, min(NEAR, len(keys.x)))
    for q, item, cosine, columns, vector in zip(made, items, near.tolist(), index.tolist(), x, strict=True):
        right = truth.right(int(item))
        own = keys.x[right] @ vector
        q.found, q.cosine = [*_cells(keys, columns)], cosine
        q.hits = np.isin(columns, right.cpu().numpy()).tolist()
        q.best, q.best_cosine = next(_cells(keys, [int(right[own.argmax()])])), float(own.max())


def _cells(g: Gallery, items: list[int]) -> Iterator[Cell]:
    return ((int(g.home[i]), int(g.text[i])) for i in items)

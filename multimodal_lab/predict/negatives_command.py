"""The words of `python -m multimodal_lab.predict negatives run=DIR out=FILE`, and what it writes."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from multimodal_lab.config.problem import ConfigError
from multimodal_lab.embed import opened
from multimodal_lab.predict.tables import ENDS, write
from multimodal_lab.text import expected_one_of

if TYPE_CHECKING:
    import pandas as pd

    from multimodal_lab.evaluate.embeddings import Embeddings

USAGE = """       python -m multimodal_lab.predict negatives run=DIR [by=STREAM] [of=STREAM] [top_k=10] [split=train] [out=FILE] …

negatives writes for each sample its hardest negatives: the top_k nearest of stream `of` to its own `by` that do not belong to it.

by, of    the streams (default: the two that the run has)
split     of the run's own data: train (default), val, test or all; of other data all
out       a file that ends in .csv or .parquet (default: DIR/negatives.parquet); a training takes it by
          data.sampling={by: hard_negatives, negatives: FILE}
"""
WORDS = {"by", "of", "top_k", "split"}


def tell(words: Mapping[str, str], folder: Path, rest: list[str]) -> str:
    """Write the table; what was written where."""
    out = Path(words.get("out", folder / "negatives.parquet"))
    if out.suffix not in ENDS:
        raise ConfigError(f"out={out}: {expected_one_of(out.suffix or 'nothing', ENDS)} as its ending")
    top_k = words.get("top_k", "10")
    if not top_k.isdecimal() or int(top_k) < 1:
        raise ConfigError(f"top_k={top_k}: expected a whole number from 1")
    cfg = opened(folder, rest, known=(*WORDS, "out", "device"))
    cfg.data.cache = False  # a sample is read once
    from multimodal_lab.evaluate.embeddings import embed
    from multimodal_lab.experiment.reload import read_data
    from multimodal_lab.predict import load
    from multimodal_lab.predict.nearest import searched

    predictor = load(folder, words.get("device", "auto"))
    by = words.get("by") or next(iter(predictor.expected))
    if by not in predictor.expected:
        raise ConfigError(f"by={by}: {expected_one_of(by, predictor.expected)}")
    of = searched(by, words.get("of"), predictor.expected)
    data = read_data(cfg, folder)
    split = words.get("split", "train" if data.splits else "all")
    if not len(data.rows(split)):
        raise ConfigError(f"split={split}: holds no sample")
    table, lacking = mined(embed(predictor.system, data, predictor.device, (split,)), by, of, int(top_k))
    write(table, out)
    said = f"; {lacking} items have fewer" if lacking else ""
    count = table["query"].nunique()
    return f"{len(table)} negatives of {count} samples, the {top_k} hardest of {of} for each {by}{said}, in {out}"


def mined(e: Embeddings, by: str, of: str, top_k: int) -> tuple[pd.DataFrame, int]:
    """The hardest negatives of every sample that has both streams, and of how many items there are fewer than `top_k`.

    Columns: query (a sample), rank, id (of the negative), score (its cosine), positive (that of the sample's best positive).
    Positives are what some sample holds together, as in `evaluate.retrieval`, and what shows the same.
    """
    import numpy as np
    import pandas as pd
    import torch

    from multimodal_lab.evaluate.gallery import gallery, pairs
    from multimodal_lab.metric.counting import dots
    from multimodal_lab.metric.negatives import hardest
    from multimodal_lab.metric.retrieval import Positives

    both = e.present[by] & e.present[of]
    projected = by in e.projected and of in e.projected
    a, b = (gallery(e, name, both, projected) for name in (by, of))
    if a.x.shape[1] != b.x.shape[1]:
        widths = f"{by} has vectors of width {a.x.shape[1]} and {of} of {b.x.shape[1]}"
        raise ConfigError(f"{widths}: no loss has put them into one space")
    queries, keys = pairs(a, b)
    if e.same is not None:  # captions of one image, a row each
        same = Positives.of_ids(*(torch.as_tensor(e.same[g.home]).to(g.x.device) for g in (a, b))).keys()
        at, column = (same >= 0).nonzero().unbind(1)
        queries, keys = torch.cat([queries, at]), torch.cat([keys, same[at, column]])
    positives = Positives.of_pairs(queries, keys, len(a.x))
    scores, rows = (x.cpu().numpy() for x in hardest(a.x, b.x, positives, top_k))
    own = positives.keys()
    cosine = torch.full(own.shape, -torch.inf, dtype=torch.float64, device=a.x.device)
    cosine[own >= 0] = dots(a.x, b.x, (own >= 0).nonzero()[:, 0], own[own >= 0])
    best = cosine.amax(1).cpu().numpy()
    query, rank = np.nonzero(rows >= 0)
    ids = np.asarray(e.ids, dtype=object)
    table = pd.DataFrame(
        {"query": ids[a.home[query]], "rank": rank + 1, "id": ids[b.home[rows[query, rank]]], "score": scores[query, rank],
         "positive": best[query]}
    )  # fmt: skip
    return table, int((rows < 0).any(1).sum())

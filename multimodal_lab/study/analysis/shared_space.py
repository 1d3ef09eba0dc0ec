"""Modality gap and alignment of fused arms that were trained with a contrastive loss between streams."""

from __future__ import annotations

from collections.abc import Mapping
from itertools import combinations
from pathlib import Path
from typing import Any

import numpy as np

from multimodal_lab.config.rules.wiring import losses, of_loss, streams
from multimodal_lab.evaluate.embeddings import Embeddings
from multimodal_lab.runs.records import read_config


def joined(folder: Path) -> list[str]:
    """The streams of a run whose projections a loss drew together; none without such a loss, or a config to read."""
    try:
        tree = read_config(folder)
        return sorted(streams(tree)) if any(_joins(node) for node in losses(tree).values()) else []
    except (OSError, ValueError, AttributeError, KeyError, TypeError, IndexError):
        return []


def _joins(node: Mapping[str, Any]) -> bool:
    if not str(node.get("z", "")).startswith("out.") or node.get("weight", 1) == 0:
        return False
    return bool(of_loss(dict(node), "joins", of_loss(dict(node), "pairs", False)))


def pairs(e: Embeddings, names: list[str]) -> list[tuple[str, str, np.ndarray]]:
    """(stream, stream, rows (N,) bool that have both) of all streams of `names` whose projections have one width."""
    projected = [n for n in names if n in e.projected]
    return [
        (a, b, e.present[a] & e.present[b])
        for a, b in combinations(projected, 2)
        if e.projected[a].shape == e.projected[b].shape
    ]

"""Pictures of the samples on which only an arm of several modalities is right, every modality side by side."""

from __future__ import annotations

import io
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from multimodal_lab import files
from multimodal_lab.report.explorer.source import ExplorerError, pictures
from multimodal_lab.runs.guarded_arrays import read_parquet
from multimodal_lab.study.analysis.overlap import EMBEDDINGS
from multimodal_lab.study.ledger.outcomes import Outcomes

FOLDER = "gallery"
GAP = 2  # pixels between two modalities


def draw(found: Outcomes, made: Mapping[str, Any]) -> list[Path]:
    """Write `gallery/LABEL-PLACE.png` of the samples of `only_fusion` in `made` and name them there under `picture`.

    Pictures are the thumbnails that the cells of the single modalities kept; a sample without any has none.
    """
    written, kept = [], {}
    for label, own in made["labels"].items():
        only = own["only_fusion"]
        for place, sample in enumerate(only["samples"] if only else ()):
            sides = []
            for arm in only["singles"]:
                if arm not in kept:
                    kept[arm] = _of_arm(found, arm)
                sides += [kept[arm][sample["id"]]] if sample["id"] in kept[arm] else []
            if sides:
                sample["picture"] = f"{files.named(label)}-{place}.png"
                written.append(_write(found.folder / FOLDER / sample["picture"], sides))
    return written


def _of_arm(found: Outcomes, arm: str) -> dict[str, np.ndarray]:
    """{id: picture} of every sample that any split of an arm has a picture of; damaged files are passed over."""
    kept: dict[str, np.ndarray] = {}
    for split in found.plan.study.splits:
        entry = next((e for e in found.finished if (e.cell.arm, e.cell.split) == (arm, split)), None)
        if entry is not None:
            kept = {**dict(_pictures(entry.folder)), **kept}
    return kept


def _pictures(folder: Path) -> Iterator[tuple[str, np.ndarray]]:
    tables = sorted((folder / EMBEDDINGS).glob("*.parquet"))
    if not tables or not (folder / "thumbnails.npz").is_file():
        return
    try:
        ids = read_parquet(tables[0], ["id"])["id"].to_pylist()
        rows, images = pictures(folder / "thumbnails.npz", len(ids))
    except (ExplorerError, OSError, ValueError, KeyError):
        return
    for stack in images.values():
        yield from ((str(ids[row]), picture) for row, picture in zip(rows.tolist(), stack, strict=True))


def _write(path: Path, sides: list[np.ndarray]) -> Path:
    height = max(side.shape[0] for side in sides)
    sheet = Image.new("RGB", (sum(side.shape[1] for side in sides) + GAP * (len(sides) - 1), height), "white")
    x = 0
    for side in sides:
        sheet.paste(Image.fromarray(side), (x, 0))
        x += side.shape[1] + GAP
    out = io.BytesIO()
    sheet.save(out, "PNG")
    path.parent.mkdir(parents=True, exist_ok=True)
    files.write_bytes(path, out.getvalue())
    return path

"""The data of the explorer page as JSON, with arrays in base64."""

from __future__ import annotations

import base64
import logging
from collections.abc import Iterator
from typing import Any

import matplotlib
import numpy as np
from matplotlib.colors import to_hex, to_rgb

from multimodal_lab.evaluate.embeddings import Embeddings
from multimodal_lab.evaluate.tasks import kind, labelled
from multimodal_lab.metric.direction import chance_key
from multimodal_lab.report import projection, style
from multimodal_lab.report.explorer import near, sprites
from multimodal_lab.report.explorer.captions import captions
from multimodal_lab.report.explorer.source import ExplorerData, ExplorerError
from multimodal_lab.report.study.page import clean

PANELS = 5  # a browser keeps 16 drawing contexts, and plotly takes three a plot
COLUMNS = 24  # colours that one label of many columns may give
SHAPED = 8_000  # points, up to which a class has a shape too
SOUNDS = 20_000_000  # bytes of the page that clips of sounds may take
LONGEST = 200  # letters of a name
NONE = 65_535  # no sample, among at most 20,000
_SHAPES = {"o": "circle", "^": "triangle-up", "s": "square", "D": "diamond", "v": "triangle-down", "P": "cross"}
_TYPES = {"f": "f4", "i": "i4", "u": "u2"}
log = logging.getLogger(__name__)


def content(source: ExplorerData, title: str, method: projection.Method, seed: int = 0) -> dict[str, Any]:
    """Panels, labels, neighbours and pictures of a run; `ExplorerError` where no space has three samples."""
    e = source.embeddings
    names = _names(e)
    shown = _shown(source)
    sheets = sprites.sheets(shown) if shown else None
    if shown and sheets is None:
        log.warning("explorer: without pictures, which would take more than %d MB", sprites.LIMIT // 10**6)
    return {
        "title": text(title),
        "method": projection.CALLED[method],
        "total": source.total,
        "ids": [text(i) for i in e.ids],
        "panels": [_panel(source, name, method, seed) for name in names],
        "captions": captions(source.words),
        "labels": [*_labels(e), _split(e)],
        "near": [_near(one) for one in near.near(e, names)],
        "pictures": None if sheets is None else {
            "size": sheets.size, "columns": sprites.COLUMNS, "per": sprites.PER_SHEET, "place": packed(_order(source)[0]),
            "sheets": {text(k): v for k, v in sheets.sheets.items()},
        },
        "sounds": _sounds(source),
        "look": _look(len(e)),
    }  # fmt: skip


def _sounds(source: ExplorerData) -> dict[str, dict[str, str]]:
    """{stream: {sample: data URI}}, the first ones, as many as the page may carry."""
    made: dict[str, dict[str, str]] = {text(name): {} for name in source.sounds}
    left, all_of = SOUNDS, sum(map(len, source.sounds.values()))
    for row, name, clip in sorted(
        (row, name, clip) for name, own in source.sounds.items() for row, clip in own.items()
    ):
        left -= len(clip)
        if left < 0:
            kept = sum(map(len, made.values()))
            log.warning("explorer: %d of %d sounds; more would take %d MB", kept, all_of, SOUNDS // 10**6)
            break
        made[text(name)][str(row)] = clip
    return made


def text(value: object) -> str:
    """A name on one line, without characters that turn or hide text, at most 200 letters."""
    line = clean(value)
    return line if len(line) <= LONGEST else line[: LONGEST - 1] + "…"


def packed(array: np.ndarray) -> dict[str, str]:
    """Numbers as base64 of little-endian float32 (f), int32 (i) or uint16 (u)."""
    letter = array.dtype.kind
    raw = np.ascontiguousarray(array, dtype=f"<{_TYPES[letter]}").tobytes()
    return {"type": letter, "data": base64.b64encode(raw).decode()}


def _look(count: int) -> dict[str, Any]:
    """Classes differ as in the figures; among very many points, whose shape can't be seen, by lighter and darker shades."""
    palette, shapes = list(style.PALETTE), [_SHAPES[m] for m in style.MARKERS]
    if count > SHAPED:
        base = np.array([to_rgb(c) for c in palette])
        palette, shapes = [to_hex(c) for c in (*base, *(0.45 * base + 0.55), *(0.55 * base))], shapes[:1]
    ramp = [to_hex(c) for c in matplotlib.colormaps["viridis"](np.linspace(0, 1, 64))]
    return {"palette": palette, "shapes": shapes, "missing": style.GREY, "ramp": ramp}


def _names(e: Embeddings) -> list[str]:
    own = [name for name in e.vectors if "@" not in name]  # fused of a subset is a question of its own
    few = [name for name in own if e.present[name].sum() < 3]
    left = [name for name in own if name not in few]
    for name in few:
        log.warning("explorer: %s left out: fewer than 3 samples have it", name)
    if not left:
        raise ExplorerError(f"nothing to show: none of {', '.join(own) or 'no space'} has 3 samples or more")
    if len(left) > PANELS:
        log.warning("explorer: %d panels at most; left out: %s", PANELS, ", ".join(left[PANELS - 1 : -1]))
        left = [*left[: PANELS - 1], left[-1]]  # fused is last
    return left


def _panel(source: ExplorerData, name: str, method: projection.Method, seed: int) -> dict[str, Any]:
    e = source.embeddings
    rows = np.flatnonzero(e.present[name])
    at, ends = projection.placed(e.vectors[name][rows], method, seed)
    scores = {label: _score(source, name, label) for label in e.targets}
    return {
        "name": text(name), "width": e.vectors[name].shape[1], "ends": list(ends), "rows": packed(rows),
        "x": packed(at[:, 0].astype(np.float32)), "y": packed(at[:, 1].astype(np.float32)),
        "scores": {text(k): v for k, v in scores.items() if v},
    }  # fmt: skip


def _score(source: ExplorerData, name: str, label: str) -> str:
    """What the run's judge, else any other evaluator, read of the label from this space."""
    others = sorted(key.split("/")[0] for key in source.scores if key.split("/")[1:3] == [name, label])
    for judge in dict.fromkeys([source.judge, *others]):
        for metric in ("accuracy", "average_precision_macro", "r2"):
            if (value := source.scores.get(f"{judge}/{name}/{label}/{metric}")) is not None:
                chance = source.scores.get(chance_key(source.scores, judge, label)) if metric == "accuracy" else None
                of = "validation" if source.split == "val" else "held-out"
                found = f"{of} {judge} {metric} {value:.3f}" + (f", chance {chance:.3f}" if chance is not None else "")
                n = source.scores.get(f"{judge}/{name}/{label}/n")
                return found + (f", n {n:.0f}" if n is not None else "")
    return ""


def _labels(e: Embeddings) -> Iterator[dict[str, Any]]:
    for label, target in e.targets.items():
        what = kind(target)
        if what == "classes":
            names = e.classes.get(label) or [str(i) for i in range(int(target.max(initial=-1)) + 1)]
            yield _classes(label, target, names)
        elif what == "values":
            columns = target.reshape(len(target), -1).T[:COLUMNS]
            for i, column in enumerate(columns):
                yield _values(label if len(columns) == 1 else f"{label} {i + 1}", column)
        elif what == "multilabel":
            known = labelled(target)
            names = e.classes.get(label) or [str(i) for i in range(target.shape[1])]
            for name, column in zip(names[:COLUMNS], target.T):
                yield _classes(f"{label}: {name}", np.where(known, column == 1, -1), ["no", "yes"])


def _classes(label: str, codes: np.ndarray, names: list[str]) -> dict[str, Any]:
    codes = np.where((codes >= 0) & (codes < len(names)), codes, -1).astype(np.int32)
    return {"name": text(label), "kind": "classes", "codes": packed(codes), "classes": [text(n) for n in names]}


def _values(label: str, values: np.ndarray) -> dict[str, Any]:
    known = values[np.isfinite(values)]
    low, high = (float(known.min()), float(known.max())) if len(known) else (0.0, 0.0)
    return {
        "name": text(label),
        "kind": "values",
        "values": packed(values.astype(np.float32)),
        "low": low,
        "high": high,
    }


def _split(e: Embeddings) -> dict[str, Any]:
    names, codes = np.unique(e.split, return_inverse=True)
    return _classes("split", codes, names.tolist())


def _near(one: near.Near) -> dict[str, Any]:
    index = np.where(one.index < 0, NONE, one.index).astype(np.uint16)
    cosine = np.rint((one.closeness.clip(-1, 1) + 1) / 2 * 65_535).astype(np.uint16)  # to 2e-5, in half the letters
    return {
        "query": text(one.query), "key": text(one.key), "space": one.space, "k": one.index.shape[1],
        "index": packed(index), "closeness": packed(cosine),
    }  # fmt: skip


def _order(source: ExplorerData) -> tuple[np.ndarray, np.ndarray]:
    """A sample's tile (N,), -1 without one, and the picture (T,) of each tile: only what is shown is carried."""
    has = source.place >= 0
    tile = np.where(has, np.cumsum(has) - 1, -1)
    return tile, source.place[has]


def _shown(source: ExplorerData) -> dict[str, np.ndarray]:
    kept = _order(source)[1]
    return {name: images[kept] for name, images in source.pictures.items() if len(kept)}

"""Load and validate the files of a run directory that the explorer shows."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from pyarrow import ArrowException

from multimodal_lab.evaluate import clips, parquet, texts, thumbnails
from multimodal_lab.evaluate.embeddings import Embeddings
from multimodal_lab.runs import hashes
from multimodal_lab.runs.guarded import read_json, require_inside
from multimodal_lab.runs.summary import of_split

POINTS = 20_000
_BAD = (
    OSError,
    ValueError,
    KeyError,
    TypeError,
    AttributeError,
    IndexError,
    ArrowException,
    OverflowError,
    MemoryError,
)


class ExplorerError(ValueError):
    """A run whose files can't be shown: which file, what was found, what was expected."""


@dataclass
class ExplorerData:
    """Embeddings of the samples shown, at most 20,000 of `total`.

    pictures[stream] (T, h, w, 3) uint8; place (N,): a sample's picture among T, -1 without one; split: the one that was
    scored; scores: `summary.json`'s, without its name; judge: the evaluator that the run is judged by. words[stream]: the texts
    of each of the N samples, none where they were not kept. sounds[stream]: {sample among N: a clip as a data URI}.
    """

    embeddings: Embeddings
    total: int
    pictures: dict[str, np.ndarray]
    place: np.ndarray
    split: str = "test"
    scores: dict[str, float] = field(default_factory=dict)
    judge: str = ""
    words: dict[str, list[list[str]]] = field(default_factory=dict)
    sounds: dict[str, dict[int, str]] = field(default_factory=dict)


def read(folder: Path, seed: int = 0) -> ExplorerData:
    """Read `embeddings/`, `thumbnails.npz`, `texts.parquet`, `sounds.json` and `summary.json`, the last four where they are.

    `ExplorerError` names a bad file.

    Of more than 20,000 samples a seeded draw is shown, of those that have a picture first.
    """
    if not folder.is_dir():
        raise ExplorerError(f"run={folder}: no such directory")
    total = _total(folder / "embeddings")
    rows, images = pictures(folder / "thumbnails.npz", total)
    place = np.full(total, -1)
    place[rows] = np.arange(len(rows))
    order = np.random.default_rng(seed).permutation(total)
    chosen = np.sort(order[np.argsort(place[order] < 0, kind="stable")][:POINTS])
    own = _scores(folder / "summary.json")
    said = texts.places(words(folder / texts.FILE, total), chosen)
    shown = {int(row): i for i, row in enumerate(chosen)}
    heard = {
        k: {shown[row]: clip for row, clip in own.items() if row in shown}
        for k, own in sounds(folder / clips.FILE).items()
    }
    return ExplorerData(
        _embeddings(folder / "embeddings", chosen), total, images, place[chosen], *own, words=said, sounds=heard
    )


def _total(folder: Path) -> int:
    """How many rows the files of a run have, which must all have as many."""
    try:
        require_inside(folder.parent, [folder])
    except OSError as error:
        raise ExplorerError(f"{folder}: can't be read ({error})") from error
    files = sorted(folder.glob("*.parquet"))
    if not files:
        raise ExplorerError(f"{folder}: no embeddings here (one .parquet file a stream); a run writes them at its end")
    counts: list[int] = []
    for path in files:
        try:
            counts.append(len(parquet.splits(path)))
        except _BAD as error:
            raise ExplorerError(f"{path}: not whole, or not as a run writes it ({_told(error)})") from error
        if counts[-1] != counts[0]:
            raise ExplorerError(
                f"{path}: its samples are not those of {files[0].name}; all files of a run have the same"
            )
    return counts[0]


def _embeddings(folder: Path, chosen: np.ndarray) -> Embeddings:
    files = sorted(folder.glob("*.parquet"))
    first: list[str] | None = None
    for path in files:  # each alone, so that an error names its file
        try:
            rows = parquet.read(path, chosen)
        except _BAD as error:
            raise ExplorerError(f"{path}: not whole, or not as a run writes it ({_told(error)})") from error
        if not np.isfinite(rows.x).all():
            raise ExplorerError(f"{path}: holds numbers that are not finite")
        if first is not None and rows.ids != first:
            raise ExplorerError(
                f"{path}: its samples are not those of {files[0].name}; all files of a run have the same"
            )
        first = rows.ids
    try:
        return Embeddings.load(folder, chosen)
    except _BAD as error:
        raise ExplorerError(f"{folder}: not as a run writes it ({_told(error)})") from error


def pictures(path: Path, count: int) -> tuple[np.ndarray, dict[str, np.ndarray]]:
    """`thumbnails.load` of a run of `count` samples; nothing without a file. `ExplorerError` says what is wrong with one."""
    if not path.is_file():
        return np.zeros(0, dtype=np.int64), {}
    try:
        rows, found = thumbnails.load(path)
    except _BAD as error:
        raise ExplorerError(f"{path}: not whole, or not as a run writes it ({_told(error)})") from error
    if rows.ndim != 1 or rows.dtype.kind != "i" or (len(rows) and not 0 <= rows.min() <= rows.max() < count):
        raise ExplorerError(f"{path}: rows must be places among the {count} samples of the embeddings")
    for name, images in found.items():
        if images.dtype != np.uint8 or images.ndim != 4 or images.shape[::3] != (len(rows), 3):
            raise ExplorerError(
                f"{path}: {name} is {images.dtype} {images.shape}, expected uint8 ({len(rows)}, height, width, 3)"
            )
    return rows, found


def words(path: Path, count: int) -> texts.Texts:
    """`texts.load` of a run of `count` samples; nothing without a file. `ExplorerError` says what is wrong with one."""
    if not path.is_file():
        return {}
    try:
        found = texts.load(path)
    except _BAD as error:
        raise ExplorerError(f"{path}: not whole, or not as a run writes it ({_told(error)})") from error
    if any(not 0 <= row < count for own in found.values() for row in own):
        raise ExplorerError(f"{path}: rows must be places among the {count} samples of the embeddings")
    return found


def sounds(path: Path) -> dict[str, dict[int, str]]:
    """`clips.load` of a run; `ExplorerError` says what is wrong with it."""
    try:
        return clips.load(path)
    except _BAD as error:
        raise ExplorerError(f"{path}: not whole, or not as a run writes it ({_told(error)})") from error


def _scores(path: Path) -> tuple[str, dict[str, float], str]:
    """The split that was scored, the numbers of a summary and who judged; a damaged one costs the page its scores alone."""
    try:
        found = read_json(path)
        split, scores = of_split(
            {k: float(v) for k, v in found.items() if isinstance(v, int | float) and math.isfinite(v)}
        )
        return split, scores, hashes.judge(found)
    except (OSError, ValueError, OverflowError, AttributeError):
        return "test", {}, ""


def _told(error: BaseException) -> str:
    return f"{type(error).__name__}: {error}".splitlines()[0][:200]

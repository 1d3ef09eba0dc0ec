"""All figures of a run, from its files."""

from __future__ import annotations

import contextlib
import logging
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from pathlib import Path

from multimodal_lab.metric.direction import Scored
from multimodal_lab.progress import track
from multimodal_lab.report import explorer
from multimodal_lab.report.answers import co_occurrence, curves_of_answers
from multimodal_lab.report.attention import attention, token_patch
from multimodal_lab.report.attention_time import attention_time
from multimodal_lab.report.classes import classes
from multimodal_lab.report.curves import curves
from multimodal_lab.report.listening import separation
from multimodal_lab.report.modality_gap import modality_gap
from multimodal_lab.report.neighbours import neighbours
from multimodal_lab.report.offsets import offsets
from multimodal_lab.report.projection import maps
from multimodal_lab.report.reliability import reliability
from multimodal_lab.report.run_view import Shown, shown
from multimodal_lab.report.segmentation import segmentation
from multimodal_lab.report.similarity import similarity
from multimodal_lab.stage import stage
from multimodal_lab.text import expected_one_of

log = logging.getLogger(__name__)
FIGURES = (
    "pca",
    "umap",
    "tsne",
    "modality_gap",
    "neighbours",
    "attention",
    "token_patch",
    "attention_time",
    "similarity",
    "curves",
    "classes",
    "precision_recall",
    "co_occurrence",
    "reliability",
    "segmentation",
    "offsets",
    "separation",
    "explorer",
)
BARE = (  # read no embeddings
    "neighbours", "attention", "token_patch", "attention_time", "curves", "classes", "precision_recall", "co_occurrence",
    "reliability", "segmentation", "offsets", "separation",
)  # fmt: skip
REQUIRES = {"umap": {"umap": "viz"}}  # {figure: {package: extra that installs it}}
DEFAULT = ("pca", "neighbours", "similarity", "curves", "classes")
_OF_EMBEDDINGS: dict[str, Callable[[Path, Shown, str | None], list[Path]]] = {
    "pca": lambda folder, s, label: maps(folder, s, "pca", label),
    "umap": lambda folder, s, label: maps(folder, s, "umap", label),
    "tsne": lambda folder, s, label: maps(folder, s, "tsne", label),
    "modality_gap": modality_gap,
    "similarity": similarity,
}
_OF_SCORES: dict[str, Callable[[Path, Path], list[Path]]] = {
    "classes": classes,
    "precision_recall": curves_of_answers,
    "co_occurrence": co_occurrence,
    "reliability": reliability,
    "segmentation": segmentation,
    "offsets": offsets,
    "separation": separation,
    "attention": attention,
    "token_patch": token_patch,
    "attention_time": attention_time,
}


def draw(
    run_dir: Path,
    figures: Sequence[str] = DEFAULT,
    label: str | None = None,
    scored: Sequence[Scored] = (),
    monitor: str | None = None,
) -> list[Path]:
    """Draw `figures` of a run into its `figures/` and return the files; `label` leads where one must be chosen.

    scored: what its evaluators state of their scores. monitor: the score that the training watched.

    Read are `embeddings/*.parquet`, `thumbnails.npz` (none: points only), `retrieval.npz`, `attention.npz`,
    `attention_time.npz`, `metrics.jsonl`, `scores/*.csv` and `predictions.parquet`. Choices: pca, umap and tsne (slower),
    modality_gap (two streams in one map), neighbours (queries and what they found), attention and token_patch (what towers look
    at), attention_time (which steps of a recording weigh how much), similarity, curves, classes (scores of each class),
    precision_recall and co_occurrence (of several labels), reliability (of probabilities), segmentation (maps), offsets
    (of picture and sound), separation (a page of sounds), explorer (a page).
    What can't be drawn is said in the log.
    """
    for name in figures:
        if name not in FIGURES:
            raise ValueError(f"figures: no figure {name!r}; {expected_one_of(name, FIGURES)}")
    folder = run_dir / "figures"
    wanted = [name for name in figures if name in _OF_EMBEDDINGS]
    with stage("reading what the figures show"):
        what = shown(run_dir) if wanted else None
    drawn: dict[str, Callable[[], list[Path]]] = {
        name: partial(_OF_EMBEDDINGS[name], folder, what, label) for name in wanted if what is not None
    }
    if "neighbours" in figures:
        drawn["neighbours"] = partial(neighbours, folder, run_dir, label)
    if "curves" in figures:
        drawn["curves"] = partial(curves, folder, run_dir / "metrics.jsonl", scored, monitor)
    drawn |= {name: partial(_OF_SCORES[name], folder, run_dir) for name in figures if name in _OF_SCORES}
    if "explorer" in figures:
        drawn["explorer"] = partial(_explorer, run_dir)
    paths = []
    with _only_warnings(tuple(figures) == DEFAULT):
        for name in track([name for name in FIGURES if name in drawn], "drawing figures", len(drawn)):
            with stage(f"drawing figure {name}"):
                paths += drawn[name]()
    return paths


@contextlib.contextmanager
def _only_warnings(wanted: bool) -> Iterator[None]:
    """That a run has nothing for a figure is told to those who asked for that figure, not of the default ones."""
    reports = logging.getLogger(__package__)
    before = reports.level
    reports.setLevel(logging.WARNING if wanted else before)
    try:
        yield
    finally:
        reports.setLevel(before)


def _explorer(run_dir: Path) -> list[Path]:
    try:
        return [explorer.write(run_dir)]
    except explorer.ExplorerError as error:
        log.warning("no explorer: %s", error)
        return []

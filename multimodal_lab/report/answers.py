"""What heads said of the held-out samples, as figures: precision–recall and ROC curves, and what is told together."""

from __future__ import annotations

import json
import logging
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow.compute as pc
from matplotlib.figure import Figure
from sklearn.metrics import average_precision_score, precision_recall_curve, roc_auc_score, roc_curve

from multimodal_lab.files import named
from multimodal_lab.report import style
from multimodal_lab.runs.guarded_arrays import read_parquet
from multimodal_lab.runs.hashes import PREDICTIONS
from multimodal_lab.text import split_labels

log = logging.getLogger(__name__)
_MOST = 40  # classes of a matrix
_NAMED = 7  # curves with a name: the most frequent classes


@dataclass(frozen=True)
class Several:
    """Several labels of n samples by one head: truth, said (n, K) bool and chances (n, K), of `classes`; ids and groups (n,)."""

    head: str
    label: str
    classes: list[str]
    truth: np.ndarray
    said: np.ndarray
    chances: np.ndarray
    ids: np.ndarray
    groups: np.ndarray

    @property
    def file(self) -> str:
        """The end of a file's name."""
        return named(f"{self.head}_{self.label}")


def curves_of_answers(folder: Path, run_dir: Path) -> list[Path]:
    """`precision_recall_<head>_<label>.png` of several labels: precision over recall, and ROC, of each class and of all."""
    with style.look():
        return [style.save(_curves(s), folder / f"precision_recall_{s.file}.png") for s in several(run_dir)]


def co_occurrence(folder: Path, run_dir: Path) -> list[Path]:
    """`co_occurrence_<head>_<label>.png`: of the samples of a class, the share that has each other class, and that is told it."""
    with style.look():
        return [style.save(_together(s), folder / f"co_occurrence_{s.file}.png") for s in several(run_dir)]


def shares(truth: np.ndarray, other: np.ndarray) -> np.ndarray:
    """(K, K): of the samples of class i (truth (n, K) bool) the share that has class j in `other`; NaN without a sample."""
    counts = truth.sum(0)[:, None]
    both = truth.T.astype(float) @ other.astype(float)
    return np.where(counts > 0, both / np.maximum(counts, 1), np.nan)


def several(run_dir: Path) -> Iterator[Several]:
    """What each head of a run said of several labels; a line in the log where none does."""
    path = run_dir / PREDICTIONS
    if not path.is_file():
        return
    table = read_parquet(path)
    names = json.loads((table.schema.metadata or {}).get(b"classes", b"{}"))
    table = table.filter(pc.equal(table["evaluator"], "head"))
    found = False
    for label, classes in names.items():
        own = table.filter(pc.equal(table["label"], label))
        for head in sorted(set(own["stream"].to_pylist())):
            rows = own.filter(pc.equal(own["stream"], head))
            if rows["targets"].null_count or rows["outputs"].null_count or not classes:
                continue
            chances, truth = (np.stack(rows[k].to_numpy()) for k in ("outputs", "targets"))
            words = [{*split_labels(str(text))} for text in rows["predicted"].to_pylist()]
            said = np.array([[c in row for c in classes] for row in words])
            found = True
            ids, groups = (np.asarray(rows[k].to_pylist()) for k in ("id", "group"))
            yield Several(head, label, list(map(str, classes)), truth > 0, said, chances, ids, groups)
    if not found:
        log.info("no figure of answers: no head of the run tells several labels of a sample")


def _curves(s: Several) -> Figure:
    figure, axes = style.panels(1, 2, 4.6, 4.2)
    order = np.argsort(-s.truth.sum(0), kind="stable")
    for place, i in enumerate(order):
        y, p = s.truth[:, i], s.chances[:, i]
        if not y.any() or y.all():
            continue
        first = place < _NAMED
        look = {"color": style.colour(place if first else -1), "lw": 1.3 if first else 0.6, "zorder": 2 if first else 1}
        precision, recall, _ = precision_recall_curve(y, p)
        wrong, right, _ = roc_curve(y, p)
        ap, area = average_precision_score(y, p), roc_auc_score(y, p)
        axes[0, 0].step(
            recall, precision, where="post", label=f"{style.short(s.classes[i])} {ap:.2f}" if first else None, **look
        )
        axes[0, 1].plot(wrong, right, label=f"{style.short(s.classes[i])} {area:.2f}" if first else None, **look)
    y, p = s.truth.ravel(), s.chances.ravel()
    if y.any() and not y.all():
        precision, recall, _ = precision_recall_curve(y, p)
        wrong, right, _ = roc_curve(y, p)
        axes[0, 0].step(
            recall,
            precision,
            where="post",
            color=style.INK,
            lw=2,
            label=f"all as one {average_precision_score(y, p):.2f}",
        )
        axes[0, 1].plot(wrong, right, color=style.INK, lw=2, label=f"all as one {roc_auc_score(y, p):.2f}")
    axes[0, 1].plot([0, 1], [0, 1], ls=":", color=style.GREY, lw=1)
    axes[0, 0].set(title="precision over recall", xlabel="recall", ylabel="precision", xlim=(0, 1), ylim=(0, 1.02))
    axes[0, 1].set(title="ROC", xlabel="false positive rate", ylabel="recall", xlim=(0, 1), ylim=(0, 1.02))
    for axis in axes[0]:
        axis.legend(fontsize=6)
    style.title(figure, f"{s.label}, by head {s.head}: {len(s.truth)} held-out samples")
    return figure


def _together(s: Several) -> Figure:
    keep = np.argsort(-s.truth.sum(0), kind="stable")[:_MOST]
    truth, said, names = s.truth[:, keep], s.said[:, keep], [style.short(s.classes[i]) for i in keep]
    side = 2.6 + 0.2 * len(keep)
    figure, axes = style.panels(1, 2, side, side - 0.6)
    for axis, other, title in zip(axes[0], (truth, said), ("has class …", "is told class …"), strict=True):
        image = axis.imshow(shares(truth, other), vmin=0, vmax=1, cmap="viridis")
        axis.set_xticks(range(len(names)), names, rotation=90, fontsize=6)
        axis.set_yticks(range(len(names)), names, fontsize=6)
        axis.set_title(f"a sample of the row's class {title}", fontsize=8)
    figure.colorbar(image, ax=axes, shrink=0.6, label="share")
    return figure

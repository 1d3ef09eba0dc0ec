"""Synchrony of held-out clips: whether a sound is in step, and by how many frames it is late, at every offset of every clip."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, ClassVar

import numpy as np
import pandas as pd
import torch

from multimodal_lab.augment.shift_sound import ShiftSound
from multimodal_lab.device.eval_mode import eval_mode
from multimodal_lab.evaluate.class_scores import ClassScores
from multimodal_lab.evaluate.embeddings import Embeddings
from multimodal_lab.evaluate.tasks import ScoreSheet

TABLE = "offsets"  # of `scores/`


class Sync:
    """Each held-out clip is shifted by every offset that its head (`head=sync`) knows, and the head is asked about each.

    Scores: `sync/<stream of sound>/` accuracy, of "in step or not", where the clips in step and those out of step count half
    each (chance is .5); offset_accuracy, the share of offsets that are told exactly, within_one, to one frame; offset_error, the
    mean error in frames; chance_within_one, what the commonest guess, 0, would reach; n clips, n_missing without picture, sound
    or steps enough. `scores/offsets.csv`: for each true offset the mean softmax score of every offset, and the share said
    to be in step.
    """

    by = "name"
    scores: ClassVar = {
        "accuracy": "max", "offset_accuracy": "max", "within_one": "max", "offset_error": "min", "chance_within_one": None,
    }  # fmt: skip
    shown: ClassVar = {
        "accuracy": "in step or not", "offset_accuracy": "offset", "within_one": "to one frame", "offset_error": "error (frames)",
    }  # fmt: skip
    title = "Synchrony of picture and sound"

    def __init__(self) -> None:
        self.tables: list[ClassScores] = []  # of the last call

    def __call__(self, test: Embeddings, data: Any, system: Any, device: torch.device | str) -> dict[str, float]:
        """Flat scores on test."""
        sheet, self.tables = ScoreSheet("sync"), []
        heads = {k: m for k, m in getattr(system, "heads", {}).items() if "offsets" in getattr(m, "gives", ())}
        for name in () if heads else test.vectors:
            sheet.skip(f"sync/{name}", "no_head_tells_offsets")
        for name, head in heads.items():
            found = [*_asked(test, data, system, device, name, head)]
            offsets, logits = (np.concatenate(own, 1) for own in zip(*found, strict=True))
            key, known = f"sync/{head.sound}", np.isfinite(logits).all(0)
            sheet.put(key, n=known.sum(), n_missing=(~known).sum())
            if not known.any():
                sheet.skip(key, "no_clip_has_both_streams")
                continue
            offsets, logits = offsets[:, known], logits[:, known]
            sheet.put(key, **_scores(offsets, logits, head.frames))
            self.tables.append(_table(name, offsets, logits, head.frames))
        return sheet.scores


def _asked(
    test: Embeddings, data: Any, system: Any, device: torch.device | str, name: str, head: Any
) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """By batches: (K, n, K) softmax scores of K offsets and (K, n) logits at each of K true offsets, NaN where not known."""
    op, frames = ShiftSound(frames=head.frames, sound=head.sound, picture=head.picture), head.frames
    op.prepare("shift_sound", data.streams, {})
    place = {str(name): row for row, name in enumerate(data.samples["id"])}
    rows = np.array([place[i] for i in test.ids])
    with eval_mode(system), torch.no_grad():
        for part in np.split(rows, range(data.batch_size, len(rows), data.batch_size)):
            batch = data.batch(part).to(device)
            offsets, logits = [], []
            for late in range(-frames, frames + 1):
                shifted, known = op.shifted(batch, torch.full_like(batch.ids, late))
                said = system.encode(shifted)[1][name]
                offsets.append(said["offsets"].softmax(1).cpu().numpy())
                logits.append(torch.where(known, said["logits"][:, 0], torch.nan).cpu().numpy())
            yield np.stack(offsets), np.stack(logits)


def _scores(offsets: np.ndarray, logits: np.ndarray, frames: int) -> dict[str, float]:
    error = np.abs(offsets.argmax(2) - np.arange(2 * frames + 1)[:, None])
    in_step, out = logits[frames] > 0, np.delete(logits, frames, 0) <= 0
    return {
        "accuracy": (in_step.mean() + out.mean()) / 2, "offset_accuracy": (error == 0).mean(),
        "within_one": (error <= 1).mean(), "offset_error": error.mean(), "chance_within_one": 3 / (2 * frames + 1),
    }  # fmt: skip


def _table(name: str, offsets: np.ndarray, logits: np.ndarray, frames: int) -> ClassScores:
    late = range(-frames, frames + 1)
    told = pd.DataFrame(offsets.mean(1), columns=[f"score@{k}" for k in late])
    told.insert(0, "head", name)
    told.insert(1, "offset", list(late))
    return ClassScores(TABLE, told.assign(said_in_step=(logits > 0).mean(1)))

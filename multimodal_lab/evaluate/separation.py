"""Separation of held-out sounds: how much of each of two mixed sounds a head gives back."""

from __future__ import annotations

from typing import Any, ClassVar

import numpy as np
import pandas as pd
import torch

from multimodal_lab.bounds import Natural
from multimodal_lab.evaluate.class_scores import ClassScores
from multimodal_lab.evaluate.embeddings import Embeddings
from multimodal_lab.evaluate.separated import Separated, heads, label_of, pairs, separated
from multimodal_lab.evaluate.tasks import ScoreSheet
from multimodal_lab.loss.si_sdr import ratio
from multimodal_lab.metric.separation import FILTER, bss_eval

TABLE = "separation"  # of `scores/`
MEANS = ("si_sdr", "si_sdr_improvement", "sdr", "sdr_improvement", "sir", "sar")


class Separation:
    """Held-out sounds are mixed by twos, each once, of different classes where there are classes, and a head parts them again.

    Scores: `separation/<stream of sound>/` means over estimates, in dB: si_sdr (Le Roux et al. 2019); sdr, sir and sar, BSS Eval
    with filters of 512 samples (Vincent et al. 2006); and `…_improvement`, what they are more than those of the mixture itself.
    si_sdr_improvement@CLASS of the classes of `label`. n estimates, two a mixture; n_missing, sounds without a partner, missing,
    or quieter than -60 dB of full scale: silence has no ratio. `scores/separation.csv` has a row an estimate.

    label: whose classes are not mixed with themselves; null: that which the head is asked by, else the first of classes.
    snr: dB of the first sound over the second. seed: of the pairs.
    """

    by = "name"
    names: ClassVar = {"label": "label"}
    scores: ClassVar = {
        "si_sdr": "max", "si_sdr_improvement": "max", "sdr": "max", "sdr_improvement": "max", "sir": "max", "sar": "max",
        "si_sdr_improvement@*": "max",
    }  # fmt: skip
    shown: ClassVar = {
        "si_sdr": "SI-SDR", "si_sdr_improvement": "over the mixture", "sdr": "SDR", "sir": "SIR", "sar": "SAR",
    }  # fmt: skip
    title = "Separation of two mixed sounds (dB)"

    def __init__(self, *, label: str | None = None, snr: float = 0.0, seed: Natural = 0) -> None:
        self.label, self.snr, self.seed = label, snr, seed
        self.tables: list[ClassScores] = []  # of the last call

    def __call__(self, test: Embeddings, data: Any, system: Any, device: torch.device | str) -> dict[str, float]:
        """Flat scores on test."""
        sheet, self.tables = ScoreSheet("separation"), []
        found = heads(system)
        for name in () if found else test.vectors:
            sheet.skip(f"separation/{name}", "no_head_separates_sounds")
        place = {str(name): row for row, name in enumerate(data.samples["id"])}
        rows = np.array([place[i] for i in test.ids])
        for name, head in found.items():
            label = self.label or label_of(head, data)
            key, truth = f"separation/{head.sound}", None if label is None else np.asarray(test.targets[label])
            chosen = pairs(rows, truth if truth is not None and truth.ndim == 1 else None, self.seed)
            made = [_judged(own) for own in separated(system, name, data, device, chosen, self.snr)]
            table = pd.concat(made, ignore_index=True) if made else pd.DataFrame()
            sheet.put(key, n=len(table), n_missing=len(rows) - len(table))
            if not len(table):
                sheet.skip(key, "no_two_sounds_can_be_mixed")
                continue
            sheet.put(key, **{score: table[score].mean() for score in MEANS})
            ids = data.samples["id"].astype(str).to_numpy()
            told = table.assign(id=ids[table["id"]], mixed_with=ids[table["mixed_with"]])
            told.insert(0, "head", name)
            if label is not None and truth is not None and truth.ndim == 1:
                names, known = data.classes[label], dict(zip(rows.tolist(), truth.tolist(), strict=True))
                told.insert(3, label, [str(names[known[row]]) for row in table["id"]])
                for one, own in told.groupby(label):
                    sheet.put(
                        key, **{f"si_sdr_improvement@{str(one).replace('/', '_')}": own["si_sdr_improvement"].mean()}
                    )
            self.tables.append(ClassScores(TABLE, told))
        return sheet.scores


def _judged(own: Separated) -> pd.DataFrame:
    """A row an estimate: rows of the data `id` and `mixed_with`, and scores in dB."""
    parts = []
    for rows, mixture, sources, estimates, real in zip(
        own.rows, own.mixture, own.sources, own.estimates, own.real, strict=True
    ):
        true, told, mixed = (x[..., real].astype(np.float64) for x in (sources, estimates, np.stack([mixture] * 2)))
        told += np.finfo(np.float32).tiny  # an estimate of nothing has a score, a bad one
        first = si_sdr(told, true)
        bss, before = (bss_eval(true, x, min(FILTER, true.shape[1] // 4)) for x in (told, mixed))
        parts.append(
            pd.DataFrame({
                "id": rows, "mixed_with": rows[::-1], "si_sdr": first, "si_sdr_improvement": first - si_sdr(mixed, true),
                "sdr": bss.sdr, "sdr_improvement": bss.sdr - before.sdr, "sir": bss.sir, "sar": bss.sar,
            })
        )  # fmt: skip
    return pd.concat(parts, ignore_index=True)


def si_sdr(estimate: np.ndarray, target: np.ndarray) -> np.ndarray:
    """(S, T) twice to (S,), in dB."""
    found: np.ndarray = ratio(torch.from_numpy(estimate), torch.from_numpy(target)).numpy()
    return found

"""Mixtures of two held-out sounds, and what a head that separates makes of them: for scores, and to be listened to."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import permutations
from typing import Any

import numpy as np
import torch
from torch import Tensor

from multimodal_lab.augment.mix_sounds import heard, parts
from multimodal_lab.device.eval_mode import eval_mode
from multimodal_lab.loss.si_sdr import ratio
from multimodal_lab.types import Batch


@dataclass(frozen=True)
class Separated:
    """B mixtures of two sounds each, on the CPU, in float32.

    rows (B, 2): of the data. mixture (B, T); sources and estimates (B, 2, T), in the order of `rows`; mask (B, 2, F, L); real
    (B, T) bool: the steps of the mixture that are there.
    """

    rows: np.ndarray
    mixture: np.ndarray
    sources: np.ndarray
    estimates: np.ndarray
    mask: np.ndarray
    real: np.ndarray


def heads(system: Any) -> dict[str, Any]:
    """The heads that separate sounds, by name."""
    return {k: m for k, m in getattr(system, "heads", {}).items() if "estimate" in getattr(m, "gives", ())}


def label_of(head: Any, data: Any) -> str | None:
    """The label whose classes are not mixed with themselves: that of the condition, else the first of classes."""
    there = [label for label, names in data.classes.items() if names]
    return head.condition if head.condition in there else next(iter(there), None)


def pairs(rows: np.ndarray, labels: np.ndarray | None, seed: int) -> np.ndarray:
    """(B, 2) of rows (N,): in a drawn order each is paired with the next free one of another class (labels (N,), -1 unknown).

    What is left over, and what has no class, is in no pair; without labels any two are.
    """
    order = [int(i) for i in np.random.default_rng(seed).permutation(len(rows)) if labels is None or labels[i] >= 0]
    found: list[tuple[int, int]] = []
    while order:
        first = order.pop(0)
        fit = next((k for k, other in enumerate(order) if labels is None or labels[other] != labels[first]), None)
        if fit is not None:
            found.append((rows[first], rows[order.pop(fit)]))
    return np.array(found, dtype=np.int64).reshape(-1, 2)


def separated(
    system: Any, name: str, data: Any, device: torch.device | str, chosen: np.ndarray, snr: float
) -> Iterator[Separated]:
    """Mixtures of the pairs (B, 2), by batches, separated by head `name`; pairs of which one is missing or silent are left out.

    The first sound of a pair is `snr` dB above the second. A head that asks is asked for either; of one that doesn't, estimates
    stand in the order that fits best.
    """
    head, size = system.heads[name], max(1, data.batch_size // 2)
    with eval_mode(system), torch.no_grad():
        for part in np.split(chosen, range(size, len(chosen), size)):
            batch, sources, fit = _mixed(data.batch(part.T.reshape(-1)).to(device), head.sound, snr)
            if not fit.any():
                continue
            said = system.encode(batch)[1][name]
            whole = _by_mixture(said["estimate"], head.sources), _by_mixture(said["mask"], head.sources)
            if head.sources > 1:
                whole = _best(*whole, sources)
            found = [batch.inputs[head.sound][: len(part), 0], sources, *whole, batch.valid[head.sound][: len(part)]]
            yield Separated(part[fit.numpy()], *(x.cpu()[fit].numpy() for x in found))


def _mixed(batch: Batch, sound: str, snr: float) -> tuple[Batch, Tensor, Tensor]:
    """2B rows of which i and i + B hold one and the same mixture; its sources (B, 2, T); whether both are heard (B,)."""
    count = len(batch) // 2
    valid = batch.valid[sound] & batch.present[sound][:, None]
    wave = torch.where(valid[:, None], batch.inputs[sound], 0.0)
    good = batch.present[sound] & heard(wave, valid)
    other = torch.arange(count, 2 * count, device=wave.device)
    sources = parts(wave, valid, torch.cat([other, other - count]), wave.new_full((2 * count,), snr))[:count]
    mixture = sources.sum(1, keepdim=True).repeat(2, 1, 1)
    either = (valid[:count] | valid[count:]).repeat(2, 1)
    there = batch.present[sound][:count] & batch.present[sound][count:]
    made = batch.replace(
        inputs={**batch.inputs, sound: mixture}, valid={**batch.valid, sound: either},
        present={**batch.present, sound: there.repeat(2)},
    )  # fmt: skip
    return made, sources, (good[:count] & good[count:]).cpu()


def _by_mixture(x: Tensor, sources: int) -> Tensor:
    """(2B, S, …) to (B, 2, …): a head of one source was asked twice, another told the same of both halves."""
    count = len(x) // 2
    return torch.stack([x[:count, 0], x[count:, 0]], 1) if sources == 1 else x[:count]


def _best(estimates: Tensor, mask: Tensor, sources: Tensor) -> tuple[Tensor, Tensor]:
    orders = [list(p) for p in permutations(range(estimates.shape[1]), sources.shape[1])]
    scores = torch.stack([ratio(estimates[:, order], sources).mean(1) for order in orders])
    best = torch.tensor(orders, device=mask.device)[scores.argmax(0)]
    row = torch.arange(len(best), device=mask.device)[:, None]
    return estimates[row, best], mask[row, best]

"""Part a mixture of sounds with a trained run whose head separates (head=separator)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch

from multimodal_lab.augment.mix_sounds import SILENCE
from multimodal_lab.data.source import DataError
from multimodal_lab.device.eval_mode import eval_mode
from multimodal_lab.evaluate.separated import heads
from multimodal_lab.predict.predictor import Predictor
from multimodal_lab.text import expected_one_of
from multimodal_lab.types import Batch


@dataclass(frozen=True)
class Parted:
    """names (S,) of what was asked for; sounds (S, T) float32 at `rate` Hz."""

    names: list[str]
    sounds: np.ndarray
    rate: float


def head_of(predictor: Predictor, name: str | None = None) -> tuple[str, Any]:
    """The head that separates sounds, by name where there are several; `DataError` where there is none."""
    found = heads(predictor.system)
    if not found:
        raise DataError(f"{predictor.folder}: no head of this run separates sounds (head=separator)")
    if name is not None and name not in found:
        raise DataError(f"head={name}: {expected_one_of(name, found)}")
    chosen = name or next(iter(found))
    return chosen, found[chosen]


def separate(
    predictor: Predictor,
    sound: np.ndarray,
    *,
    sources: Sequence[str] | None = None,
    condition: Sequence[Any] | None = None,
    head: str | None = None,
) -> Parted:
    """The parts of a mixture (T,) at the rate of the run's stream of sound.

    sources: of a head that is asked by a label, the classes whose sounds are wanted; None: every class. condition: of one that is
    asked by a stream, what shows each source, as `Predictor` takes it. Of one that is asked for nothing all parts are given.
    `DataError` for a silent mixture, an unknown class, and what the head can't be asked by.
    """
    name, module = head_of(predictor, head)
    x = torch.as_tensor(sound, dtype=torch.float32)
    if x.ndim != 1 or not len(x) or not x.isfinite().all():
        raise DataError(f"a mixture of shape {tuple(x.shape)}, expected finite values (T,)")
    if float(x.square().mean()) <= SILENCE:
        raise DataError("the mixture is silent: its mean square is below -60 dB of full scale")
    classes = predictor.classes.get(module.condition or "", [])
    by_stream = module.condition in predictor.streams
    _require(module, by_stream, classes, sources, condition)
    asked = [str(one) for one in (sources or classes)] or [f"source_{i + 1}" for i in range(module.sources)]
    if by_stream:
        with predictor.opened(**{module.condition: list(condition or ())}) as data:
            asked, batch = [str(i) for i in data.samples["id"]], data.batch(np.arange(len(data.samples)))
    else:
        count = len(asked) if module.condition else 1
        nothing = predictor.prepared(predictor.given([str(i) for i in range(count)], {}))
        batch = nothing.batch(np.arange(count))
        if module.condition:
            wanted = torch.tensor([[str(c) for c in classes].index(one) for one in asked])
            batch = batch.replace(targets={**batch.targets, module.condition: wanted})
    batch = _with(batch, module.sound, x).to(predictor.device)
    with eval_mode(predictor.system), torch.no_grad():
        said = predictor.system.encode(batch)[1][name]["estimate"]
    found = said[:, 0] if module.condition else said[0]
    rate = predictor.streams[module.sound].rate
    return Parted(asked, found.cpu().numpy(), float(rate or 0) or 16000.0)


def _with(batch: Batch, stream: str, x: torch.Tensor) -> Batch:
    """Every row with the mixture (T,)."""
    rows = len(batch)
    return batch.replace(
        inputs={**batch.inputs, stream: x.repeat(rows, 1, 1)},
        present={**batch.present, stream: torch.ones(rows, dtype=torch.bool)},
        valid={**batch.valid, stream: torch.ones(rows, len(x), dtype=torch.bool)},
    )


def _require(
    module: Any, by_stream: bool, classes: Sequence[Any], sources: Sequence[str] | None, condition: Sequence[Any] | None
) -> None:
    if by_stream and (not condition or sources):
        raise DataError(
            f"this run is asked by {module.condition}: give {module.condition}=FILE of each source, and no sources"
        )
    if not by_stream and condition:
        raise DataError(f"this run is asked by {module.condition or 'nothing'}, and not by a stream")
    if sources and not classes:
        raise DataError("sources: this run is asked for nothing, and gives all parts; leave it out")
    there = [str(c) for c in classes]
    if unknown := [one for one in sources or () if one not in there]:
        near = expected_one_of(unknown[0], there)
        raise DataError(f"sources: no class {unknown[0]!r} of {module.condition}; {near}")


def levels(parted: Parted, mixture: np.ndarray) -> Mapping[str, float]:
    """dB of each part over the mixture."""
    whole = float(np.square(mixture, dtype=np.float64).sum())
    energy = np.square(parted.sounds, dtype=np.float64).sum(1)
    return {name: float(10 * np.log10(max(e / whole, 1e-12))) for name, e in zip(parted.names, energy, strict=True)}

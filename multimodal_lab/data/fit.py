"""Learn from the training split, and from nothing else, what each stream needs."""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

import numpy as np

from multimodal_lab.data.plan import Plan
from multimodal_lab.data.sample import Samples
from multimodal_lab.data.scaling import inside_mask
from multimodal_lab.data.source import DataError
from multimodal_lab.data.statistics import Covariance, Moments


def fit(samples: Samples, train: np.ndarray, names: Collection[str] | None = None) -> None:
    """Fill `samples.fitted` and `samples.tokens` from the rows `train`: scaling, components, statistics, tokenizers.

    Of the streams `names` only, where given.
    """
    plans = {name: plan for name, plan in samples.plans.items() if names is None or name in names}
    arrays = {name: plan for name, plan in plans.items() if plan.stored.kind != "text"}
    for name, plan in arrays.items():
        samples.fitted[name].scaling = samples.scaling.fit(samples.pixels(train, name, scaled=False))
        if plan.pca:
            _fit_components(samples, name, plan, train)
    moments = {name: Moments() for name in arrays}
    texts: dict[str, list[str]] = {name: [] for name in plans if name not in arrays}
    for row in train if plans else ():
        for name, found in texts.items():
            found += samples.captions(int(row), name)
        for name, moment in moments.items():
            x, mask = samples.finished(int(row), name)
            if x is not None:
                samples.fitted[name].size = x.shape[-1] if x.ndim == 3 else None
                moment.add(inside_mask(x, mask))
    for name, moment in moments.items():
        names = () if arrays[name].pca else tuple(band.name for band in arrays[name].stored.bands)
        mean, std = moment.result(f"stream {name}", names)
        samples.fitted[name].mean, samples.fitted[name].std = mean.tolist(), std.tolist()
    for name, found in texts.items():
        _fit_text(samples, name, samples.plans[name], found)


def _fit_components(samples: Samples, name: str, plan: Plan, train: np.ndarray) -> None:
    covariance = Covariance()
    for values in samples.pixels(train, name, scaled=True):
        covariance.add(values)
    mean, components = covariance.components(plan.pca, f"modality.{name}.pca")
    samples.fitted[name].pca = {"mean": mean.tolist(), "components": components.tolist()}


def _fit_text(samples: Samples, name: str, plan: Plan, texts: list[str]) -> None:
    if not texts:
        raise DataError(f"stream {name}: no sample of the training split has text in {plan.stored.field!r}")
    samples.tokens[name] = _tokens().train(texts, plan.vocab, plan.length, plan.model)
    samples.fitted[name].tokenizer = samples.tokens[name].to_json()
    samples.fitted[name].vocab = samples.tokens[name].vocab


def restore(samples: Samples) -> None:
    """Make the tokenizers of `samples.fitted` ready again."""
    for name, plan in samples.plans.items():
        if plan.stored.kind == "text" and name not in samples.tokens:
            samples.tokens[name] = _tokens().from_json(samples.fitted[name].tokenizer, plan.length)


def _tokens() -> Any:
    try:
        from multimodal_lab.data.tokens import Tokens
    except ImportError as error:
        raise DataError(
            "modality: text streams need the tokenizers library: pip install 'multimodal_lab[text]'"
        ) from error
    return Tokens

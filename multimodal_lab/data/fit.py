"""Learn from the training split, and from nothing else, what each stream needs."""

from __future__ import annotations

from typing import Any

import numpy as np

from multimodal_lab.data.plan import Fitted, Plan
from multimodal_lab.data.sample import Samples
from multimodal_lab.data.scaling import inside_mask
from multimodal_lab.data.source import DataError
from multimodal_lab.data.statistics import Covariance, Moments


def fit(samples: Samples, train: np.ndarray) -> None:
    """Fill `samples.fitted` and `samples.tokens` from the rows `train`: scaling, components, statistics, tokenizers."""
    for name, plan in samples.plans.items():
        if plan.stored.kind == "text":
            _fit_text(samples, name, plan, train)
            continue
        fitted = samples.fitted[name]
        fitted.scaling = samples.scaling.fit(samples.pixels(train, name, scaled=False))
        if plan.pca:
            _fit_components(samples, name, plan, train)
        _fit_statistics(samples, name, plan, fitted, train)


def _fit_components(samples: Samples, name: str, plan: Plan, train: np.ndarray) -> None:
    covariance = Covariance()
    for values in samples.pixels(train, name, scaled=True):
        covariance.add(values)
    mean, components = covariance.components(plan.pca, f"modality.{name}.pca")
    samples.fitted[name].pca = {"mean": mean.tolist(), "components": components.tolist()}


def _fit_statistics(samples: Samples, name: str, plan: Plan, fitted: Fitted, train: np.ndarray) -> None:
    moments = Moments()
    for row in train:
        x, mask = samples.finished(int(row), name)
        if x is None:
            continue
        if x.ndim == 3:
            fitted.size = x.shape[-1]
        moments.add(inside_mask(x, mask))
    names = () if plan.pca else tuple(band.name for band in plan.stored.bands)
    mean, std = moments.result(f"stream {name}", names)
    fitted.mean, fitted.std = mean.tolist(), std.tolist()


def _fit_text(samples: Samples, name: str, plan: Plan, train: np.ndarray) -> None:
    texts = [text for row in train for text in samples.captions(int(row), name)]
    if not texts:
        raise DataError(f"stream {name}: no sample of the training split has text in {plan.stored.field!r}")
    samples.tokens[name] = _tokens().train(texts, plan.vocab, plan.length, plan.model)
    samples.fitted[name].tokenizer = samples.tokens[name].to_json()
    samples.fitted[name].vocab = samples.tokens[name].vocab


def restore(samples: Samples) -> None:
    """Make the tokenizers of `samples.fitted` ready again."""
    for name, plan in samples.plans.items():
        if plan.stored.kind == "text":
            samples.tokens[name] = _tokens().from_json(samples.fitted[name].tokenizer, plan.length)


def _tokens() -> Any:
    try:
        from multimodal_lab.data.tokens import Tokens
    except ImportError as error:
        raise DataError(
            "modality: text streams need the tokenizers library: pip install 'multimodal_lab[text]'"
        ) from error
    return Tokens

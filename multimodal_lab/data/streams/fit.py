"""Fit each stream's statistics and tokenizer on the training split alone."""

from __future__ import annotations

from collections.abc import Collection

import numpy as np

from multimodal_lab.data.streams.sample import SampleReader


def fit(samples: SampleReader, train: np.ndarray, names: Collection[str] | None = None) -> None:
    """Fill `samples.fitted` and `samples.tokens` from the rows `train`: scaling, components, statistics, tokenizers.

    Of the streams `names` only, where given. Every sample is read once, whatever its streams learn of it.
    """
    wanted = [name for name in samples.plans if names is None or name in names]
    learners = [samples.kinds[name].learner(samples, name, train) for name in wanted]
    for row in train if learners else ():
        for one in learners:
            one.add(int(row))
    for one in learners:
        one.finish()


def restore(samples: SampleReader) -> None:
    """Restore what was fitted, such as tokenizers, from `samples.fitted`."""
    for name, kind in samples.kinds.items():
        kind.restore(samples, name)

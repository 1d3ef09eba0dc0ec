"""How long a cell trains, and over how many seeds and splits: by the size of the data."""

from __future__ import annotations

import math
from typing import Any

from multimodal_lab.stats.seeds import FEWEST_SEEDS
from multimodal_lab.study.compare.facts import Facts

STEPS = 240  # optimizer steps of a small training; twice that from `LARGE` samples on
LARGE = 20_000
EPOCHS = (3, 120)
BATCH = {128: 16, 1000: 32, 10_000: 64}  # up to so many training samples; above, 128
RATE = 2.0e-3  # of what begins with nothing learnt
IN_MEMORY = 5e8  # bytes of finished arrays
# Up to so many groups: seeds, splits. A small test set is one draw of groups: more splits tell more than more seeds.
REPEATS = {200: (3, 5), 1000: (3, 3), 5000: (5, 1)}


def training(facts: Facts, batch: int | None, pretrained: bool) -> dict[str, Any]:
    """{top-level key: values}: batch size, epochs, rate. batch: as given; None where it is not."""
    size = batch or min(next((b for n, b in BATCH.items() if facts.train <= n), 128), facts.train)
    steps = STEPS if facts.train < LARGE else 2 * STEPS
    epochs = min(max(math.ceil(steps / max(1, facts.train // size)), EPOCHS[0]), EPOCHS[1])
    numbers = sum(i.numbers for i in facts.inputs) * 4 * facts.samples
    made: dict[str, Any] = {
        "data": {"batch_size": size, "cache": numbers <= IN_MEMORY},
        "train": {"epochs": epochs, "validate_every": 0, "save_every": epochs},
    }
    return made if pretrained else {**made, "optim": {"lr": RATE}}


def repeats(facts: Facts) -> tuple[int, int]:
    """Seeds and splits; an official split is one."""
    seeds, splits = next((own for n, own in REPEATS.items() if facts.groups <= n), (FEWEST_SEEDS, 1))
    return (5 if splits > 1 else seeds, 1) if facts.official else (seeds, splits)

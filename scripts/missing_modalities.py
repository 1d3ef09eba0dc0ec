"""Compare what runs find of held-out samples, pair by pair of modalities: training on all samples with complete ones alone.

python scripts/missing_modalities.py BASELINE=RUN,RUN,… ARM=RUN,RUN,… [at=10]

The runs of both stand in the order of their seeds and were tested on the same samples. Printed are recall at `at` from every
modality to every other, means over seeds, and over all of these the difference with a 95 % interval over seeds and test samples
(`stats.crossed`: both are random).

for seed in 0 1 2; do for how in drop:100 keep:400; do
python -m multimodal_lab.run experiment=any_to_any data.root=/tuxpaint ~modality.sound ~backbones.sound \\
  data.source.audio=[speech_fr] data.source.missing=drop "data.missing_at_random={rate: 0.33, seed: $seed}" \\
  data.incomplete=${how%:*} seed=$seed train.max_steps=${how#*:} train.epochs=400 train.validate_every=0 dir=runs/${how%:*}$seed
done; done
python scripts/missing_modalities.py complete=runs/drop0,runs/drop1,runs/drop2 all=runs/keep0,runs/keep1,runs/keep2
"""

from __future__ import annotations

import sys
from itertools import permutations
from pathlib import Path

import numpy as np
import pandas as pd
import torch

from multimodal_lab.metric.retrieval import rank
from multimodal_lab.stats.crossed import crossed
from multimodal_lab.stats.paired import paired
from multimodal_lab.text import key_values

Found = dict[str, dict[str, np.ndarray]]


def main() -> None:
    given, rest = key_values(sys.argv[1:])
    at = int(given.pop("at", "10"))
    if rest or len(given) != 2:
        sys.exit(__doc__)
    arms = {name: [found(Path(run), at) for run in runs.split(",")] for name, runs in given.items()}
    (first, one), (second, two) = arms.items()
    pairs = list(one[0])
    samples = {tuple(run[pair]["id"]) for run in [*one, *two] for pair in pairs}
    if len(samples) != 1 or len(one) != len(two):
        sys.exit(
            f"{first} and {second}: expected as many runs of each, tested on the same samples that have every modality"
        )
    count = len(next(iter(samples)))
    print(
        f"{count} held-out samples, chance {at / count:.3f}, {len(one)} seeds\n\n| R@{at} | {first} | {second} |\n|---|---|---|"
    )
    for pair in pairs:
        each = ["  ".join(f"{run[pair]['hit'].mean():.3f}" for run in runs) for runs in (one, two)]
        print(f"| {pair} | {each[0]} | {each[1]} |")
    scores = [np.array([[np.mean([run[p]["hit"] for p in pairs], axis=0)] for run in runs]) for runs in (one, two)]
    told = crossed(paired(*scores))
    by_seed = " ".join(f"{d:+.3f}" for d in (scores[1] - scores[0]).mean((1, 2)))
    print(f"| mean | {scores[0].mean():.3f} | {scores[1].mean():.3f} |")
    print(f"\n{second} - {first}: {told.mean:+.3f} [{told.low:+.3f}, {told.high:+.3f}], by seed {by_seed}")


def found(run: Path, at: int) -> Found:
    """{"a → b": {id, hit (N,)}} of the test samples that have every modality, ordered by id."""
    tables = {
        p.name.split(".")[0]: pd.read_parquet(p) for p in sorted((run / "embeddings").glob("*.projection.parquet"))
    }
    if len(tables) < 2:
        sys.exit(f"{run}: no embeddings of two modalities or more")
    held = {name: t[(t.split == "test") & t.present].set_index("id").sort_index() for name, t in tables.items()}
    both = sorted(set.intersection(*(set(t.index) for t in held.values())))
    unit = {}
    for name, t in held.items():
        x = torch.as_tensor(t.loc[both].filter(regex=r"^x\d+$").to_numpy(np.float64, copy=True))
        unit[name] = x / x.norm(dim=1, keepdim=True)
    ids = torch.arange(len(both))
    return {
        f"{a} → {b}": {"id": np.array(both), "hit": (rank(unit[a], unit[b], ids, ids).first <= at).double().numpy()}
        for a, b in permutations(unit, 2)
    }


if __name__ == "__main__":
    main()

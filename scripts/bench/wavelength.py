"""Trained on half of Sentinel-2's bands, judged on the other half: python scripts/bench/wavelength.py out=DIR [seeds=3]

On made-up patches of known truth (data=bigearthnet) a classifier of the nineteen labels is trained with six bands from 443 to
1614 nm, and judged on held-out tiles with these, and with the six others between and beside them, which it has never seen.
`backbone=wavelength` makes their kernels from wavelengths; `backbone=convnet` knows bands by name, and an unknown one takes the
mean of the trained kernels, that of the trained band nearest in wavelength, or any at random. Prints the mean average precision
of the labels that Sentinel-2 carries, by seed. Further KEY=VALUE change every run. Runs that are finished are kept.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import numpy as np
import torch

from multimodal_lab.checkpoint.store import CheckpointStore, weights
from multimodal_lab.config import compose, resolvers
from multimodal_lab.config.instantiate import safe_instantiate
from multimodal_lab.data.readers.bigearthnet_facts import S2
from multimodal_lab.data.synthetic.sentinel import Sentinel
from multimodal_lab.evaluate.embeddings import embed
from multimodal_lab.evaluate.head import Head
from multimodal_lab.experiment import run as experiment
from multimodal_lab.experiment.build import build_system, modality
from multimodal_lab.text import key_values

TRAINED = ["B01", "B03", "B05", "B07", "B8A", "B11"]
OTHERS = ["B02", "B04", "B06", "B08", "B09", "B12"]
BASE = [
    "data=bigearthnet", "data.root=null", "data.source.made.patches=1200", "data.source.made.size=16", "data.cache=true",
    "data.batch_size=32", "modality=s2", "fusion=separate", "head=classifier", "loss=bce", "augment=flips", "evaluate=[head]",
    "label=labels", "log=none", "figures=[]", "backbone.widths=[32,64,128]", "train.epochs=10", "train.validate_every=0",
    "optim.lr=0.003",
]  # fmt: skip
STEM = "backbones.each.s2.stages.0.0.weight"
BY_CLASS = "/average_precision@"
RULES = ("mean", "nearest")


def main() -> None:
    words, more = key_values(sys.argv[1:], {"out", "seeds"})
    if "out" not in words:
        sys.exit(__doc__)
    resolvers.register()
    rows = []
    for seed in range(int(words.get("seeds", 3))):
        own = [*BASE, *more, f"seed={seed}"]
        found = []
        for stem in ("wavelength", "convnet"):
            folder = Path(words["out"]) / f"{stem}_{seed}"
            chosen = [*own, f"backbone={stem}"]
            if not (folder / "summary.json").is_file():
                experiment.run(_cfg(chosen, TRAINED), folder)
            found += [_score(chosen, folder, TRAINED, ""), *(_score(chosen, folder, OTHERS, r) for r in _rules(stem))]
        rows.append(found)
    print(
        "| seed | wavelength: trained | others | by name: trained | others, mean | others, nearest | others, shuffled |"
    )
    print("|---|---|---|---|---|---|---|")
    for seed, found in enumerate(rows):
        print(f"| {seed} | {' | '.join(f'{x:.3f}' for x in found)} |")
    print(f"| mean | {' | '.join(f'{x:.3f}' for x in np.mean(rows, 0))} |")


def _rules(stem: str) -> tuple[str, ...]:
    return ("",) if stem == "wavelength" else (*RULES, "shuffled")


def _cfg(words: list[str], bands: list[str]) -> Any:
    return compose.composed([*words, f"modality.s2.bands=[{','.join(bands)}]"])


def _score(words: list[str], folder: Path, bands: list[str], rule: str) -> float:
    """Mean average precision of the labels that Sentinel-2 carries, of the run in `folder` on the test split with `bands`."""
    cfg = _cfg(words, bands)
    data = safe_instantiate(cfg.data).prepare(modality(cfg), cfg.seed)
    system = build_system(cfg, data)
    path = CheckpointStore(folder / "checkpoints", 1).newest()
    assert path is not None
    state = {k: v for k, v in weights(path).items() if not k.startswith("normalise.")}  # of other bands
    if rule:
        state[STEM] = _laid(state[STEM], rule)
    absent, unknown = system.load_state_dict(state, strict=False)
    assert not unknown and all(k.startswith("normalise.") for k in absent), (absent, unknown)  # noqa: PT018
    system.eval()
    with torch.no_grad():
        scores = Head()(embed(system, data, torch.device("cpu"), ("test",), heads=("test",)))
    own = [
        v
        for k, v in scores.items()
        if "/average_precision@" in k and Sentinel.truth[k.partition("/average_precision@")[2]] != "s1"
    ]
    return float(np.mean(own))


def _laid(kernels: torch.Tensor, rule: str) -> torch.Tensor:
    """Kernels (O, 6, k, k) of the trained bands to those of the others."""
    nm = {b.name: b.nm or 0.0 for b in S2}
    if rule == "mean":
        return kernels.mean(1, keepdim=True).expand_as(kernels).contiguous()
    near = [min(range(len(TRAINED)), key=lambda i: abs(nm[TRAINED[i]] - nm[band])) for band in OTHERS]
    if rule == "shuffled":
        near = np.random.default_rng(0).permutation(len(TRAINED)).tolist()
    return kernels[:, near]


if __name__ == "__main__":
    main()

"""Fine-tuning after self-supervised pre-training beside training from scratch, by three seeds.

    python scripts/fine_tune.py dewlap data.root=/folder [out=DIR] [KEY=VALUE …]
    python scripts/fine_tune.py emoji data.root=/folder

Of each seed three runs: one without labels, a classifier that begins with its encoders (adapt=encoders adapt.freeze=false,
deeper layers at lower rates), and the same classifier from scratch, with as many steps, judged on the same test split.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

import numpy as np

from multimodal_lab.config import compose, resolvers
from multimodal_lab.config.check import check_command, refuse
from multimodal_lab.config.problem import ConfigError
from multimodal_lab.text import expected_one_of, key_values

SEEDS = (0, 1, 2)
SETS = {
    "dewlap": ["experiment=dewlap", "train.epochs=12"],
    "emoji": ["experiment=emoji_styles", "data.size=32", "backbone.widths=[16,32]", "train.epochs=2"],
}
QUIET = ["log=none", "figures=[]", "train.validate_every=0"]
CLASSIFY = ["fusion=concat", "head=classifier", "loss=cross_entropy", "augment=none", "evaluate=[head]"]
GENTLE = ["adapt=encoders", "adapt.freeze=false", "optim.layer_decay=0.75"]


def run(words: list[str], folder: Path) -> dict[str, float]:
    """One run of a checked command line, unless it is there already; its summary."""
    from multimodal_lab.experiment import run as experiment

    if not (folder / "summary.json").is_file():
        jobs = check_command(words)
        assert jobs is not None
        refuse(jobs.absent)
        experiment.run(compose.composed(words), folder)
    found: dict[str, float] = json.loads((folder / "summary.json").read_text())
    return found


def main() -> None:
    words, rest = key_values(sys.argv[1:], {"out"})
    name = rest[0] if rest else ""
    if name not in SETS:
        sys.exit(f"{__doc__}\nerror: {name or 'nothing'}: {expected_one_of(name, SETS)}")
    resolvers.register()
    out = Path(words.get("out", f"runs/fine_tune_{name}"))
    told: dict[str, list[float]] = {"fine-tuned": [], "from scratch": []}
    try:
        for seed in SEEDS:
            own = [*SETS[name], *QUIET, f"seed={seed}", *rest[1:]]
            run([*own, "evaluate=[collapse]"], out / f"pretrained_{seed}")
            begins = [*GENTLE, f"adapt.runs=[{out / f'pretrained_{seed}'}]"]
            for what, more in (("fine-tuned", begins), ("from scratch", [])):
                found = run([*own, *CLASSIFY, *more], out / f"{what.replace(' ', '_')}_{seed}")
                (score,) = [v for k, v in found.items() if k.startswith("head/") and k.endswith("/balanced_accuracy")]
                told[what].append(score)
    except ConfigError as error:
        sys.exit(f"error: {error}")
    for what, scores in told.items():
        each = ", ".join(f"{s:.3f}" for s in scores)
        print(f"{name}: {what}: balanced accuracy {np.mean(scores):.3f} ({each}; seeds {', '.join(map(str, SEEDS))})")
    gain = np.subtract(told["fine-tuned"], told["from scratch"])
    print(f"{name}: fine-tuned less from scratch, by seed: {', '.join(f'{g:+.3f}' for g in gain)}")


if __name__ == "__main__":
    main()

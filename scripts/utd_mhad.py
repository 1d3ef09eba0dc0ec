"""Convert UTD-MHAD clips to one table of vectors: python scripts/utd_mhad.py root=/folder out=/folder/utd_mhad.parquet

root holds `index.jsonl` and `sensors.h5` (inertial T x 6, skeleton T x 20 x 3) and, for depth, the clips that the index
names. Each recording is brought to 16 points in time: columns `in_000…` (acceleration and turning rate, and their mean,
standard deviation, least and most), `sk_000…` (joints from the middle of the body) and, with PyAV (`pip install av`),
`de_000…` (8 frames of 12 x 16 pixels, without those that vary for four subjects or fewer: they are constant in some half of
the subjects). Labels: action, subject, trial; split: odd subjects train, even ones test.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

import h5py
import numpy as np
import pandas as pd

POINTS, FRAMES, TALL, WIDE = 16, 8, 12, 16


def resampled(x: np.ndarray, points: int) -> np.ndarray:
    """(T, C) to (points, C), linearly."""
    at = np.linspace(0, len(x) - 1, points)
    return np.stack([np.interp(at, np.arange(len(x)), column) for column in x.T], 1)


def inertial(x: np.ndarray) -> np.ndarray:
    """(T, 6) to (16 * 6 + 4 * 6,)."""
    return np.concatenate([resampled(x, POINTS).ravel(), x.mean(0), x.std(0), x.min(0), x.max(0)])


def skeleton(x: np.ndarray) -> np.ndarray:
    """(T, 20, 3) to (16 * 60,), from where the middle of the body is at first."""
    x = x.astype(np.float64)
    return resampled((x - x[:1].mean(1, keepdims=True)).reshape(len(x), -1), POINTS).ravel()


def depth(path: Path) -> np.ndarray:
    """A clip to (8 * 12 * 16,): 8 frames, each pixel the mean of those it stands for."""
    import av

    with av.open(str(path)) as clip:
        frames = np.stack([f.to_ndarray(format="gray") for f in clip.decode(video=0)]).astype(np.float64)
    chosen = frames[np.linspace(0, len(frames) - 1, FRAMES).round().astype(int)]
    rows, columns = chosen.shape[1] // TALL, chosen.shape[2] // WIDE
    cut = chosen[:, : rows * TALL, : columns * WIDE]
    return cut.reshape(FRAMES, TALL, rows, WIDE, columns).mean((2, 4)).ravel()


def without_empty(table: pd.DataFrame) -> pd.DataFrame:
    """The table without the depth pixels that are constant for half of the subjects: for that half nothing scales them."""
    pixels = [c for c in table if c.startswith("de_")]
    varies = table.groupby("subject")[pixels].nunique().gt(1).sum()
    return table.drop(columns=[c for c in pixels if varies[c] <= table.subject.nunique() // 2])


def main() -> None:
    given = dict(a.split("=", 1) for a in sys.argv[1:] if "=" in a)
    if given.keys() != {"root", "out"}:
        sys.exit(f"error: expected root=… and out=…\n{__doc__}")
    root = Path(given["root"])
    clips = [json.loads(line) for line in (root / "index.jsonl").read_text().splitlines()]
    try:
        import av  # noqa: F401
    except ImportError:
        print("no PyAV: without depth (pip install av)")
    rows = []
    with h5py.File(root / "sensors.h5") as file:
        one, two = file["inertial"][:], file["skeleton"][:]
    for i, clip in enumerate(clips):
        a, b = clip["inertial_start"], clip["skeleton_start"]
        parts = {"in": inertial(one[a : a + clip["n_inertial"]]), "sk": skeleton(two[b : b + clip["n_skeleton"]])}
        if "av" in sys.modules:
            parts["de"] = depth(root / clip["depth"])
        facts = {"id": clip["id"], "action": clip["name"], "subject": clip["subject"], "trial": clip["trial"],
                 "split": clip["split"]}  # fmt: skip
        rows.append(facts | {f"{k}_{j:04d}": v for k, x in parts.items() for j, v in enumerate(x.astype(np.float32))})
        if sys.stderr.isatty():
            print(f"\r{i + 1} of {len(clips)} clips", end="", file=sys.stderr)
    table = without_empty(pd.DataFrame(rows))
    table.to_parquet(given["out"], index=False)
    print(f"{len(table)} clips, {table.shape[1] - 5} values each, in {given['out']}")


if __name__ == "__main__":
    main()

"""How often the 95 % intervals of the information about a label hold the truth, and how often its nulls err, in simulated codes.

python scripts/bench/information_coverage.py binary 100   # coverage of each part, a label of two classes
python scripts/bench/information_coverage.py classes 100  # of labels of three and four classes
python scripts/bench/information_coverage.py null 100     # the rate of p <= .05 of each part where codes tell nothing
python scripts/bench/information_coverage.py classes 100 2  # the second size alone

Codes: a signal in each modality with as many values as the label has classes, and beside it as many values of no meaning as the
codes have; truth: the decomposition of the distribution they are drawn from.
"""

from __future__ import annotations

import argparse
import os
from collections.abc import Iterator

os.environ.setdefault("OMP_NUM_THREADS", "1")
import numpy as np

from multimodal_lab.stats.broja import decompose
from multimodal_lab.stats.pid import PARTS, resampled_estimate
from multimodal_lab.stats.resample import Resampled


def gates(error: float = 0.1) -> Iterator[tuple[str, np.ndarray]]:
    """(name, joint distribution (2, 2, 2) of two signals and a label)."""
    a, b, y = np.indices((2, 2, 2))

    def noisy(wrong: np.ndarray) -> np.ndarray:
        return np.where(wrong, error, 1 - error)

    def normed(p: np.ndarray) -> np.ndarray:
        whole: np.ndarray = p / p.sum()
        return whole

    yield "nothing", normed(np.ones((2, 2, 2)))
    yield "redundant", normed((a == b) * noisy(a != y))
    yield "copies with noise", normed(noisy(a != y) * noisy(b != y))
    yield "unique", normed(noisy(a != y))
    yield "AND", normed((a & b) == y)
    yield "XOR", normed((a ^ b) == y)
    yield "XOR with noise", normed(noisy((a ^ b) != y))
    yield "mixed", normed(np.where(a == b, 0.3, 0.2) * noisy((a | b) != y))


def drawn(
    p: np.ndarray, values: int, samples: int, groups: int, draw: np.random.Generator
) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Codes of so many values, label and groups (N,); where groups are fewer than samples, six rows of ten are their group's."""

    def rows(count: int) -> np.ndarray:
        cell = np.stack(np.unravel_index(draw.choice(p.size, count, p=p.ravel()), p.shape), 1)
        cell[:, :2] += p.shape[0] * draw.integers(0, values // p.shape[0], (count, 2))
        return cell

    of = np.arange(samples) % groups
    alike = (draw.random(samples) < 0.6) & (groups < samples)
    found = np.where(alike[:, None], rows(groups)[of], rows(samples))
    return found[:, 0], found[:, 1], found[:, 2], of


# classes, values of a code, samples, groups
BINARY = ((2, 2, 100, 100), (2, 4, 100, 100), (2, 4, 200, 200), (2, 4, 500, 500), (2, 4, 1000, 1000), (2, 4, 1000, 200),
          (2, 8, 200, 200), (2, 8, 500, 500), (2, 8, 1000, 1000), (2, 4, 200, 40))  # fmt: skip
CLASSES = ((3, 3, 400, 400), (3, 3, 1000, 1000), (4, 4, 1000, 1000), (3, 3, 2000, 400))
NULL = ((2, 2, 200, 200), (3, 2, 200, 200), (2, 4, 500, 500), (3, 4, 500, 500), (2, 4, 500, 50))


def tables(classes: int, error: float = 0.1) -> Iterator[tuple[str, np.ndarray]]:
    """(name, joint distribution (K, K, K)) of two signals and a label of K classes; wrong signals are any other value."""
    a, b, y = np.indices((classes,) * 3)

    def noisy(wrong: np.ndarray) -> np.ndarray:
        return np.where(wrong, error / (classes - 1), 1 - error)

    for name, p in (
        ("nothing", np.ones((classes,) * 3)),
        ("redundant", (a == b) * noisy(a != y)),
        ("copies with noise", noisy(a != y) * noisy(b != y)),
        ("unique", noisy(a != y)),
        ("sum", ((a + b) % classes == y).astype(float)),
    ):
        yield name, p / p.sum()


def coverage(sizes: list[tuple[int, int, int, int]], studies: int) -> None:
    """A row a table and size: mean estimate and coverage of each part."""
    print(f"Information in bits, {studies} studies a row: mean of truth, coverage (or none)")
    for count, values, samples, groups in sizes:
        for name, p in gates() if count == 2 else tables(count):
            known = decompose(p)
            found = [
                resampled_estimate(
                    *drawn(p, values, samples, groups, np.random.default_rng([i, samples])), permutations=0
                )
                for i in range(studies)
            ]
            cells = [_part(part, [f[part] for f in found], getattr(known, part)) for part in PARTS]
            size = f"{count} classes, {values} codes, {samples} samples of {groups} groups"
            print(f"{size}, {name}: {'; '.join(cells)}", flush=True)


def nulls(sizes: list[tuple[int, int, int, int]], studies: int) -> None:
    """A row a size: how often each part has p <= .05, of 19 permutations, where .05 is nominal."""
    print(f"Rate of p <= .05 over {studies} studies a row of codes that tell nothing")
    for count, values, samples, groups in sizes:
        p, hits = np.full((2, 2, count), 1 / (4 * count)), dict.fromkeys(PARTS, 0)
        for i in range(studies):
            draw = np.random.default_rng([i, samples, count])
            found = resampled_estimate(*drawn(p, values, samples, groups, draw), permutations=19, seed=i)
            for part in PARTS:
                hits[part] += int(found[part].p <= 0.05)
        cells = "; ".join(f"{part} {n / studies:.3f}" for part, n in hits.items())
        print(f"{count} classes, {values} codes, {samples} samples of {groups} groups: {cells}", flush=True)


def _part(name: str, found: list[Resampled], known: float) -> str:
    mean = f"{name} {np.mean([one.value for one in found]):.2f} of {known:.2f}"
    have = [one for one in found if not np.isnan(one.low)]
    if not have:
        return f"{mean}, none"
    # 1e-4: how far the decomposition of the truth itself is right
    return f"{mean}, {np.mean([one.low - 1e-4 <= known <= one.high + 1e-4 for one in have]):.2f}"


def main() -> None:
    ask = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    ask.add_argument("table", choices=("binary", "classes", "null"))
    ask.add_argument("studies", nargs="?", type=int, default=100)
    ask.add_argument("size", nargs="?", type=int, help="the number of one size, from 1")
    given = ask.parse_args()
    sizes = {"binary": BINARY, "classes": CLASSES, "null": NULL}[given.table]
    own = list(sizes if given.size is None else sizes[given.size - 1 : given.size])
    (nulls if given.table == "null" else coverage)(own, given.studies)


if __name__ == "__main__":
    main()

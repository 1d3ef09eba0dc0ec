"""How often the overlap's 95 % intervals hold the truth, and how often its nulls err, in simulated spaces and codes.

python scripts/bench/overlap_coverage.py spaces 100       # coverage of each measure of two spaces, 100 studies a row
python scripts/bench/overlap_coverage.py null 100         # the rate of p <= .05 where the spaces are independent
python scripts/bench/overlap_coverage.py information 100  # coverage of each part of the information about a label
python scripts/bench/overlap_coverage.py spaces 100 3     # the third world alone

Spaces: two of one width, unit variance falling to .09 over their directions, half of it of the group and half of the sample; a
share of it is the same in both (0: independent, 1: identical). Truth: the value in 1,500 groups of one sample, the mean of four
draws; of mutual k-NN, whose value depends on how many samples there are, the mean over studies.
Codes: a binary signal in each modality and a label, with as many values of no meaning beside it as the codes have; truth: the
decomposition of the distribution they are drawn from.
"""

from __future__ import annotations

import argparse
import os
from collections.abc import Iterator
from dataclasses import dataclass

os.environ.setdefault("OMP_NUM_THREADS", "1")
import numpy as np

from multimodal_lab.stats.broja import decompose
from multimodal_lab.stats.joint import spread, together
from multimodal_lab.stats.overlap import overlap
from multimodal_lab.stats.pid import resampled_estimate
from multimodal_lab.stats.resample import Resampled

SHARES = (0.0, 0.5, 1.0)
PARTS = ("redundant", "unique1", "unique2", "synergy")


@dataclass(frozen=True)
class World:
    """So many groups, samples a group (the median, where sizes differ log-normally by `unequal`), and dimensions."""

    groups: int
    samples: int
    width: int
    unequal: float = 0.0

    @property
    def name(self) -> str:
        """As the tables call it."""
        return f"{self.groups} x {self.samples}{', unequal' if self.unequal else ''}, {self.width} dimensions"


WORLDS = (
    World(8, 10, 16), World(12, 5, 4), World(12, 5, 64), World(12, 40, 16), World(20, 10, 16), World(20, 8, 8, 1.0),
    World(40, 5, 4), World(40, 5, 64), World(120, 1, 32),
)  # fmt: skip


def spaces(world: World, share: float, draw: np.random.Generator) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """x, y (N, D) and groups (N,)."""
    sizes = np.full(world.groups, world.samples)
    if world.unequal:
        sizes = np.maximum(1, np.round(sizes * draw.lognormal(0, world.unequal, world.groups))).astype(int)
    groups = np.repeat(np.arange(world.groups), sizes)
    loud = np.linspace(1, 0.3, world.width)

    def hidden() -> np.ndarray:
        own = draw.normal(size=(world.groups, world.width))[groups] + draw.normal(size=(len(groups), world.width))
        scaled: np.ndarray = own / 2**0.5 * loud
        return scaled

    both, one, two = hidden(), hidden(), hidden()
    x, y = (share**0.5 * both + (1 - share) ** 0.5 * own + 0.3 for own in (one, two))
    # the second modality lies elsewhere, by so much as it is its own
    y[:, 0] += 1 - share
    return x, y, groups


def told(x: np.ndarray, y: np.ndarray, groups: np.ndarray, permutations: int, seed: int = 0) -> dict[str, Resampled]:
    """Every measure by name."""
    found = overlap(x, y, groups, permutations=permutations, intervals=not permutations, seed=seed)
    found |= together(x, y, groups, permutations=permutations, seed=seed)
    return found | ({} if permutations else {"uniformity": spread(x, groups)})


def truth(world: World, share: float) -> dict[str, float]:
    """Values in the population."""
    draw, found = np.random.default_rng(1), []
    for _ in range(4):
        x, y, _ = spaces(World(1500, 1, world.width), share, draw)
        own = overlap(x, y, limit=len(x), intervals=False, permutations=0)
        found.append(own | together(x, y, permutations=0) | {"uniformity": spread(x)})
    return {name: float(np.mean([own[name].value for own in found])) for name in found[0]}


def coverage(worlds: list[World], studies: int) -> None:
    """A row a world and share: coverage, or the mean error where a measure has no interval."""
    print(f"Coverage of 95 % intervals over {studies} studies a row; +/-: mean error of a measure without an interval")
    for world in worlds:
        for share in SHARES:
            found = [told(*spaces(world, share, np.random.default_rng([i, world.groups])), 0) for i in range(studies)]
            known = truth(world, share) | {"mutual_knn": float(np.mean([f["mutual_knn"].value for f in found]))}
            cells = [f"{name} {_cell([f[name] for f in found], known[name])}" for name in found[0]]
            print(f"{world.name}, share {share:g}: {'; '.join(cells)}", flush=True)


def _cell(found: list[Resampled], known: float) -> str:
    if np.isnan([one.low for one in found]).all():
        return f"{np.mean([one.value for one in found]) - known:+.2f}"
    # 1e-9: identical spaces have an interval without width
    held = np.mean([one.low - 1e-9 <= known <= one.high + 1e-9 for one in found])
    return f"{held:.2f} ({known:.2f} +- {np.mean([one.high - one.low for one in found]) / 2:.2f})"


def nulls(worlds: list[World], studies: int) -> None:
    """A row a world of independent spaces: how often p <= .05, of 19 permutations, where .05 is nominal."""
    print(f"Rate of p <= .05 over {studies} studies a row of independent spaces (the gap: of one centre)")
    for world in worlds:
        hits: dict[str, int] = {}
        for i in range(studies):
            x, y, groups = spaces(world, 0.0, np.random.default_rng([i, world.groups]))
            y[:, 0] -= 1
            for name, one in told(x, y, groups, 19, i).items():
                hits[name] = hits.get(name, 0) + int(one.p <= 0.05)
        print(f"{world.name}: {'; '.join(f'{name} {n / studies:.3f}' for name, n in hits.items())}", flush=True)


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
        cell = np.stack(np.unravel_index(draw.choice(8, count, p=p.ravel()), (2, 2, 2)), 1)
        cell[:, :2] += 2 * draw.integers(0, values // 2, (count, 2))
        return cell

    of = np.arange(samples) % groups
    alike = (draw.random(samples) < 0.6) & (groups < samples)
    found = np.where(alike[:, None], rows(groups)[of], rows(samples))
    return found[:, 0], found[:, 1], found[:, 2], of


SAMPLES = ((2, 100, 100), (4, 100, 100), (4, 200, 200), (4, 500, 500), (4, 1000, 1000), (4, 1000, 200), (8, 200, 200),
           (8, 500, 500), (8, 1000, 1000), (4, 200, 40))  # fmt: skip


def information(studies: int, chosen: int | None) -> None:
    """A row a gate and size: mean estimate and coverage of each part."""
    print(f"Information in bits, {studies} studies a row: mean of truth, coverage (or none)")
    for values, samples, groups in SAMPLES if chosen is None else SAMPLES[chosen - 1 : chosen]:
        for name, p in gates():
            known = decompose(p)
            found = [
                resampled_estimate(
                    *drawn(p, values, samples, groups, np.random.default_rng([i, samples])), permutations=0
                )
                for i in range(studies)
            ]
            cells = [_part(part, [f[part] for f in found], getattr(known, part)) for part in PARTS]
            print(f"{values} codes, {samples} samples of {groups} groups, {name}: {'; '.join(cells)}", flush=True)


def _part(name: str, found: list[Resampled], known: float) -> str:
    mean = f"{name} {np.mean([one.value for one in found]):.2f} of {known:.2f}"
    have = [one for one in found if not np.isnan(one.low)]
    if not have:
        return f"{mean}, none"
    # 1e-4: how far the decomposition of the truth itself is right
    return f"{mean}, {np.mean([one.low - 1e-4 <= known <= one.high + 1e-4 for one in have]):.2f}"


def main() -> None:
    ask = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    ask.add_argument("table", choices=("spaces", "null", "information"))
    ask.add_argument("studies", nargs="?", type=int, default=100)
    ask.add_argument("world", nargs="?", type=int, help="the number of one world, from 1")
    given = ask.parse_args()
    worlds = list(WORLDS if given.world is None else WORLDS[given.world - 1 : given.world])
    if given.table == "information":
        information(given.studies, given.world)
    else:
        (coverage if given.table == "spaces" else nulls)(worlds, given.studies)


if __name__ == "__main__":
    main()

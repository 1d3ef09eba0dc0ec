"""How often the overlap's 95 % intervals hold the truth, and how often its nulls err, in simulated spaces.

python scripts/bench/overlap_coverage.py spaces 100       # coverage of each measure of two spaces, 100 studies a row
python scripts/bench/overlap_coverage.py null 100         # the rate of p <= .05 where the spaces are independent
python scripts/bench/overlap_coverage.py spaces 100 3     # the third world alone

Spaces: two of one width, unit variance falling to .09 over their directions, half of it of the group and half of the sample; a
share of it is the same in both (0: independent, 1: identical). Truth: the value in 1,500 groups of one sample, the mean of four
draws; of mutual k-NN, whose value depends on how many samples there are, the mean over studies.
The information about a label has a script of its own, information_coverage.py.
"""

from __future__ import annotations

import argparse
import os
from dataclasses import dataclass

os.environ.setdefault("OMP_NUM_THREADS", "1")
import numpy as np

from multimodal_lab.stats.joint import spread, together
from multimodal_lab.stats.overlap import overlap
from multimodal_lab.stats.resample import Resampled

SHARES = (0.0, 0.5, 1.0)


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


def main() -> None:
    ask = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    ask.add_argument("table", choices=("spaces", "null"))
    ask.add_argument("studies", nargs="?", type=int, default=100)
    ask.add_argument("world", nargs="?", type=int, help="the number of one world, from 1")
    given = ask.parse_args()
    worlds = list(WORLDS if given.world is None else WORLDS[given.world - 1 : given.world])
    (coverage if given.table == "spaces" else nulls)(worlds, given.studies)


if __name__ == "__main__":
    main()

"""The floors of the house: which room may import which. `python tests/floors.py` prints the line of CONTRIBUTING.md.

A room is a folder of the package, or a module in its root. It imports only rooms of floors below its own, and rooms of
its own floor where `beside` says so. Component rooms never import each other: each must work in a system without the other.
"""

from __future__ import annotations

from typing import NamedTuple


class Floor(NamedTuple):
    """The rooms of one floor, and whether they may import each other."""

    name: str
    rooms: tuple[str, ...]
    beside: bool = True


FLOORS = (
    Floor(
        "the contract",
        ("types", "build", "keyed", "bounds", "files", "text", "hashing", "stage", "progress", "device", "pretrained"),
    ),
    Floor("components", ("augment", "backbone", "data", "fusion", "head", "loss", "metric"), beside=False),
    Floor("the system and what serves a run", ("system", "optim", "checkpoint", "log", "runs", "stats", "adapt")),
    Floor("training and evaluation", ("train", "evaluate", "cache", "report")),
    Floor("configuration", ("config",)),
    Floor("experiments and studies", ("experiment", "study")),
    Floor("commands", ("run", "embed", "predict", "doctor", "explore", "replay", "serve", "sweep_table", "merge")),
)
BELOW_ALL = "multimodal_lab.data.kinds"  # the list of kinds imports no kind until one is asked for
HYDRA_FROM = 4  # the lowest floor on which Hydra and OmegaConf may be imported


def floor_of(room: str) -> int:
    """The floor of a room; `KeyError` for a room that the table does not know."""
    return {name: number for number, floor in enumerate(FLOORS) for name in floor.rooms}[room]


def line() -> str:
    """The floors from the lowest up, as CONTRIBUTING.md has them."""
    return " ← ".join(f"{floor.name} (`{' '.join(floor.rooms)}`)" for floor in FLOORS)


if __name__ == "__main__":
    print(line())

"""The allow-list of `_target_` names: those of the installed `conf/`, a short fixed list, and extensions."""

from __future__ import annotations

import re
from functools import cache
from pathlib import Path

from multimodal_lab.runs.aliases import renamed_target
from multimodal_lab.text import nearest

# What conf/ may name beyond this project, and the file that defines it: one name, one object.
THIRD_PARTY = {
    "torch.nn.BCEWithLogitsLoss": "torch/nn/modules/loss.py",
    "torch.nn.CrossEntropyLoss": "torch/nn/modules/loss.py",
    "torch.nn.L1Loss": "torch/nn/modules/loss.py",
    "torch.nn.MSELoss": "torch/nn/modules/loss.py",
    "torch.optim.Adam": "torch/optim/adam.py",
    "torch.optim.AdamW": "torch/optim/adamw.py",
    "torch.optim.SGD": "torch/optim/sgd.py",
}
GROUP = "multimodal_lab.targets"  # of entry points: see `extensions`
_TARGET = re.compile(r"\b_target_[\"']?\s*:\s*[\"']?(multimodal_lab(?:\.\w+)+)")


def conf_dir() -> Path:
    """The installed config tree: inside the package (a wheel) or beside it (a checkout)."""
    package = Path(__file__).resolve().parents[1]
    for folder in (package / "conf", package.parent / "conf"):
        if (folder / "config.yaml").is_file():
            return folder
    raise FileNotFoundError(f"no config.yaml in {package}/conf or {package.parent}/conf: install the package again")


@cache
def ours() -> frozenset[str]:
    """Every `multimodal_lab.` name that a file of the installed conf/ gives as a `_target_`."""
    names: set[str] = set()
    for file in conf_dir().rglob("*.yaml"):
        for line in file.read_text(encoding="utf-8").splitlines():
            names.update(_TARGET.findall(line.partition("#")[0]))
    return frozenset(names)


@cache
def entry_points() -> tuple[tuple[str, str], ...]:
    """(name, `pkg.module:Class`) of every entry point of the group that installed packages add names with."""
    from importlib import metadata  # slow, and only a name that nothing else allows needs it

    return tuple((point.name, point.value) for point in metadata.entry_points(group=GROUP))


@cache
def extensions() -> frozenset[str]:
    """Names that installed packages add; `extension_problems` tells of those that name nothing."""
    return frozenset(value.replace(":", ".") for _, value in entry_points())


def is_foreign(name: str) -> bool:
    """Whether only another package could build `name`."""
    return name not in ours() and name not in THIRD_PARTY


def is_allowed(name: str) -> bool:
    """Whether `name` is exactly one of the allowed names."""
    return name in ours() or name in THIRD_PARTY or name in extensions()


@cache
def allowed() -> tuple[str, ...]:
    """Every allowed name, sorted."""
    return tuple(sorted({*ours(), *THIRD_PARTY, *extensions()}))


@cache
def near_allowed(name: str) -> str:
    """What an old name is called today, else the three allowed names most like `name`."""
    return renamed_target(name) or ", ".join(nearest(name, allowed(), 3))


def refusal(name: object, key: str) -> str:
    """The sentence that refuses the target `name` found at `key`."""
    near, count = near_allowed(str(name)), len(allowed())
    return f"{key}={name}: not one of the {count} names that a config may build; nearest: {near}"

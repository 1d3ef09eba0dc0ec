"""The sentence that a failed check says, and the settings that a component is checked at."""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import Any

from hydra import compose, initialize_config_dir
from hydra.utils import instantiate
from omegaconf import OmegaConf

from multimodal_lab.config.annotations import expected
from multimodal_lab.config.signature import signature

CONF = Path(__file__).parents[2] / "conf"
WIDTH = 16


def owed(kept: object, sentence: str) -> None:
    """`AssertionError` with the sentence unless `kept`."""
    if not kept:
        raise AssertionError(sentence)


def factory(group: str, name: str, folder: Path = CONF, **changed: Any) -> Any:
    """What `folder/group/name.yaml` builds, with some of its keys changed; `${label}` is species."""
    node = {**_node(folder, group, name), **changed}
    return instantiate(OmegaConf.create({"label": "species", "node": node}).node, _convert_="all")


@cache
def _node(folder: Path, group: str, name: str) -> dict[str, Any]:
    with initialize_config_dir(str(folder.resolve()), version_base="1.3"):
        node = OmegaConf.to_container(compose(f"{group}/{name}")[group], resolve=False)
    assert isinstance(node, dict)
    return node


def settings(target: str, names: list[str]) -> list[dict[str, Any]]:
    """The defaults, and for each parameter of `target` that says what it may be another value, alone.

    Every other choice, a flag turned, null where it may be, a width where it is null, two layers, a name for a text.
    """
    found: list[dict[str, Any]] = [{}]
    for name, parameter in signature(target).parameters.items():
        if parameter.required or name == "freeze":
            continue
        allows, default = expected(parameter), getattr(parameter.default, "value", None)
        options = (allows, *allows.options)
        if isinstance(default, bool):
            found.append({name: not default})
        elif isinstance(default, str):
            found += [{name: c} for option in options for c in option.choices if c not in (default, "null")]
        elif default is None and any(option.fits("x") for option in options):
            found.append({name: names[-1]})
        elif default is None and allows.fits(WIDTH):
            found.append({name: WIDTH})
        elif default is not None and allows.fits(None):
            found.append({name: None})
        elif default == 1 and allows.fits(2):
            found.append({name: 2})
    return found


def called(name: str, knobs: dict[str, Any]) -> str:
    """A component and what it was set to, as a test is called."""
    return ",".join([name, *(f"{k}={v}" for k, v in knobs.items())])

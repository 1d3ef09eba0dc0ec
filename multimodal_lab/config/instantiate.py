"""Safe replacement of hydra.utils.instantiate: builds only allowed `_target_` names, checked by identity."""

from __future__ import annotations

import functools
import importlib
import re
from collections.abc import Iterator
from typing import Any

from hydra.errors import InstantiationException
from hydra.utils import instantiate
from omegaconf import DictConfig, ListConfig, OmegaConf

from multimodal_lab.config.signature import locate
from multimodal_lab.config.targets import conf_dir as conf_dir
from multimodal_lab.config.targets import is_allowed, refusal
from multimodal_lab.stage import stage

SPECIALS = {"_target_", "_partial_"}
_NODE = re.compile(r"full_key: (\S+)")


class TargetError(ValueError):
    """A config that asks for an object it may not build."""


def safe_instantiate(node: Any, **kwargs: Any) -> Any:
    """Build the object that a config node describes, with plain Python values inside.

    Every `_target_` at any depth must be an allowed name (see `targets`) and resolve to the object of that very name;
    `_args_` and Hydra's other special keys are refused. Nothing is built unless all of it passes: `TargetError` names
    the key path and the nearest allowed names. `kwargs` are objects given by code; one that the config also sets is
    refused.
    """
    plain = _plain(node)
    for target, key in list(targets(plain, "")):
        verify(target, key)
    if not kwargs:
        return _built(plain) if isinstance(plain, dict | list) else plain
    if not isinstance(plain, dict) or "_target_" not in plain:
        raise TargetError(f"a node without a _target_ takes no arguments, but {', '.join(kwargs)} was given")
    if clash := sorted(kwargs.keys() & plain.keys()):
        raise TargetError(f"{plain['_target_']}: {', '.join(clash)} comes from code; remove it from the config")
    factory = _built({**plain, "_partial_": True})
    # Objects go round Hydra, which would turn a dataclass among them into a dict.
    return functools.partial(factory, **kwargs) if plain.get("_partial_") else factory(**kwargs)


def _built(plain: Any) -> Any:
    """What Hydra builds. An error that a component raised is that error again, and notes which node was being built."""
    try:
        return instantiate(plain, _convert_="all")
    except InstantiationException as error:
        cause = error.__cause__
        if not isinstance(cause, Exception):
            raise
        node = _NODE.search(str(error))
    own = plain.get("_target_", "") if isinstance(plain, dict) else ""
    with stage(f"building {_named(node[1], plain) if node else own or 'a node of the config'}"):
        raise cause


def _named(key: str, plain: Any) -> str:
    """A key path of a system's node as its user knows it: `loss clip` for `loss.fn`, `loss label` for `losses.label.fn`."""
    first, _, rest = key.partition(".")
    if first == "losses":
        return f"loss {rest.partition('.')[0]}"
    if first == "loss" and isinstance(node := plain["loss"], dict) and isinstance(fn := node.get("fn"), dict):
        return f"loss {node.get('name') or fn['_target_'].split('.')[-2]}"
    return key


def targets(value: Any, key: str) -> Iterator[tuple[Any, str]]:
    """Every (`_target_`, its key path) in a plain value; refuses the special keys that are not read here."""
    if isinstance(value, dict):
        special = {k for k in value if isinstance(k, str) and k.startswith("_") and k.endswith("_")}
        if extra := sorted(special - SPECIALS):
            raise TargetError(f"{_join(key, extra[0])}: not allowed; only {' and '.join(sorted(SPECIALS))} are read")
        if special and "_target_" not in value:
            raise TargetError(f"{_join(key, sorted(special)[0])}: there is no _target_ beside it")
        if not isinstance(value.get("_partial_", False), bool):
            raise TargetError(f"{_join(key, '_partial_')}={value['_partial_']}: expected true or false")
        if special:
            yield value["_target_"], _join(key, "_target_")
        for k, v in value.items():
            yield from targets(v, _join(key, str(k)))
    elif isinstance(value, list | tuple):
        for i, v in enumerate(value):
            yield from targets(v, _join(key, str(i)))
    elif isinstance(value, str) and "${" in value:
        # A second reading of this text could become a node that was never checked.
        raise TargetError(f"{key}={value}: an interpolation is left after resolving; quote or remove it")


def verify(target: Any, key: str) -> None:
    """Refuse `target` unless it is an allowed name and resolves to the object of that very name."""
    if not isinstance(target, str) or not is_allowed(target):
        raise TargetError(refusal(target, key))
    module, qualname = locate(target)
    found: Any = importlib.import_module(module)
    for part in qualname.split("."):
        found = getattr(found, part, None)
    identity = f"{getattr(found, '__module__', None)}.{getattr(found, '__qualname__', None)}"
    if identity != f"{module}.{qualname}" or not callable(found):
        raise TargetError(f"{key}={target}: resolves to {identity}, which is another object")
    if _by_path(target) is not found:
        raise TargetError(f"{key}={target}: Hydra would build another object than {module}.{qualname}")


def _by_path(target: str) -> Any:
    parts = target.split(".")
    for cut in range(len(parts) - 1, 0, -1):
        try:
            found: Any = importlib.import_module(".".join(parts[:cut]))
        except ModuleNotFoundError:
            continue
        for part in parts[cut:]:
            found = getattr(found, part, None)
        return found
    return None


def _plain(node: Any) -> Any:
    if isinstance(node, DictConfig | ListConfig):
        return OmegaConf.to_container(node, resolve=True, throw_on_missing=True)
    if isinstance(node, dict | list):
        return OmegaConf.to_container(OmegaConf.create(node), resolve=True, throw_on_missing=True)
    return node


def _join(key: str, name: str) -> str:
    return f"{key}.{name}" if key else name

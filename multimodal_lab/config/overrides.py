"""Parse command-line overrides with Hydra's grammar; errors become `Problem`s, not tracebacks."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from dataclasses import replace
from functools import lru_cache
from pathlib import Path
from typing import Any

from hydra.core.override_parser.types import Override
from hydra.errors import HydraException

from multimodal_lab.config.annotations import expected
from multimodal_lab.config.compose import read
from multimodal_lab.config.problem import Problem, not_one_of, show
from multimodal_lab.config.signature import signature
from multimodal_lab.text import distinct, nearest

# What of Hydra's own node may be set from the command line; the rest names classes or files to load.
HYDRA = ["run.dir", "sweep.dir", "sweep.subdir", "job.name", "job.chdir", "job.num", "job.id", "output_subdir"]
HYDRA += ["launcher", "sweeper", "verbose", "mode", "searchpath", "job_logging.root.level"]
FOLDERS = {"experiment", "study"}  # groups whose choices lie in folders of their own too: experiment=folder/name
CONFIG = "multimodal_lab.config.schema.Config"
PLURAL = {"backbone": "backbones", "head": "heads", "loss": "losses"}
SOURCES = "data.source.sources."  # where data sets stand within a joined or mixed one


@lru_cache
def groups(folders: tuple[Path, ...]) -> dict[str, list[str]]:
    """{group: choices} of the config folders; the root's own files are no group, and a name that begins with _ is no choice:
    other files take it by their defaults lists."""
    found: dict[str, set[str]] = {}
    for folder in folders:
        for where, _, files in os.walk(folder):
            parts = Path(where).relative_to(folder).parts
            names = [f.removesuffix(".yaml") for f in files if f.endswith(".yaml") and f[0] != "_"]
            found.setdefault("/".join(parts), set()).update(names)
            if len(parts) > 1 and parts[0] in FOLDERS:
                found.setdefault(parts[0], set()).update("/".join([*parts[1:], name]) for name in names)
    return {group: sorted(names) for group, names in found.items() if group and names}


class Choices:
    """The part of Hydra's config loader that `fusion=glob(*)` asks."""

    def __init__(self, known: dict[str, list[str]]) -> None:
        self.known = known

    def get_group_options(self, group_name: str, results_filter: Any = None) -> list[str]:
        """The choices of a group; none where there is no such group, which is reported elsewhere."""
        return self.known.get(group_name, [])


def parse(lines: list[str], keys: list[str], known: dict[str, list[str]]) -> tuple[list[Override], list[Problem]]:
    """The overrides that can be read, and a problem for each that can't, with the nearest of `keys`."""
    good: list[Override] = []
    bad: list[Problem] = []
    for line in map(_in_full, lines):
        key, equals, value = line.lstrip("+~").partition("=")
        try:
            override = replace(read(quoted_pattern(line)), config_loader=Choices(known))  # type: ignore[arg-type]
            if not override.key_or_group:
                raise ValueError("no key")
        except (HydraException, ValueError, RecursionError) as error:
            near = nearest(key.split(".")[0].split("@")[0], keys)
            expects = "expected KEY=VALUE; quote a value that holds any of , : = { } [ ] ( ) as KEY='\"VALUE\"'"
            reason = "" if not equals else f" ({str(error).splitlines()[0]})" if str(error) else ""
            bad.append(Problem(key or "KEY", value, expects + reason, f"{near[0]}=…" if near else ""))
            continue
        good.append(override)
    return good, bad


def _in_full(line: str) -> str:
    """The line with its value's `~` in full: behind `KEY=` no shell expands it, and Hydra's grammar has no such value."""
    key, _, value = line.partition("=")
    return f"{key}={quoted(os.path.expanduser(value))}" if value.startswith("~/") else line


def quoted(text: str) -> str:
    """A text as a value of Hydra's grammar."""
    # It takes a backslash as it is, but before a quote, where each of them is written twice.
    return "'" + re.sub(r"(\\*)('|$)", lambda m: m[1] * 2 + ("\\'" if m[2] else ""), text) + "'"


def quoted_pattern(line: str) -> str:
    """The line with its value quoted where it is a pattern (a regular expression, `{name}_{sex}`), as a shell leaves it."""
    key, equals, value = line.partition("=")
    if not equals or key.rpartition(".")[2] != "pattern" or value[:1] in {"'", '"'} or not set(value) & set("(){}[]"):
        return line
    return f"{key}={quoted(value)}"


def is_choice(override: Override, known: dict[str, list[str]]) -> bool:
    """Whether the override chooses files of a group, as opposed to setting a value in the composed config."""
    if override.key_or_group.startswith("hydra/"):
        return True
    value = None if override.is_sweep_override() else override.value()
    return override.key_or_group in known and not isinstance(value, dict)


def takes_several(group: str) -> bool:
    """Whether choices of a group stand side by side, as those of `evaluate` do: its annotation is a mapping of names.

    Two choices of any other group are merged into one node, of which the last alone is built.
    """
    known = signature(CONFIG).parameters.get(group)
    if known is None:
        return "/" not in group and group not in FOLDERS  # a group of the user's own: nothing is known of it
    found = expected(known)
    return bool(found.items) and found.fits({})


def choice_problems(override: Override, known: dict[str, list[str]]) -> Iterator[Problem]:
    """Wrong groups, wrong choices, and keys of Hydra's own that a command line may not set."""
    group, key = override.key_or_group, override.get_key_element().lstrip("+~")
    values = values_of(override)
    if override.is_sweep_override() and len(distinct(values)) < len(values):
        near = f"{key}={','.join(map(show, distinct(values)))}"
        yield Problem(key, override.get_value_string(), "one value stands there twice; expected each once", near)
    if override.is_hydra_override():
        yield from _hydra_problems(group, override, values)
    elif group in known:
        for value in values:
            if isinstance(value, dict):
                if group != "modality" or override.package is not None:
                    expects = f"expected the name of a choice ({', '.join(known[group])}), then {group}.KEY=VALUE"
                    yield Problem(key, value, expects, f"{key}={known[group][0]}")
            elif value is None and override.is_delete():
                continue
            else:
                yield from list_problems(override.get_key_element(), value, known[group])
                for name in value if isinstance(value, list) else [value]:
                    if not isinstance(name, str) or name not in known[group]:
                        yield not_one_of(key, name, known[group])
        package = "" if group == "data" and str(override.package).startswith(SOURCES) else override.package
        if package and "." in package and package.split(".")[0] not in PLURAL.values():
            near = f"{PLURAL.get(group, group)}.{package.partition('.')[2]}"
            yield Problem(
                key, values[0] if values else None, f"{override.package} is no place for a {group}", f"{group}@{near}"
            )
    elif "/" in group or override.package is not None:
        near = nearest(group, known)[0]
        yield Problem(key, values[0] if values else None, f"no such group; there are {', '.join(known)}", f"{near}=…")


def list_problems(key: str, given: Any, choices: list[str]) -> Iterator[Problem]:
    """A list where one choice is taken, for which a sweep is meant; a choice that stands in a list twice."""
    if not isinstance(given, list):
        return
    names = distinct(n if n in choices else nearest(n, choices)[0] for n in map(str, given) if choices)
    if not takes_several(key.lstrip("+~").partition("@")[0]):
        expects = "one choice is taken here, not a list: of two merged into one the last alone is built"
        first = "none" if "none" in choices else next(iter(choices), "…")
        yield Problem(
            key, given, expects, f"-m {key}={','.join(names)}" if len(names) > 1 else f"{key}={(names or [first])[0]}"
        )
    elif len(distinct(given)) < len(given):
        yield Problem(key, given, "one choice stands there twice; expected each once", f"{key}={show(names)}")


def _hydra_problems(group: str, override: Override, values: list[Any]) -> Iterator[Problem]:
    if group.startswith("hydra/"):
        yield from (p for v in values for p in list_problems(group, v, []))
    rest = group.removeprefix("hydra").lstrip("./")
    safe = group.startswith("hydra/") or any(rest == k or rest.startswith(f"{k}.") for k in HYDRA)
    if not safe or "_target_" in group or any(_names_code(v) for v in values):
        near = nearest(rest, HYDRA)[0]
        yield Problem(
            group, values[0] if values else None, f"can't be set here; hydra has {', '.join(HYDRA)}", f"hydra.{near}=…"
        )


def _names_code(value: Any) -> bool:
    if isinstance(value, dict):
        return any(str(k) in {"()", "_target_", "class"} or _names_code(v) for k, v in value.items())
    return isinstance(value, list) and any(_names_code(v) for v in value)


def values_of(override: Override) -> list[Any]:
    """The value, or all values of a sweep; [] for an interval."""
    if override.is_sweep_override():
        return [Override._convert_value(v) for v in override.sweep_iterator()] if override.is_discrete_sweep() else []
    return [override.value()]

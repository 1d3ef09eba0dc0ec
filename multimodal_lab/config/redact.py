"""Redact secrets from everything a run writes: by key name, by form of the value, by environment variables.

What can't be recognised can't be hidden: a password under an innocent key is written unchanged. Give secrets through
`${oc.env:NAME}`: such values are written as that reference, never as what it resolves to.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Mapping
from typing import Any

HIDDEN = "***"
_KEY = re.compile(
    r"(^|[_.-])(api_?key|access_?key|secret_?key|token|secret|password|passwd|credentials?)$", re.IGNORECASE
)
_VARIABLE = re.compile(r"(KEY|TOKEN|SECRET|PASSWORD|PASSWD|CREDENTIALS?)$", re.IGNORECASE)
_LOOKS = re.compile(
    r"(?<![A-Za-z0-9])(hf_[A-Za-z0-9]{20,}|gh[opsu]_[A-Za-z0-9]{20,}|github_pat_\w{20,}|glpat-[\w-]{16,}|sk-[\w-]{20,}"
    r"|(?:AKIA|ASIA)[A-Z0-9]{16}|xox[abprs]-[\w-]{10,}|AIza[\w-]{30,}|wandb_v\d_\w{20,})(?![A-Za-z0-9])"
)
_LOGIN = re.compile(r"(?<=://)[^/\s:@]*:[^/\s@]+(?=@)")
SHORTEST = 8  # of an environment variable's value: a shorter one would blot out ordinary words


def text(said: str, known: Iterable[str] = ()) -> str:
    """`said` without what looks like a secret, a login in an address, and the values of secret environment variables."""
    for value in sorted({*environment(), *known}, key=len, reverse=True):
        said = said.replace(value, HIDDEN)
    return _LOGIN.sub(HIDDEN, _LOOKS.sub(HIDDEN, said))


def environment() -> set[str]:
    """The values of environment variables whose names end in KEY, TOKEN, SECRET, PASSWORD and the like."""
    return {v for k, v in os.environ.items() if _VARIABLE.search(k) and len(v) >= SHORTEST}


def config(resolved: Any, raw: Any, key: str = "") -> Any:
    """A resolved config fit to be written: secrets hidden, and values from the environment as they were referred to.

    `raw` is the same config unresolved. A value that interpolates `oc.env`, or that holds what such a value resolved to,
    stays the interpolation that it was, so that the written config still works where the environment holds it.
    """
    return _hidden(resolved, raw, key, _from_environment(resolved, raw))


def _hidden(value: Any, raw: Any, key: str, known: frozenset[str]) -> Any:
    if isinstance(raw, str) and "${" in raw and ("oc.env" in raw or any(k in str(value) for k in known)):
        return raw
    if isinstance(value, Mapping):
        return {k: _hidden(v, _below(raw, k), str(k), known) for k, v in value.items()}
    if isinstance(value, list):
        return [_hidden(v, _below(raw, i), key, known) for i, v in enumerate(value)]
    if not isinstance(value, str):
        return value
    return HIDDEN if value and _KEY.search(key) else text(value, known)


def _from_environment(value: Any, raw: Any) -> frozenset[str]:
    """What the config's own references to the environment resolved to."""
    if isinstance(value, Mapping):
        return frozenset().union(*(_from_environment(v, _below(raw, k)) for k, v in value.items()))
    if isinstance(value, list):
        return frozenset().union(*(_from_environment(v, _below(raw, i)) for i, v in enumerate(value)))
    long = isinstance(value, str) and len(value) >= SHORTEST
    return frozenset({value}) if long and isinstance(raw, str) and "oc.env" in raw else frozenset()


def _below(raw: Any, key: Any) -> Any:
    """The unresolved value at `key`; None below a node that is one interpolation as a whole."""
    if isinstance(raw, Mapping):
        return raw.get(key)
    return raw[key] if isinstance(raw, list) and isinstance(key, int) and key < len(raw) else None

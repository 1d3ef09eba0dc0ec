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
_SECRET = r"(?:api|access|secret|private|signing|account)_?key|token|secret|password|passwd|passphrase|credentials?"
_KEY = re.compile(rf"(^|[_.-])({_SECRET})$", re.IGNORECASE)
# `token=…` in an address, a typed line or a sentence, and `token: …` in a typed dict.
_PAIR = re.compile(rf"(?i)((?:^|[^A-Za-z0-9])(?:{_SECRET}|signature|sig)[\"']?\s?=\s?[\"']?)[^\s&\"',;)}}\]]+")
_ITEM = re.compile(rf"(?i)((?:^|[^A-Za-z0-9])(?:{_SECRET})[\"']?\s?:\s?[\"']?)[^\s\"',}}\]]+")
# Words of a variable's name: `DB_PASS`, `GH_PAT`, `SENTRY_DSN`.
_WORDS = {"PASS", "PW", "PWD", "PAT", "AUTH", "DSN", "COOKIE", "JWT", "BEARER", "CRED", "CREDS", "LOGIN", "SIGNATURE"}
_VARIABLE = re.compile(
    r"(KEY|TOKEN|SECRET|PASSWORD|PASSWD|PASSPHRASE|CREDENTIAL)S?(_(ID|B64|BASE64|JSON|FILE|PEM))?$", re.IGNORECASE
)
_NO_SECRETS = {"PWD", "OLDPWD", "SSH_AUTH_SOCK"}
_LOOKS = re.compile(
    r"(?<![A-Za-z0-9])(hf_[A-Za-z0-9]{20,}|gh[opsu]_[A-Za-z0-9]{20,}|github_pat_\w{20,}|glpat-[\w-]{16,}|sk-[\w-]{20,}"
    r"|(?:AKIA|ASIA)[A-Z0-9]{16}|xox[abprs]-[\w-]{10,}|AIza[\w-]{30,}|wandb_v\d_\w{20,})(?![A-Za-z0-9])"
)
_LOGIN = re.compile(r"(?<=://)[^/\s@]+(?=@)")
SHORTEST = 8  # of an environment variable's value: a shorter one would blot out ordinary words
LINE = 16  # of a line of a longer one, such as a private key
read: dict[str, str] = {}  # {value: variable} of the environment that a config of this process has referred to


def text(said: str, known: Iterable[str] = ()) -> str:
    """`said` without what looks like a secret, a login in an address, and the values of secret environment variables.

    Any other value of the environment that a config has referred to becomes that reference.
    """
    return _without(said, {*environment(), *known})


def _without(said: str, secrets: Iterable[str]) -> str:
    for value in sorted(secrets, key=len, reverse=True):
        said = said.replace(value, HIDDEN)
    for value in sorted(read, key=len, reverse=True):
        said = said.replace(value, f"${{oc.env:{read[value]}}}")
    return _PAIR.sub(_behind, _LOGIN.sub(HIDDEN, _LOOKS.sub(HIDDEN, said)))


def line(typed: str) -> str:
    """An override as it was typed, the value of a secret key hidden, and such keys of a dict, too."""
    key, equals, value = typed.partition("=")
    if equals and value and _KEY.search(key) and "${" not in value:
        return f"{key}={HIDDEN}"
    return text(_ITEM.sub(_behind, typed))


def _behind(found: re.Match[str]) -> str:
    return found[0] if "${" in found[0] else found[1] + HIDDEN


def environment() -> set[str]:
    """The values of environment variables whose names say that they are secret, and as Python shows them in a traceback."""
    found = {v for k, v in os.environ.items() if is_secret(k) and len(v) >= SHORTEST}
    lines = {own for v in found if "\n" in v for own in v.splitlines() if len(own) >= LINE}
    return found | lines | {repr(v)[1:-1] for v in found}


def is_secret(variable: str) -> bool:
    """Whether a variable's name ends in KEY, TOKEN, SECRET, PASSWORD and the like, or holds a word such as PASS or DSN."""
    if variable in _NO_SECRETS:
        return False
    return bool(_VARIABLE.search(variable) or _WORDS & {*variable.upper().split("_")})


def note_read(variable: str, value: str) -> None:
    """Remember a value of the environment that a config refers to."""
    if len(value) >= SHORTEST:
        read[value] = variable


def config(resolved: Any, raw: Any, key: str = "") -> Any:
    """A resolved config fit to be written: secrets hidden, and values from the environment as they were referred to.

    `raw` is the same config unresolved. A value that interpolates `oc.env`, or that holds what such a value resolved to,
    stays the interpolation that it was, so that the written config still works where the environment holds it.
    """
    known = _from_environment(resolved, raw)
    return _hidden(resolved, raw, key, known, known | environment())


def plain(value: Any, key: str = "") -> Any:
    """Any plain value fit to be written; of a list, each text is taken for an override as it was typed."""
    if isinstance(value, Mapping):
        return {k: plain(v, str(k)) for k, v in value.items()}
    if isinstance(value, list | tuple):
        return [line(v) if isinstance(v, str) else plain(v, key) for v in value]
    if not isinstance(value, str):
        return value
    return HIDDEN if value and _KEY.search(key) and "${" not in value else line(value)


def _hidden(value: Any, raw: Any, key: str, known: frozenset[str], secrets: frozenset[str]) -> Any:
    """known: what `raw` refers to in the environment, itself among the `secrets`."""
    if isinstance(raw, str) and "${" in raw and ("oc.env" in raw or any(k in str(value) for k in known)):
        return raw
    if isinstance(value, Mapping):
        return {k: _hidden(v, _below(raw, k), str(k), known, secrets) for k, v in value.items()}
    if isinstance(value, list):
        return [_hidden(v, _below(raw, i), key, known, secrets) for i, v in enumerate(value)]
    if not isinstance(value, str):
        return value
    return HIDDEN if value and _KEY.search(key) else _without(value, secrets)


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

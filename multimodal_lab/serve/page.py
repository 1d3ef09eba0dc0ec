"""The page and its parts: one template of names that are escaped, one style, one script."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any

import jinja2

from multimodal_lab.files import as_json
from multimodal_lab.serve.uploads import SORTS

HERE = Path(__file__).parent
SCRIPTS = ("elements.js", "fields.js", "results.js", "main.js")  # in the order that they need each other


def html(run: Mapping[str, Any]) -> str:
    """The page of a run; all that it shows of data comes later, as JSON, and is set as text."""
    accepted = {kind for one in run["streams"] for kind in one["accepts"]}
    streams = sorted(run["streams"], key=lambda one: "text" not in one["accepts"])  # words are the first thing to try
    return _rendered(
        "template.html.j2",
        run=run,
        streams=streams,
        worded="text" in accepted,
        sorts=[sort for sort in SORTS if sort in accepted],
    )


def docs(described: Mapping[str, Any], where: str) -> str:
    """A readable page of the OpenAPI description of the server at an address."""
    return _rendered("docs.html.j2", api=described, where=where.rstrip("/"), pretty=_pretty)


def style() -> str:
    """The style of both pages."""
    return _text("style.css")


def script() -> str:
    """The script of the page, in a scope of its own."""
    return "(() => {\n'use strict';\n" + "\n".join(map(_text, SCRIPTS)) + "\n})();\n"


def _pretty(value: Any) -> str:
    return as_json(value, indent=1, ensure_ascii=False)


@cache
def _environment() -> jinja2.Environment:
    return jinja2.Environment(autoescape=True, undefined=jinja2.StrictUndefined, trim_blocks=True, lstrip_blocks=True)


def _rendered(name: str, **words: Any) -> str:
    made: str = _environment().from_string(_text(name)).render(**words)
    return made


def _text(name: str) -> str:
    return (HERE / name).read_text(encoding="utf-8")

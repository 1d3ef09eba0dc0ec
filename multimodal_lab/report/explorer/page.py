"""The explorer as one HTML file: plotly.js and data inline, and a strict content security policy."""

from __future__ import annotations

import base64
import hashlib
import importlib.util
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from multimodal_lab.report.explorer.source import ExplorerError

HERE = Path(__file__).parent
SCRIPTS = (
    "data.js",
    "thumbs.js",
    "panels.js",
    "rings.js",
    "details.js",
    "main.js",
)  # in the order that they need each other


def missing(method: str = "pca") -> str:
    """Why no page can be made here, or nothing."""
    needs = {"plotly": "plotly", "umap": "umap-learn"} if method == "umap" else {"plotly": "plotly"}
    absent = [package for module, package in needs.items() if importlib.util.find_spec(module) is None]
    return f"the explorer needs {' and '.join(absent)}: pip install {' '.join(absent)}" if absent else ""


def html(content: Mapping[str, Any]) -> str:
    """The page. Needs plotly (see `missing`).

    Names from data are in one block of JSON, which the page's script sets as text alone; the policy in the head lets
    only the two scripts run that are written here, by their hashes, and nothing be fetched. plotly's WebGL compiles its
    drawing loops, hence 'unsafe-eval'; no name reaches plotly.
    """
    import jinja2
    from plotly.offline import get_plotlyjs

    library = _script(get_plotlyjs())
    own = _script("(() => {\n'use strict';\n" + "\n".join(_text(name) for name in SCRIPTS) + "\n})();\n")
    environment = jinja2.Environment(
        autoescape=True, undefined=jinja2.StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    made: str = environment.from_string(_text("template.html.j2")).render(
        title=content["title"], style=_text("style.css"), data=embedded(content), library=library, own=own,
        hashes=[_hash(library), _hash(own)],
    )  # fmt: skip
    return made


def embedded(content: Mapping[str, Any]) -> str:
    """JSON that may stand in a script element whatever its strings say."""
    text = json.dumps(content, allow_nan=False, separators=(",", ":"))
    return text.replace("<", "\\u003c").replace(">", "\\u003e").replace("&", "\\u0026")


def _text(name: str) -> str:
    return (HERE / name).read_text(encoding="utf-8")


def _script(text: str) -> str:
    """As a browser reads it, line ends and all, so that its hash is the browser's."""
    text = text.replace("\r\n", "\n").replace("\r", "\n")
    if "</script" in text.lower() or "<!--" in text:
        raise ExplorerError("a script that would end its own element can't be put in a page")
    return text


def _hash(script: str) -> str:
    return "'sha256-" + base64.b64encode(hashlib.sha256(script.encode()).digest()).decode() + "'"

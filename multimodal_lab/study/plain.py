"""JSON that may be a stranger's or damaged."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

DEEPEST = 64  # far below what Python's own recursion bears


def load(path: Path) -> Any:
    """What a file holds; `OSError` where it can't be read, `ValueError` where it is no JSON or nested too deeply."""
    try:
        found = json.loads(path.read_bytes())
    except RecursionError:
        raise ValueError(f"nested more than {DEEPEST} deep") from None
    level = [found]
    for _ in range(DEEPEST):
        level = [v for node in level for v in _inside(node) if isinstance(v, dict | list)]
    if level:
        raise ValueError(f"nested more than {DEEPEST} deep")
    return found


def _inside(node: Any) -> Any:
    return node.values() if isinstance(node, dict) else node if isinstance(node, list) else ()

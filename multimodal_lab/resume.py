"""What must be the same for a resume to be exact."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from typing import Any

import torch

from multimodal_lab import dist

MAY_MOVE = {"root", "workers", "cache"}  # keys of `data` that change no number: where files lie, how they are loaded


def facts(plain: Mapping[str, Any], data: Any) -> dict[str, Any]:
    """Plain facts of a resolved config and its prepared data; a checkpoint carries them, `fit` compares them."""
    fixed = {k: plain[k] for k in ("seed", "modality", "system", "augment", "optim", "train", "adapt")}
    fixed["data"] = _fixed(plain["data"])
    digest = hashlib.sha256(json.dumps(fixed, sort_keys=True, default=str).encode()).hexdigest()[:16]
    return {"config": digest, "data": data.fingerprint, "world": dist.world(), "torch": torch.__version__}


def _fixed(node: Any) -> Any:
    """A config node without the keys that change no number."""
    if isinstance(node, dict):
        return {k: _fixed(v) for k, v in node.items() if k not in MAY_MOVE}
    return [_fixed(v) for v in node] if isinstance(node, list) else node

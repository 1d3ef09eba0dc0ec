"""A few samples of what heads tell of maps, for a figure: picture, truth and answer."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import torch

from multimodal_lab import files
from multimodal_lab.data import kinds
from multimodal_lab.device.eval_mode import eval_mode
from multimodal_lab.evaluate.thumbnails import stretched

FILE = "maps.npz"  # of a run directory
MOST = 6  # samples


def save(system: Any, data: Any, device: torch.device, split: str, path: Path) -> bool:
    """Write an npz of at most `MOST` samples of a split, evenly spaced; False where no head tells a map.

    HEAD.truth and HEAD.told (n, H, W), int64 or float32; STREAM.picture (n, H, W, 3) uint8; `facts`, JSON as bytes: the `ids`,
    and by head the `names` of the classes.
    """
    heads = {
        name: module for name, module in getattr(system, "heads", {}).items() if getattr(module, "per_pixel", False)
    }
    rows = data.rows(split)
    if not heads or not len(rows):
        return False
    chosen = rows[np.unique(np.linspace(0, len(rows) - 1, min(MOST, len(rows))).astype(int))]
    batch = data.batch(chosen)
    with eval_mode(system), torch.no_grad():
        _, out = system.encode(batch.to(device))
    arrays: dict[str, Any] = {}
    facts = {"ids": data.samples["id"].astype(str).to_numpy()[chosen].tolist(),
             "names": {name: data.maps.get(module.label, []) for name, module in heads.items()}}  # fmt: skip
    arrays["facts"] = np.frombuffer(json.dumps(facts).encode(), dtype=np.uint8)
    for name, module in heads.items():
        said = out[name].float().cpu()
        arrays[f"{name}.told"] = (said.argmax(1) if module.count else said[:, 0]).numpy()
        arrays[f"{name}.truth"] = batch.targets[module.label].numpy()
    for name, stream in data.streams.items():
        kind = kinds.of(stream)
        if kind.spatial and kind.shows(stream) and batch.inputs[name].ndim == 4:
            x = kind.picture(batch.inputs[name], stream).float() / stream.unit
            arrays[f"{name}.picture"] = stretched(torch.where(batch.present[name].view(-1, 1, 1, 1), x, torch.nan))
    files.atomic_write(path, lambda file: np.savez_compressed(file, **arrays))
    return True

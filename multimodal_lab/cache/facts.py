"""The cache key of one stream's encodings: every fact that they depend on."""

from __future__ import annotations

import hashlib
import inspect
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from multimodal_lab.data.fitted_cache import choices, named, nameless
from multimodal_lab.files import file_hash, json_hash
from multimodal_lab.system import System

# of a backbone's node: what the digest of the weights tells better, and what changes none of its output
LEFT_OUT = {"weights", "freeze", "checkpointing", "_partial_"}


def encoding(
    system: System, data: Any, name: str, node: Mapping[str, Any], device: torch.device, moved: Mapping[str, np.ndarray]
) -> dict[str, Any]:
    """The facts of stream `name`. node: its backbone's config. moved: the arrays by which some of its bands are another's.

    The name of the stream is none of them: a stream that is there twice, read by equal weights, is encoded once.
    """
    backbone = system.backbones.each[name]
    reader = data.reader
    learnt = {k: v for k, v in asdict(reader.fitted[name]).items() if k not in {"layout", "mean", "std"}}
    learnt["tokenizer"] = json_hash(learnt["tokenizer"])  # the whole of it would fill the entry
    text, gone = reader.kinds[name].drawn_each_epoch, reader.gone.get(name)
    return {
        "of": "encoding",
        "backbone": {
            "class": f"{type(backbone).__module__}.{type(backbone).__qualname__}",
            "source": of_source(type(backbone)),
            "config": {k: v for k, v in node.items() if k not in LEFT_OUT},
            "weights": of_tensors(backbone.state_dict()),
        },
        "normalise": of_tensors(system.normalise[name].state_dict()),
        "stream": nameless(reader.plans[name]),
        "blanked_by": _blanked_by(reader, name),
        "learnt": learnt,
        "choices": {} if text else choices(reader),  # of images and other numbers
        "data": data.fingerprint,
        "ids": named(reader.names),
        "absent": sorted(int(row) for row in data.bad.why),
        **({"gone": named([reader.names[row] for row in np.flatnonzero(gone)])} if gone is not None else {}),
        "moved": {key: hashlib.sha256(np.ascontiguousarray(x).tobytes()).hexdigest() for key, x in moved.items()},
        "device": device.type,
    }


def _blanked_by(reader: Any, name: str) -> list[Any]:
    """The plans of the other images where some have pixels without a value: such a pixel is blank in this image, too."""
    gaps = any(reader.fitted[image].missing for image in reader.images)
    if name not in reader.images or reader.nodata != "any" or not (reader.one_frame and gaps):
        return []
    return sorted((nameless(reader.plans[other]) for other in reader.images if other != name), key=json_hash)


def of_tensors(state: Mapping[str, Tensor]) -> str:
    """A hash of tensors with their names, types and shapes."""
    digest = hashlib.sha256()
    for name, x in state.items():
        digest.update(f"{name} {x.dtype} {tuple(x.shape)}\n".encode())
        flat = x.detach().cpu().contiguous().reshape(-1)
        digest.update(flat.view(torch.uint8).numpy().data if flat.numel() else b"")
    return digest.hexdigest()


def of_source(kind: type[nn.Module]) -> str:
    """A hash of the file that defines a backbone of another package; "" for ours, which the entry's own facts have."""
    file = inspect.getsourcefile(kind)
    return "" if file is None or kind.__module__.startswith("multimodal_lab.") else file_hash(Path(file))

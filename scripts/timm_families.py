"""Does one model of every timm family train as a backbone, with its own embedding? `python scripts/timm_families.py [MODEL …]`.

Without names the smallest model of each family, which takes ten minutes: random weights, two images of the model's own size,
one backward pass from tokens and one from the pooled vector. A line each; exit 1 if any model fails.
"""

from __future__ import annotations

import sys
import warnings

import timm
import torch

from multimodal_lab.backbone.image import Image
from multimodal_lab.types import Band, Stream


def smallest() -> list[str]:
    """The model of each module of timm that has the fewest parameters."""
    found: dict[str, tuple[int, str]] = {}
    for name in timm.list_models():
        with torch.device("meta"):
            model = timm.create_model(name, num_classes=0)
        family = type(model).__module__.rpartition(".")[2]
        size = sum(p.numel() for p in model.parameters())
        found[family] = min(found.get(family, (size, name)), (size, name))
    return [name for _, name in found.values()]


def checked(name: str) -> str:
    """What is wrong with a model as a backbone; "" if nothing."""
    size = timm.get_pretrained_cfg(name).input_size[-1]
    net = Image(Stream("s", bands=tuple(map(Band, "RGB")), size=size), model=name, pretrained_bands=["R", "G", "B"])
    x = torch.randn(2, 3, size, size)
    found = net(x)
    for what in ("tokens", "pooled"):
        net.zero_grad(set_to_none=True)
        getattr(found, what).pow(3).sum().backward(retain_graph=True)
        if idle := [n for n, p in net.named_parameters() if p.grad is None]:
            return f"{what} leave {len(idle)} parameters without a gradient, such as {idle[0]}"
    with torch.no_grad():
        net.eval()
        own, pooled = net.model.forward_head(net.model.forward_features(x), pre_logits=True).flatten(1), net(x).pooled
    if pooled.shape != (2, net.dim) or not torch.allclose(pooled, own, rtol=1e-5, atol=1e-5):
        return f"pooled {tuple(pooled.shape)}, dim {net.dim}, is not its embedding {tuple(own.shape)}"
    return ""


def main() -> None:
    """One line a model."""
    warnings.filterwarnings("ignore")
    torch.manual_seed(0)
    failed = 0
    for name in sys.argv[1:] or smallest():
        try:
            wrong = checked(name)
        except Exception as error:
            wrong = f"{type(error).__name__}: {error}"
        failed += bool(wrong)
        print(f"{name}: {wrong or 'trains'}", flush=True)
    sys.exit(failed > 0)


if __name__ == "__main__":
    main()

"""Made-up features and the fusions of conf/, for the tests of this folder."""

from __future__ import annotations

import importlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
import yaml
from torch import Tensor, nn

from multimodal_lab.types import Features

CONF = Path(__file__).parents[2] / "conf" / "fusion"


@pytest.fixture
def make() -> Callable[..., dict[str, Features]]:
    """`make(dims, n, present=…, tokens=…, seed=…)`: features as `System.encode` hands them over."""

    def features(
        dims: dict[str, int],
        n: int = 4,
        present: dict[str, Tensor] | None = None,
        tokens: dict[str, int] | None = None,
        seed: int = 0,
    ) -> dict[str, Features]:
        out = {}
        for i, (name, dim) in enumerate(dims.items()):
            g = torch.Generator().manual_seed(seed * 100 + i)
            x = torch.randn(n, (tokens or {}).get(name, i + 2), dim, generator=g).requires_grad_()
            f = Features.from_tokens(x, x.mean(1) + torch.randn(n, dim, generator=g))
            rows = torch.ones(n, dtype=torch.bool) if present is None else present[name]
            out[name] = f.keep(rows)
        return out

    return features


@pytest.fixture
def build() -> Callable[..., Any]:
    """`build("attention", dims, width=8)`: the fusion of that YAML with some knobs changed."""

    def fusion(name: str, dims: dict[str, int], **knobs: Any) -> nn.Module:
        conf = yaml.safe_load((CONF / f"{name}.yaml").read_text())
        module, _, cls = conf["_target_"].rpartition(".")
        kept = {k: v for k, v in conf.items() if not k.startswith("_")}
        torch.manual_seed(0)
        made: nn.Module = getattr(importlib.import_module(module), cls)(dims=dims, **{**kept, **knobs})
        return made

    return fusion

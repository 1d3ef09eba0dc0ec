"""Made-up features and batches, and the heads of conf/, for the tests of this folder."""

from __future__ import annotations

import importlib
import inspect
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
import yaml
from contract.head import backbones, fusion
from torch import Tensor, nn

from multimodal_lab.types import Batch, Features

CONF = Path(__file__).parents[2] / "conf" / "head"


@pytest.fixture
def make() -> Callable[..., dict[str, Features]]:
    """`make(dims, n, present=…, tokens=…, seed=…)`: features as a fusion hands them over."""

    def features(
        dims: dict[str, int], n: int = 4, present: dict[str, Tensor] | None = None, tokens: int = 3, seed: int = 0
    ) -> dict[str, Features]:
        out = {}
        for i, (name, dim) in enumerate(dims.items()):
            x = torch.randn(n, tokens, dim, generator=torch.Generator().manual_seed(seed * 100 + i))
            rows = torch.ones(n, dtype=torch.bool) if present is None else present[name]
            out[name] = Features.from_tokens(x).keep(rows)
        return out

    return features


@pytest.fixture
def batch() -> Callable[..., Batch]:
    """`batch(n, caption=words)`: a batch with these targets and nothing else."""

    def empty(n: int, **targets: Tensor) -> Batch:
        return Batch({}, targets, {}, torch.arange(n), torch.arange(n))

    return empty


@pytest.fixture
def build() -> Callable[..., Any]:
    """`build("projection", dims, dim=8)`: the head of that YAML with some knobs changed and facts filled in."""

    def head(name: str, dims: dict[str, int], **knobs: Any) -> nn.Module:
        torch.manual_seed(0)
        conf = yaml.safe_load((CONF / f"{name}.yaml").read_text())
        module, _, cls = conf["_target_"].rpartition(".")
        kept = {k: v for k, v in conf.items() if not k.startswith("_")}
        asked = inspect.signature(getattr(importlib.import_module(module), cls)).parameters
        if "numbers" in asked:
            kept |= {"label": "mass", "numbers": {"mass": (torch.tensor([700.0]), torch.tensor([20.0]))}}
        if "classes" in asked:
            kept |= {"classes": {"species": 5, "sex": 2}} | ({"label": "species"} if "label" in asked else {})
        if "backbones" in asked:
            kept |= {"backbones": backbones()}
        if "fusion" in asked:
            kept |= {"fusion": fusion()}
        if "vocab" in kept:
            kept |= {"vocab": 9}
        made: nn.Module = getattr(importlib.import_module(module), cls)(dims=dims, **{**kept, **knobs})
        return made

    return head

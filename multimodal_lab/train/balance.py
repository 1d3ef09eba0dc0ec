"""On-the-fly gradient modulation: the encoder of a stream that tells the class better than the others learns more slowly."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

import torch
from torch import Tensor

from multimodal_lab.build import asks
from multimodal_lab.device import distributed
from multimodal_lab.device.compiler import opaque
from multimodal_lab.device.eval_mode import restored_modes
from multimodal_lab.system import System
from multimodal_lab.types import Batch, Features, alone

Kind = Literal["none", "ogm", "ogm_ge"]


@dataclass
class Balance:
    """OGM-GE (Peng et al. 2022, CVPR, eq. 10): scale the gradients of the encoders of one training.

    s of a stream is the sum, over the samples of a step that have every stream and a class, of the probability of their
    class, as the head `head` tells it of that stream alone. rho is s over the mean s of the other streams, and the
    gradient of an encoder is multiplied by 1 - tanh(alpha·rho) where rho > 1, else by 1. `ogm_ge` adds to the gradient of
    every weight (2 dimensions or more) normal noise of that gradient's own deviation. Both until `end` of the training.

    The authors take what a stream tells from its part of a linear classifier of concatenated vectors; here the fusion is
    asked about each stream with the others missing, so that any fusion will do: of head=late_fusion it is the stream's
    own classifier. Sums are over all batches of a step and all ranks; the noise is a function of the step's seed alone.
    `ValueError` where no head tells a class of every stream, or not two streams have a trained encoder of their own.
    """

    system: System
    kind: Kind
    alpha: float
    end: float
    sums: dict[str, Tensor] = field(default_factory=dict)
    looked: bool = False

    def __post_init__(self) -> None:
        key = f"train.balance={self.kind}"
        own = self.system.backbones.by_stream()
        alike = [id(module) for module in own.values()]
        weights = {
            name: [p for p in m.parameters() if p.requires_grad] for name, m in own.items() if alike.count(id(m)) == 1
        }
        self.weights = {name: found for name, found in weights.items() if found}
        if len(self.weights) < 2 or len(self.weights) < len(own):
            there = ", ".join(self.weights) or "none"
            raise ValueError(f"{key} needs a trained encoder for each of two streams or more, found one of {there}")
        if "streams" in getattr(self.system.fusion, "acts_on", ()):
            raise ValueError(f"{key} asks the fusion about each stream alone, and this one changes the streams")
        telling = [n for n in self.system.labels if asks(type(self.system.heads[n]), "classes")]
        if not telling:
            raise ValueError(f"{key} needs a head that tells a class, such as head=classifier or head=late_fusion")
        self.head, self.label = telling[0], self.system.labels[telling[0]]
        self.system.watch = self.see

    def start(self) -> None:
        """A step begins."""
        self.sums = {}

    @opaque  # a few small operations, and a module's mode
    @torch.no_grad()
    def see(self, features: Mapping[str, Features], batch: Batch) -> None:
        """Add the samples of one batch to the sums of this step."""
        target = batch.targets[self.label]
        known = target >= 0 if target.ndim == 1 else (target >= 0).all(1)
        if target.ndim > 1 and not self.looked:  # the host waits for the answer: of the first batch alone
            if not ((target[known].sum(1) - 1).abs() < 1e-3).all():
                raise ValueError(f"train.balance={self.kind}: {self.label} has several classes a row; expected one")
            self.looked = True
        rows = torch.stack([features[name].present for name in self.weights], 1).all(1) & known
        for name in self.weights:
            p = self._said(features, name, batch).float().softmax(1)
            share = p.gather(1, target.clamp(min=0)[:, None])[:, 0] if target.ndim == 1 else (p * target).sum(1)
            self.sums[name] = self.sums.get(name, 0) + torch.where(rows, share, 0.0).double().sum()

    def _said(self, features: Mapping[str, Features], name: str, batch: Batch) -> Tensor:
        """Logits (N, K) of the head with the other streams missing."""
        head, fusion = self.system.heads[self.head], self.system.fusion
        with restored_modes(fusion), restored_modes(head):
            fusion.eval()  # no dropout is drawn and no statistic moves
            head.eval()
            one = alone(features, name)
            said: Tensor = head(fusion(one) if "fused" in features else one, batch)
        return said

    def factors(self) -> dict[str, Tensor]:
        """{stream: what the gradient of its encoder is multiplied by}, 0-d, alike on every rank; 1 where nothing was seen."""
        total = distributed.all_reduce_mean(torch.stack(list(self.sums.values())))
        rest = (total.sum() - total) / (len(total) - 1)
        rho = torch.where(rest > 0, total / rest, 1.0)
        k = torch.where(rho > 1, 1 - torch.tanh(self.alpha * rho), 1.0)
        return dict(zip(self.sums, k.unbind(), strict=True))

    @torch.no_grad()
    def modulate(self, seed: int, progress: float) -> dict[str, Tensor]:
        """Change the gradients that are there, unscaled; `balance/STREAM`: the factors, 1 behind `end`. seed: of the noise."""
        found = self.factors() if progress < self.end else {k: torch.ones_like(s) for k, s in self.sums.items()}
        if progress < self.end:
            device = next(iter(found.values())).device
            noise = torch.Generator(device).manual_seed(seed)
            for name, factor in found.items():
                for grad in (p.grad for p in self.weights[name] if p.grad is not None):
                    spread = grad.std() + 1e-8 if self.kind == "ogm_ge" and grad.ndim > 1 and grad.numel() > 1 else None
                    grad.mul_(factor.to(grad.dtype))
                    if spread is not None:
                        drawn = torch.randn(grad.shape, generator=noise, device=grad.device, dtype=grad.dtype)
                        grad.addcmul_(drawn, spread.expand_as(grad))
        return {f"balance/{name}": factor.float() for name, factor in found.items()}

"""FactorCL's projections: one a factor and stream, and the critics of their bounds."""

from __future__ import annotations

from collections.abc import Mapping

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from multimodal_lab.bounds import Count
from multimodal_lab.head.projection import Mlp
from multimodal_lab.types import Batch, Features

# {factor: how many views its critic sees}, and whether the critic learns apart from what it judges
FACTORS = {
    "shared": (1, False),
    "shared_club": (2, True),
    "unique": (1, False),
    "unique_given": (2, False),
    "unique_club": (1, True),
}


class FactorCL(nn.Module):
    """(N, 10, dim) of every stream: what each critic of loss=factorcl sees (Liang et al. 2023; their `RUSAugment`).

    Each of five factors has a projection (Linear, ReLU, Linear) and a linear critic of the projection; a critic given the
    other view is linear in both, and gives the part of each. Where a bound is an upper one the critic stands twice: with
    its weights fixed, so that the projection lowers the bound, and of a projection that is fixed, so that the critic
    raises it, as the authors do by two optimizers in turn. The authors' critics are MLPs of both sides at once; these
    are cosines of the two, which need no look at every pair.
    """

    takes = "streams"
    by_name = True

    def __init__(self, dims: dict[str, int], *, dim: Count = 128, hidden: Count = 512) -> None:
        super().__init__()
        self.names = [name for name in dims if name != "fused"]
        self.project = nn.ModuleDict(
            {n: nn.ModuleDict({k: Mlp(dims[n], hidden, dim, "none") for k in FACTORS}) for n in self.names}
        )
        self.critics = nn.ModuleDict(
            {
                n: nn.ModuleDict({k: nn.Linear(dim, seen * dim, bias=False) for k, (seen, _) in FACTORS.items()})
                for n in self.names
            }
        )

    def forward(self, features: Mapping[str, Features], batch: Batch) -> dict[str, Tensor]:
        """Features to {stream: (N, 10, dim)}, in the order that `multimodal_lab/loss/factorcl.py` states."""
        return {name: self._factors(name, features[name]) for name in self.names}

    def _factors(self, name: str, f: Features) -> Tensor:
        found = []
        for factor, (_, apart) in FACTORS.items():
            z = self.project[name][factor](f.pooled, f.present)  # type: ignore[index]
            critic = self.critics[name][factor]  # type: ignore[index]
            said = [F.linear(z, critic.weight.detach()), critic(z.detach())] if apart else [critic(z)]
            found += [part for x in said for part in x.unflatten(1, (-1, z.shape[1])).unbind(1)]
        return torch.stack(found, 1)

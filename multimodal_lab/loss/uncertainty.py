"""Weights of several tasks, learned by their homoscedastic uncertainty."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor, nn

from multimodal_lab.device import distributed
from multimodal_lab.keyed import Keyed


class Uncertainty(nn.Module):
    """Each term L becomes c · exp(-s) · L + s / 2, with a learned log variance s = log σ² that starts at 0.

    c is 1/2 where the term is a squared error, the likelihood of a Gaussian (Kendall 2018, eq. 7), and 1 where it is
    that of a softmax (eq. 10), a contrast among them. At its best exp(-s) is 1 / (2 c L): terms of any size end up alike.
    A term that has nothing to say in a batch, exactly 0 on all ranks, leaves its s as it is: else batches without labels
    would make it ever surer.
    """

    def __init__(self, squared: Mapping[str, bool]) -> None:
        """squared: {term: whether it is a squared error}, as its loss states by `squared_error`."""
        super().__init__()
        self.factors = {name: 0.5 if gaussian else 1.0 for name, gaussian in squared.items()}
        self.log_variance = nn.ParameterDict({name: nn.Parameter(torch.zeros(())) for name in squared})

    @classmethod
    def of(cls, losses: Mapping[str, Keyed]) -> Uncertainty:
        """The weights of a system's terms; `ValueError` where there is one alone: nothing is beside it."""
        if len(losses) < 2:
            raise ValueError(
                f"system.task_weights=uncertainty weighs several loss terms, found {', '.join(losses)}; give task_weights=fixed"
            )
        return cls({name: bool(loss.fact("squared_error", False)) for name, loss in losses.items()})

    def forward(self, terms: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """Scalars by name to scalars by name."""
        said = torch.stack([x.detach() != 0 for x in terms.values()])
        anywhere = distributed.all_reduce_mean(said.float()) > 0
        found = {}
        for (name, term), here in zip(terms.items(), anywhere, strict=True):
            s = self.log_variance[name]
            found[name] = self.factors[name] * (-s).exp() * term + torch.where(here, s / 2, 0.0)
        return found

    def scalars(self) -> dict[str, float]:
        """The log variance of each term."""
        return {name: float(s.detach()) for name, s in self.log_variance.items()}

"""Backbones for both kinds."""

import torch
from torch import nn

from multimodal_lab.types import Features


class Graph(nn.Module):
    """Nodes get their neighbours' mean, twice; a token a node, the mean of them as the graph's vector."""

    kinds = ("graph",)

    def __init__(self, stream, *, width: int = 16) -> None:
        super().__init__()
        self.words, self.dim = nn.Embedding(stream.vocab, width), width
        self.layers = nn.ModuleList(nn.Linear(2 * width, width) for _ in range(2))

    def forward(self, x):
        """(N, L, 1 + L) to L tokens, those of no node masked."""
        mask, near = x[..., 0] > 0, x[..., 1:].float()
        tokens = self.words(x[..., 0].clamp(max=self.words.num_embeddings - 1))
        for layer in self.layers:
            mean = near @ tokens / near.sum(-1, keepdim=True).clamp(min=1)
            tokens = torch.relu(layer(torch.cat([tokens, mean], -1))) * mask[..., None]
        return Features(tokens, tokens.sum(1) / mask.sum(1, keepdim=True).clamp(min=1), mask)


class Linear(nn.Module):
    """One layer."""

    kinds = ("counts",)

    def __init__(self, stream, *, width: int = 16) -> None:
        super().__init__()
        self.layer, self.dim = nn.Linear(stream.channels, width), width

    def forward(self, x):
        """(N, C) to one token."""
        return Features.from_vector(self.layer(x))

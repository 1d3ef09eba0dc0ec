"""Token head: which word stands at each place, by the word vectors of the text backbone itself."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor, nn

from multimodal_lab.head.names import known
from multimodal_lab.types import Batch, Features


class Tokens(nn.Module):
    """Word logits at every token of a text stream, for masked language modelling (Devlin et al. 2019, BERT, sec. 3.1).

    Linear, GELU and LayerNorm, then the dot product with each word's vector and a bias. `tied`: the vectors are those of the
    stream's backbone (Press & Wolf 2017), its `words`, one matrix with one gradient; else the head has its own. `input` null
    is the first stream whose backbone has `words`. ValueError where none has, and for an unknown `input`.
    """

    takes = "first"
    by_name = False

    def __init__(
        self, dims: dict[str, int], backbones: Mapping[str, nn.Module], *, input: str | None = None, tied: bool = True
    ) -> None:
        super().__init__()
        found = {name: getattr(module, "words", None) for name, module in backbones.items()}
        readers = {name: words for name, words in found.items() if isinstance(words, nn.Embedding)}
        if not readers:
            raise ValueError(
                f"head=tokens needs a backbone with word vectors (`words`, as backbone=text has), found none among those "
                f"of {', '.join(backbones)}"
            )
        self.input = next(iter(readers)) if input is None else known("head=tokens: input", input, readers)
        words = readers[self.input]
        self.words = words if tied else nn.Embedding(words.num_embeddings, words.embedding_dim)
        self.change = nn.Linear(dims[self.input], words.embedding_dim)
        self.norm = nn.LayerNorm(words.embedding_dim)
        self.bias = nn.Parameter(torch.zeros(words.num_embeddings))

    def forward(self, features: Mapping[str, Features], batch: Batch) -> Tensor:
        """Features to logits (N, L, V); what stands at a place that is no token is not meant to be read."""
        x = self.norm(nn.functional.gelu(self.change(features[self.input].tokens)))
        return nn.functional.linear(x, self.words.weight, self.bias)

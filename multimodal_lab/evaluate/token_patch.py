"""The space that streams share, and how near each token of a text lies to each patch of an image in it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch.nn.functional as F
from torch import Tensor

from multimodal_lab.types import Batch, Features

Out = Mapping[str, Any]


def projector(system: Any, out: Out) -> str | None:
    """The head whose vectors are compared across streams, as evaluators find it: the first that says something of each name."""
    return next((head for head, said in out.items() if isinstance(said, Mapping) and head in system.heads), None)


def projected(
    system: Any, head: str | None, features: Mapping[str, Features], batch: Batch, name: str, x: Tensor
) -> Tensor | None:
    """Vectors x (M, D) of stream `name` in the space that streams share, (M, E) unit rows; None where the head has none for it.

    Without a head, or with one that asks for what others say, it is the space of the embeddings.
    """
    if head is None or head in system.listening:
        return F.normalize(x.float(), dim=-1)
    rows = {k: Features.from_vector(x if k == name else f.pooled[:1].expand(len(x), -1)) for k, f in features.items()}
    said = system.heads[head](rows, batch).get(name)
    return None if said is None or said.ndim != 2 else F.normalize(said.float(), dim=-1)


def similarity(
    system: Any, head: str | None, features: Mapping[str, Features], batch: Batch, image: str, text: str
) -> Tensor | None:
    """Cosines (N, L, H', W') of each token of `text` and each patch of `image`; None without a grid or a common space.

    As FILIP compares them (Yao et al. 2021), in the space of the pooled vectors: of towers that were trained by these alone, what
    a single token says there is their own.
    """
    grid, patches, words = features[image].grid, features[image].tokens, features[text].tokens
    if grid is None or patches.shape[1] != grid[0] * grid[1]:
        return None
    x, y = (
        projected(system, head, features, batch, name, tokens.flatten(0, 1))
        if tokens.shape[-1] == features[name].dim
        else None
        for name, tokens in ((image, patches), (text, words))
    )
    if x is None or y is None or x.shape[1] != y.shape[1]:
        return None
    places, spoken = x.reshape(*patches.shape[:2], -1), y.reshape(*words.shape[:2], -1)
    return (spoken @ places.transpose(1, 2)).reshape(*words.shape[:2], *grid)

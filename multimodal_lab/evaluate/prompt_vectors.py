"""Vectors of prompts by a run's own tokenizer, text tower and head."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import numpy as np
import torch
from torch import Tensor

from multimodal_lab.evaluate.embeddings import Embeddings, embed_batches
from multimodal_lab.evaluate.encoder import Encoder
from multimodal_lab.evaluate.prompts import chunks
from multimodal_lab.metric.zero_shot import class_vectors
from multimodal_lab.text import expected_one_of, printable
from multimodal_lab.types import Batch

MOST = 4096  # prompts whose vectors lie in memory at once
AT_ONCE = 256  # prompts of a batch


def of_classes(
    system: Encoder, data: Any, stream: str, templates: Sequence[str], names: Sequence[Sequence[str]],
    device: torch.device | str, projected: bool,
) -> Tensor:  # fmt: skip
    """(K, D) float32 on the CPU, of unit length: the vectors of classes, see `metric.zero_shot.class_vectors`.

    data: prepared data; its tokenizer of `stream` reads the prompts. names: see `prompts.spelt`. projected: of what a projection
    head makes of them, else of the tower's own vectors.
    """
    like = _empty(data)
    parts = []
    for _, own in chunks(templates, names, MOST):
        found = embed_prompts(system, data, like, stream, own.texts, device)
        owner = torch.as_tensor(own.owner) - own.owner[0]
        x = torch.as_tensor(found.space(stream, projected))
        parts.append(class_vectors(x, owner, int(owner[-1]) + 1))
    return torch.cat(parts)


def embed_prompts(
    system: Encoder, data: Any, like: Batch, stream: str, texts: Sequence[str], device: torch.device | str
) -> Embeddings:
    """The vectors of texts, all other streams missing; like: a batch of one sample that holds nothing, see `_empty`."""
    tokens = torch.from_numpy(np.stack([data.tokens[stream].encode(text) for text in texts]))
    batches = (("prompts", _filled(like, stream, part)) for part in torch.split(tokens, AT_ONCE))
    with _reading(system, stream):
        return embed_batches(system, batches, device, names=dict.fromkeys(like.ids.tolist(), "prompt"), classes={})


@contextmanager
def _reading(system: Any, stream: str) -> Iterator[None]:
    """Have the tower read tokens, where a feature cache made it look up what it said of the data's own samples."""
    towers = getattr(getattr(system, "backbones", None), "each", {})
    own: dict[str, Any] = vars(towers[stream]) if stream in towers else {}
    lookup = {name: own.pop(name) for name in ("forward",) if name in own}
    try:
        yield
    finally:
        own.update(lookup)


def _filled(like: Batch, stream: str, tokens: Tensor) -> Batch:
    n = len(tokens)
    batch = like.map(lambda x: x.expand(n, *x.shape[1:]))
    present = {**batch.present, stream: torch.ones(n, dtype=torch.bool)}
    return batch.replace(inputs={**batch.inputs, stream: tokens}, present=present)


def _empty(data: Any) -> Batch:
    """A batch of one sample that is missing in all streams and says nothing: what this run's batches are made of."""
    one: Batch = data.batch(np.zeros(1, dtype=np.int64))
    none = {name: torch.zeros_like(there) for name, there in one.present.items()}
    return one.replace(present=none, others={}, text_ids={}, items={}, same=None)


def text_stream(data: Any, asked: str | None, key: str) -> str:
    """The input stream that reads prompts: the one that is `asked` for, else the only one of text.

    data: prepared data. `ValueError` where there is none, another is asked for, or there are several and none is.
    """
    there = [name for name in data.streams if name in data.tokens]
    if not there:
        raise ValueError(
            f"{key}: this run reads no text that prompts could be given as (it reads {', '.join(data.streams)}); take a modality "
            "with a text stream, such as image_text"
        )
    if asked is not None and asked not in there:
        raise ValueError(f"{key}={asked}: no text stream of this name; {expected_one_of(asked, there)}")
    if asked is None and len(there) > 1:
        raise ValueError(f"{key}: this run reads the texts {', '.join(there)}; say which of them reads the prompts")
    return asked or there[0]


def lost(tokens: Any, texts: Sequence[str], stream: str) -> list[str]:
    """What a tokenizer loses of prompts, a sentence or none."""
    cut, unknown, most, _ = tokens.lost(texts)
    told = [f"{cut:.0%} of prompts are cut (the longest has {most} tokens)"] if cut else []
    told += [f"{unknown:.0%} of their words are unknown to its tokenizer"] if unknown else []
    shown = f", such as {printable(repr(texts[0]))}" if told else ""
    return [f"warning: zero_shot: of {len(texts)} prompts for {stream}{shown}: {'; '.join(told)}"] if told else []

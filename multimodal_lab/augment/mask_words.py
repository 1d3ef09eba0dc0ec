"""Masked words: some words of a text are covered, and which they were becomes a target."""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar

import torch
from torch import Tensor

from multimodal_lab.augment.batchwise import Batchwise, one_stream
from multimodal_lab.augment.draw import Draw
from multimodal_lab.augment.op import number
from multimodal_lab.bounds import Fraction, Natural
from multimodal_lab.types import Batch, KindName, Stream

FIRST_WORD = 3  # of a tokenizer trained here; before it stand padding, begin and end, which are never covered


class MaskWords(Batchwise):
    """Masked words (Devlin et al. 2019, BERT, appendix A.1: 0.15, 0.8, 0.1).

    Each word is chosen with chance `p`; of the chosen, `covered` become `mask`, `swapped` a random word, the rest stay as they
    are. `target` (N, L) int64 is the word at each chosen place, -1 elsewhere. `mask` is a token id: a vocabulary learnt from
    the training split has no mark of its own, and the unknown word's, 3, serves. `stream` null is the first text stream.
    """

    kinds: ClassVar[tuple[KindName, ...]] = ("text",)
    adds_targets: ClassVar = {"target": "(N, L) int64"}

    names: ClassVar = {"stream": "stream"}

    def __init__(
        self,
        *,
        p: Fraction = 0.15,
        covered: Fraction = 0.8,
        swapped: Fraction = 0.1,
        mask: Natural = 3,
        stream: str | None = None,
        target: str = "masked_words",
    ) -> None:
        self.p = number("MaskWords: p", p, 0.0, 1.0)
        if covered + swapped > 1:
            raise ValueError(
                f"MaskWords: covered={covered} and swapped={swapped} are shares of the chosen words, at most 1 together"
            )
        self.covered, self.swapped, self.mask, self.stream, self.target = covered, swapped, mask, stream, target
        self.vocab = 0
        self.marks: list[int] = []  # of a tokenizer of a file: what pads, begins and ends a text, wherever they stand

    def prepare(self, name: str, streams: Mapping[str, Stream], classes: Mapping[str, int]) -> None:
        """Find the text stream and its vocabulary."""
        self.stream = one_stream(name, self.stream, [n for n, s in streams.items() if s.vocab], "text")
        own = streams[self.stream]
        self.vocab = int(own.vocab or 0)
        marks = {own.pad, *(i for i in (own.bos, own.eos) if i is not None)}
        self.marks = [] if marks <= {*range(FIRST_WORD)} else sorted(marks)
        if self.mask >= self.vocab:
            raise ValueError(
                f"augment.ops.{name}.mask={self.mask} is no token of {self.stream}, whose vocabulary has {self.vocab}"
            )

    def changes(self, streams: Mapping[str, Stream]) -> list[str]:
        """The one stream whose words it covers."""
        return [str(self.stream)]

    def __call__(self, batch: Batch, draw: Draw) -> Batch:
        """`batch.inputs[stream]` with some words covered, and the target."""
        words = batch.inputs[str(self.stream)]
        length = words.shape[1]
        chosen = self._is_word(words) & (draw.fold("chosen").uniform(length) < self.p)
        fate = draw.fold("fate").uniform(length)
        least = 0 if self.marks else FIRST_WORD + 1 if self.vocab > FIRST_WORD + 1 else FIRST_WORD
        other = least + (draw.fold("word").uniform(length) * (self.vocab - least)).long()
        other = torch.where(self._is_word(other), other, words)
        swapped = torch.where(fate < self.covered + self.swapped, other, words)
        changed = torch.where(fate < self.covered, self.mask, swapped)
        return batch.replace(
            inputs={**batch.inputs, str(self.stream): torch.where(chosen, changed, words)},
            targets={**batch.targets, self.target: torch.where(chosen, words, -1)},
        )

    def _is_word(self, tokens: Tensor) -> Tensor:
        """Tokens (N, L) to (N, L) bool: those that are no mark."""
        if not self.marks:
            return tokens >= FIRST_WORD
        return ~torch.isin(tokens, tokens.new_tensor(self.marks))

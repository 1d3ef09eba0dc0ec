"""Tokenizers: small ones trained on the training split's text, and those of files."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, trainers

from multimodal_lab.data.source import DataError
from multimodal_lab.text import half_character

SPECIAL = ("[PAD]", "[BOS]", "[EOS]", "[UNK]")
PAD, BOS, EOS, UNK = range(4)

Model = Literal["word", "bpe"]


@dataclass(frozen=True)
class Marks:
    """The ids that fill (`pad`), begin and end a text, and of what is unknown, None where everything is known.

    left: padding stands before a text, as of models that write on from its end.
    """

    pad: int = PAD
    begin: tuple[int, ...] = (BOS,)
    end: tuple[int, ...] = (EOS,)
    unk: int | None = UNK
    left: bool = False


OWN = Marks()


class Tokens:
    """Text to (length,) int64 and back. A trained one: PAD 0, BOS 1, EOS 2, UNK 3, then words or word pieces; lower case."""

    def __init__(self, tokenizer: Tokenizer, length: int, marks: Marks = OWN) -> None:
        self.tokenizer = tokenizer
        self.length = length
        self.marks = marks
        self.room = length - len(marks.begin) - len(marks.end)  # for words

    @classmethod
    def train(cls, texts: Iterable[str], vocab: int, length: int, model: Model = "word") -> Tokens:
        """Learn at most `vocab` entries, the four marks among them, from `texts`; no text at all is a `DataError`."""
        if vocab < len(SPECIAL) + 1 or length < 3:
            raise DataError(f"modality: a text stream needs vocab >= 5 and length >= 3, got {vocab} and {length}")
        kept = sorted(texts)
        if not kept:
            raise DataError("modality: the training split has no text to train a tokenizer on")
        bare = models.WordLevel(unk_token=SPECIAL[UNK]) if model == "word" else models.BPE(unk_token=SPECIAL[UNK])
        tokenizer = Tokenizer(bare)
        tokenizer.normalizer = normalizers.Sequence([normalizers.NFKC(), normalizers.Lowercase()])
        tokenizer.pre_tokenizer = pre_tokenizers.Whitespace()
        kind = trainers.WordLevelTrainer if model == "word" else trainers.BpeTrainer
        tokenizer.train_from_iterator(kept, kind(vocab_size=vocab, special_tokens=list(SPECIAL), show_progress=False))
        return cls(tokenizer, length)

    @classmethod
    def from_json(cls, text: str, length: int, marks: Marks = OWN) -> Tokens:
        """The tokenizer that `to_json` wrote."""
        return cls(Tokenizer.from_str(text), length, marks)

    def to_json(self) -> str:
        """All of it but its marks as JSON text, for the run's record."""
        return str(self.tokenizer.to_str())

    @property
    def vocab(self) -> int:
        """V: one more than the largest id, the marks among them."""
        return 1 + max(self.tokenizer.get_vocab().values())

    def encode(self, text: str) -> np.ndarray:
        """(length,) int64: what begins, words, what ends, and padding; what is too long loses its end but keeps that mark."""
        if wrong := half_character(text):
            raise DataError(f"a text: {wrong}")
        words = self.tokenizer.encode(text, add_special_tokens=False).ids[: self.room]
        ids = [*self.marks.begin, *words, *self.marks.end]
        out = np.full(self.length, self.marks.pad, dtype=np.int64)
        out[slice(self.length - len(ids), None) if self.marks.left else slice(len(ids))] = ids
        return out

    def lost(self, texts: Sequence[str]) -> tuple[float, float, int, int]:
        """The share of texts that `encode` cuts, that of words that are unknown, the most words of a text, and how many texts
        have no known word at all."""
        found = [e.ids for e in self.tokenizer.encode_batch(list(texts), add_special_tokens=False)]
        lengths = [len(ids) for ids in found]
        cut = sum(n > self.room for n in lengths) / max(1, len(found))
        unknown = [0 if self.marks.unk is None else ids.count(self.marks.unk) for ids in found]
        nothing = sum(map(int.__eq__, unknown, lengths))
        return cut, sum(unknown) / max(1, sum(lengths)), max(lengths, default=0), nothing

    def decode(self, tokens: Sequence[int] | np.ndarray) -> str:
        """The text up to the first EOS, marks left out, words parted by one space."""
        words = []
        for token in tokens:
            if int(token) == EOS:
                break
            if int(token) not in (PAD, BOS):
                words.append(self.tokenizer.id_to_token(int(token)) or SPECIAL[UNK])
        return " ".join(words)

"""A small word tokenizer trained on the training split's text."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Literal

import numpy as np
from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, trainers

from multimodal_lab.data.source import DataError

SPECIAL = ("[PAD]", "[BOS]", "[EOS]", "[UNK]")
PAD, BOS, EOS, UNK = range(4)

Model = Literal["word", "bpe"]


class Tokens:
    """Text to (length,) int64 and back: PAD 0, BOS 1, EOS 2, UNK 3, then words or word pieces; lower case."""

    def __init__(self, tokenizer: Tokenizer, length: int) -> None:
        self.tokenizer = tokenizer
        self.length = length

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
    def from_json(cls, text: str, length: int) -> Tokens:
        """The tokenizer that `to_json` wrote."""
        return cls(Tokenizer.from_str(text), length)

    def to_json(self) -> str:
        """All of it as JSON text, for the run's record."""
        return str(self.tokenizer.to_str())

    @property
    def vocab(self) -> int:
        """V: how many entries it has, the four marks among them."""
        return int(self.tokenizer.get_vocab_size())

    def encode(self, text: str) -> np.ndarray:
        """(length,) int64: BOS, words, EOS, then PAD; what is too long loses its end but keeps EOS."""
        words = self.tokenizer.encode(text, add_special_tokens=False).ids[: self.length - 2]
        out = np.full(self.length, PAD, dtype=np.int64)
        out[: len(words) + 2] = [BOS, *words, EOS]
        return out

    def lost(self, texts: Sequence[str]) -> tuple[float, float, int]:
        """The share of texts that `encode` cuts, the share of words that are unknown, and the most words of a text."""
        found = [e.ids for e in self.tokenizer.encode_batch(list(texts), add_special_tokens=False)]
        lengths = [len(ids) for ids in found]
        cut = sum(n > self.length - 2 for n in lengths) / max(1, len(found))
        return cut, sum(ids.count(UNK) for ids in found) / max(1, sum(lengths)), max(lengths, default=0)

    def decode(self, tokens: Sequence[int] | np.ndarray) -> str:
        """The text up to the first EOS, marks left out, words parted by one space."""
        words = []
        for token in tokens:
            if int(token) == EOS:
                break
            if int(token) not in (PAD, BOS):
                words.append(self.tokenizer.id_to_token(int(token)) or SPECIAL[UNK])
        return " ".join(words)

"""The `text` kind: one text column as token ids (L,), tokenizer trained on the training split."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, ClassVar, Literal

import numpy as np

from multimodal_lab.data.kind import Kind, Learner
from multimodal_lab.data.source import DataError, Raw
from multimodal_lab.text import install_command
from multimodal_lab.types import Stream

if TYPE_CHECKING:
    from multimodal_lab.data.kind import Samples


LOOKED_AT = 10_000  # samples of a split, evenly spaced, whose texts are counted: a second or two


class Text(Kind):
    """One text or several a sample; training draws one each epoch, all else takes the first."""

    integer: ClassVar[bool] = True
    drawn_each_epoch: ClassVar[bool] = True
    producible: ClassVar[bool] = True
    stored: ClassVar[Literal["bands", "column", "own"]] = "column"
    keys: ClassVar[tuple[str, ...]] = ("vocab", "length", "tokens")
    default_backbone: ClassVar[str] = "text"
    requires: ClassVar[dict[str, str]] = {"tokenizers": "text"}

    def several(self, samples: Samples, raw: Raw, name: str) -> list[str]:
        """All texts of one sample, stripped; empty where missing."""
        text = raw.inputs[name]
        texts = [text] if isinstance(text, str) else list(text or [])
        return [t.strip() for t in texts if t and t.strip()]

    def encode(self, samples: Samples, name: str, text: str) -> np.ndarray:
        """(L,) int64."""
        tokens: np.ndarray = samples.tokens[name].encode(text)
        return tokens

    def learner(self, samples: Samples, name: str, train: np.ndarray) -> Learner:
        """A tokenizer."""
        return Vocabulary(samples, name)

    def notes(
        self, samples: Samples, name: str, read: Callable[[int], Raw], splits: Mapping[str, np.ndarray]
    ) -> list[str]:
        """What is lost: the share of texts that are cut at `length`, and of words that the tokenizer does not know.

        Of at most `LOOKED_AT` samples of each split; more than 1 % is a warning.
        """
        told, worst, longest = [], 0.0, 0
        for split, rows in splits.items():
            some = (
                rows[np.unique(np.linspace(0, len(rows) - 1, min(len(rows), LOOKED_AT)).astype(int))]
                if len(rows)
                else rows
            )
            texts = [t for row in some for t in self.several(samples, read(int(row)), name)]
            cut, unknown, most = samples.tokens[name].lost(texts)
            worst, longest = max(worst, cut, unknown), max(longest, most)
            if cut or unknown:
                told.append(f"{cut:.1%} of texts are cut and {unknown:.1%} of words are unknown in {split}")
        if not told:
            return []
        length = samples.plans[name].length
        cure = (
            [f"modality.{name}.length={longest + 2} keeps the longest (length is {length})"]
            if longest + 2 > length
            else []
        )
        cure.append(f"modality.{name}.tokens=bpe and a larger vocab know more words")
        return [f"{'warning: ' if worst > 0.01 else ''}text {name}: {'; '.join(told)}; {', '.join(cure)}"]

    def restore(self, samples: Samples, name: str) -> None:
        """The tokenizer of the record."""
        if name not in samples.tokens:
            samples.tokens[name] = _tokens().from_json(samples.fitted[name].tokenizer, samples.plans[name].length)

    def shape(self, stream: Stream) -> tuple[int, ...]:
        """(L,)."""
        return (stream.length or 0,)


class Vocabulary(Learner):
    """Collects all texts and trains the tokenizer on them."""

    def __init__(self, samples: Samples, name: str) -> None:
        super().__init__(samples, name)
        self.texts: list[str] = []

    def add(self, raw: Raw) -> None:
        """All texts of one sample."""
        self.texts += self.samples.kinds[self.name].several(self.samples, raw, self.name)

    def finish(self) -> None:
        """The tokenizer, and its text for the record; no text at all is a `DataError`."""
        plan, fitted = self.samples.plans[self.name], self.samples.fitted[self.name]
        if not self.texts:
            raise DataError(f"stream {self.name}: no sample of the training split has text in {plan.stored.field!r}")
        trained = _tokens().train(self.texts, plan.vocab, plan.length, plan.model)
        self.samples.tokens[self.name] = trained
        fitted.tokenizer, fitted.vocab = trained.to_json(), trained.vocab


def _tokens() -> Any:
    try:
        from multimodal_lab.data.streams.tokenizer import Tokens
    except ImportError as error:
        raise DataError(f"modality: text streams need the package tokenizers: {install_command('text')}") from error
    return Tokens

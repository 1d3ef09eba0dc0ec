"""The `text` kind: one text column as token ids (L,), by a tokenizer trained on the training split or one of a file."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import asdict, replace
from typing import TYPE_CHECKING, Any, ClassVar, Literal

import numpy as np
from torch import Tensor

from multimodal_lab.data.kind import TRAINED, Kind, Learner, StreamPlan, StreamStatistics, looked_at
from multimodal_lab.data.source import DataError, Raw
from multimodal_lab.files import tokenizer_digest
from multimodal_lab.text import half_character, is_blank
from multimodal_lab.types import Stream

if TYPE_CHECKING:
    from multimodal_lab.data.kind import Samples


class Text(Kind):
    """One text or several a sample; training draws one each epoch, all else takes the first."""

    integer: ClassVar[bool] = True
    drawn_each_epoch: ClassVar[bool] = True
    producible: ClassVar[bool] = True
    stored: ClassVar[Literal["bands", "column", "own"]] = "column"
    keys: ClassVar[tuple[str, ...]] = ("vocab", "length", "tokens")
    default_backbone: ClassVar[str] = "text"

    def several(self, samples: Samples, raw: Raw, name: str) -> list[str]:
        """All texts of one sample, stripped; empty where missing."""
        text = raw.inputs[name]
        texts = [text] if isinstance(text, str) else list(text or [])
        if wrong := next((said for t in texts if t and (said := half_character(t))), ""):
            raise DataError(f"stream {name}: {wrong}")
        return [t.strip() for t in texts if t and not is_blank(t)]

    def encode(self, samples: Samples, name: str, text: str) -> np.ndarray:
        """(L,) int64."""
        tokens: np.ndarray = samples.tokens[name].encode(text)
        return tokens

    def learner(self, samples: Samples, name: str, train: np.ndarray) -> Learner:
        """A tokenizer."""
        return Vocabulary(samples, name) if samples.plans[name].model in TRAINED else FromFile(samples, name)

    def notes(
        self, samples: Samples, name: str, read: Callable[[int], Raw], splits: Mapping[str, np.ndarray]
    ) -> list[str]:
        """What is lost: the share of texts that are cut at `length`, and of words that the tokenizer does not know, and how
        many texts have none that it knows, so that a tower can't tell them apart.

        Of the samples of each split that are `looked_at`; more than 1 % is a warning.
        """
        told, worst, longest = [], 0.0, 0
        for split, rows in splits.items():
            texts = [t for row in looked_at(rows) for t in self.several(samples, read(int(row)), name)]
            cut, unknown, most, nothing = samples.tokens[name].lost(texts)
            worst, longest = max(worst, cut, unknown), max(longest, most)
            if cut or unknown or nothing:
                empty = f" ({nothing} of {len(texts)} texts have no known word)" if nothing else ""
                told.append(f"{cut:.1%} of texts are cut and {unknown:.1%} of words are unknown in {split}{empty}")
        of_file = _of_file(samples, name)
        if not told:
            return of_file
        length, marks = samples.plans[name].length, samples.tokens[name].marks
        whole = longest + len(marks.begin) + len(marks.end)
        cure = [f"modality.{name}.length={whole} keeps the longest (length is {length})"] if whole > length else []
        if samples.plans[name].model in TRAINED:
            cure.append(f"modality.{name}.tokens=bpe and a larger vocab know more words")
        return [
            *of_file,
            f"{'warning: ' if worst > 0.01 else ''}text {name}: {'; '.join([*told, *([', '.join(cure)] if cure else [])])}",
        ]

    def restore(self, samples: Samples, name: str) -> None:
        """The tokenizer of the record."""
        if name not in samples.tokens:
            from multimodal_lab.data.streams.tokenizer import OWN, Marks, Tokens

            fitted, length = samples.fitted[name], samples.plans[name].length
            own: dict[str, Any] = {k: tuple(v) if isinstance(v, list) else v for k, v in fitted.marks.items()}
            samples.tokens[name] = Tokens.from_json(fitted.tokenizer, length, Marks(**own) if own else OWN)

    def stream(self, plan: StreamPlan, fitted: StreamStatistics) -> Stream:
        """With the facts of its tokenizer; one that was trained here has `tokenizer.OWN`."""
        marks = fitted.marks or {"pad": 0, "begin": [1], "end": [2]}
        bos, eos = (marks[side][at] if marks[side] else None for side, at in (("begin", 0), ("end", -1)))
        digest = tokenizer_digest(fitted.tokenizer) if fitted.tokenizer else ""
        return replace(super().stream(plan, fitted), pad=marks["pad"], bos=bos, eos=eos, digest=digest)

    def empty(self, stream: Stream, rows: int) -> Tensor:
        """All padding."""
        return super().empty(stream, rows) + stream.pad

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
        from multimodal_lab.data.streams.tokenizer import SPECIAL, Tokens

        for key, found, least in (("vocab", plan.vocab, len(SPECIAL) + 1), ("length", plan.length, 3)):
            if found < least:
                raise DataError(
                    f"modality.{self.name}.{key}={found}: expected {least} or more (nearest: modality.{self.name}.{key}={least})"
                )
        model: Literal["word", "bpe"] = "bpe" if plan.model == "bpe" else "word"
        trained = Tokens.train(self.texts, plan.vocab, plan.length, model)
        self.samples.tokens[self.name] = trained
        fitted.tokenizer, fitted.vocab = trained.to_json(), trained.vocab


class FromFile(Learner):
    """Takes the tokenizer of a file, whatever the texts are."""

    def finish(self) -> None:
        """The tokenizer, its text and its marks for the record."""
        from multimodal_lab.data.streams.tokenizer_file import load

        plan, fitted = self.samples.plans[self.name], self.samples.fitted[self.name]
        found = load(plan.model, plan.length, f"modality.{self.name}.tokens")
        self.samples.tokens[self.name] = found
        fitted.tokenizer, fitted.vocab = found.to_json(), found.vocab
        fitted.marks = {k: list(v) if isinstance(v, tuple) else v for k, v in asdict(found.marks).items()}


def _of_file(samples: Samples, name: str) -> list[str]:
    """Which tokenizer a stream has, where it is one of a file: no `vocab` is then asked for."""
    fitted = samples.fitted[name]
    if not fitted.marks:
        return []
    digest = tokenizer_digest(fitted.tokenizer)[:8]
    return [
        f"text {name}: tokenizer {digest} of {samples.plans[name].model}, {fitted.vocab} entries, padding {fitted.marks['pad']}"
    ]

"""`Batchwise`, the base class of the ops on a whole batch: rows may meet, and targets may be added."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import ClassVar

from multimodal_lab.augment.draw import Draw
from multimodal_lab.text import expected_one_of
from multimodal_lab.types import Batch, Stream


class Batchwise:
    """An op `(batch, draw) -> batch`: as many rows in their order, inputs of the same shape, tensors of its own.

    `adds_targets`: {argument that names a target: its shape and type}; losses find the target at `batch.targets.NAME`. Views are
    stacked along the rows. Rows whose stream is missing stay missing. A batch is this rank's own, and whole: it is cut for
    `train.micro_batch` afterwards.
    """

    adds_targets: ClassVar[Mapping[str, str]] = {}

    def prepare(self, name: str, streams: Mapping[str, Stream], classes: Mapping[str, int]) -> None:
        """Before the first batch: what there is; the op is called `name` in the config. ValueError where it can't act on that."""

    def __call__(self, batch: Batch, draw: Draw) -> Batch:
        """The batch changed by what `draw` (a key a row) gives, and by nothing else."""
        raise NotImplementedError

    def changes(self, streams: Mapping[str, Stream]) -> Collection[str]:
        """The streams whose inputs, rows or steps it may change: all, unless it says that it leaves some as they are."""
        return list(streams)

    def targets(self) -> list[str]:
        """The names of the targets that it adds, or gives another shape."""
        return [str(getattr(self, argument)) for argument in self.adds_targets]


def one_stream(op: str, name: str | None, fit: list[str], kinds: str, argument: str = "stream") -> str:
    """`name` if it is one of `fit`, the streams of the right kind; null is the first; ValueError for none and any other."""
    if name in fit:
        return name
    if name is None and fit:
        return fit[0]
    hint = expected_one_of(str(name), fit) if fit else f"the modality has no {kinds} stream; remove it"
    raise ValueError(f"augment.ops.{op}.{argument} is {name or 'null'}: {hint}")

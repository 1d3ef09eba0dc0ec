"""The `Kind` contract: declared facts of a kind of data, and its methods from stored value to network input.

A kind has no state: what is learnt of a stream stands in `samples.fitted[name]`, in plain JSON types.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any, ClassVar, Literal

import numpy as np
import torch
from torch import Tensor

from multimodal_lab.types import Stream

if TYPE_CHECKING:
    from multimodal_lab.data.source import Raw
    from multimodal_lab.data.streams.plan import StreamPlan, StreamStatistics
    from multimodal_lab.data.streams.sample import SampleReader


class Kind:
    """One kind of data; subclass it, or `Array` for values that are bands first, or `Text` for texts read in another way.

    The class attributes are facts that the config check reads from the source, so they are written as plain values.

    has_bands: a stream is cut from stored bands (`take`), else from one column (`field`). stored: what a reader gives, an
    array of `bands`, the text of a `column`, or a value that readers of its `own` package alone know, which can't be packed;
    a reader of images gives every kind of bands with two axes. axes: those behind the bands, at most two; spatial: they are
    H and W, resized, masked and warped together with those of other such streams. learns_statistics: the training split
    gives each band a mean and a deviation, by which the system normalises. integer: inputs are int64, else float32.
    drawn_each_epoch: a sample may hold several texts, of which training draws one each epoch. producible: may be a target
    (`role: target`). pictured: `picture` makes a picture of it. keys: which of `vocab`, `length` and `tokens` a modality
    may give. default_backbone: the choice to name in an error.
    """

    has_bands: ClassVar[bool] = False
    axes: ClassVar[int] = 0
    spatial: ClassVar[bool] = False
    learns_statistics: ClassVar[bool] = False
    integer: ClassVar[bool] = False
    drawn_each_epoch: ClassVar[bool] = False
    producible: ClassVar[bool] = False
    pictured: ClassVar[bool] = False
    stored: ClassVar[Literal["bands", "column", "own"]] = "own"
    keys: ClassVar[tuple[str, ...]] = ()
    default_backbone: ClassVar[str] = ""

    def check(self, samples: SampleReader, name: str, x: Any, raw: Raw) -> None:
        """Refuse (`DataError`) a stored value that can't be used; the caller names the sample."""

    def require(self, samples: SampleReader, x: Any) -> None:
        """Refuse (`DataError`) a stored value that `finish` could not bring to size; cheaper than `finish`."""

    def finish(self, samples: SampleReader, row: int, name: str) -> tuple[np.ndarray | None, np.ndarray | None]:
        """A stored value as network input of `shape`, before normalisation, with its mask; (None, None) if missing."""
        x = samples.raw(row).inputs[name]
        return (None, None) if x is None else (np.asarray(x), None)

    def several(self, samples: SampleReader, row: int, name: str) -> list[str]:
        """All texts of a sample, of a kind that is `drawn_each_epoch`; empty where it is missing."""
        raise NotImplementedError

    def encode(self, samples: SampleReader, name: str, text: str) -> np.ndarray:
        """The drawn text as a network sees it, of `shape`."""
        raise NotImplementedError

    def learner(self, samples: SampleReader, name: str, train: np.ndarray) -> Learner:
        """What is fitted on the training rows; nothing by default."""
        return Learner(samples, name)

    def restore(self, samples: SampleReader, name: str) -> None:
        """Restore what was fitted, from `samples.fitted[name]`."""

    def stream(self, plan: StreamPlan, fitted: StreamStatistics) -> Stream:
        """The stream that a backbone is built for."""
        length = plan.length if "length" in self.keys else None
        mean, std = tuple(fitted.mean), tuple(fitted.std)
        return replace(plan.stored, size=fitted.size, vocab=fitted.vocab, length=length, mean=mean, std=std)

    def shape(self, stream: Stream) -> tuple[int, ...]:
        """The shape of one finished sample."""
        raise NotImplementedError

    def empty(self, stream: Stream, rows: int) -> Tensor:
        """A batch of missing samples, zeros (rows, *shape): samples are put into it one by one."""
        return torch.zeros(rows, *self.shape(stream), dtype=torch.int64 if self.integer else torch.float32)

    def per_band(self, stream: Stream) -> tuple[int, ...]:
        """How one number a band, (C,), is shaped to meet a batch of this kind."""
        return (-1, *[1] * self.axes)

    def picture(self, x: Tensor, stream: Stream) -> Tensor:
        """(N, *shape) to pictures (N, 3, H, W), of a kind that is `pictured`."""
        raise NotImplementedError


class Learner:
    """Sees every training sample once, in order, then writes what it has fitted into `samples.fitted[name]`."""

    def __init__(self, samples: SampleReader, name: str) -> None:
        self.samples, self.name = samples, name

    def add(self, row: int) -> None:
        """Add one sample."""
        self.samples.raw(row)  # read and checked, though there is nothing to learn

    def finish(self) -> None:
        """Write what was fitted."""

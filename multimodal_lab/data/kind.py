"""The `Kind` contract: declared facts of a kind of data, and its methods from stored value to network input.

A kind has no state: what is learnt of a stream stands in `samples.fitted[name]`, in plain JSON types.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, ClassVar, Literal, Protocol

import numpy as np
import torch
from torch import Tensor

from multimodal_lab.types import Stream

if TYPE_CHECKING:
    from multimodal_lab.data.source import Raw
    from multimodal_lab.data.streams.own_scaling import OwnScaling
    from multimodal_lab.data.streams.resize import Resize
    from multimodal_lab.data.streams.scaling import Scaling


TRAINED = ("word", "bpe")  # models of tokenizers that are trained on the training split
Background = Literal["mean", "zero", "keep"]
NodataRule = Literal["any", "all"]
Normalise = Literal["train", "imagenet", "sat493m", "backbone"] | dict[str, Any]


@dataclass(frozen=True)
class StreamPlan:
    """One stream: `stored` is what the reader is asked for, the rest says what is made of it.

    timed: it has a time axis, of `stored.steps` steps, None: as many as the longest recording of the training split has.
    longer: what one with more steps does, `refuse` or `cut` at the end. model: `word` or `bpe`, or the path of a tokenizer,
    whose file has the hash `tokenizer`. resize: what it has of its own of `Resize.keys`. normalise: see `streams.normalise`.
    names: of a map, {stored value: its class}; ignore: stored values that are none.
    """

    stored: Stream
    target: bool = False
    pca: int = 0
    vocab: int = 2000
    length: int = 24
    model: str = "word"
    timed: bool = False
    longer: Literal["refuse", "cut"] = "refuse"
    tokenizer: str = ""
    resize: dict[str, Any] = field(default_factory=dict)
    normalise: Normalise = "train"
    names: dict[float, str] = field(default_factory=dict)
    ignore: tuple[float, ...] = ()


@dataclass
class StreamStatistics:
    """What the training split taught about one stream, in plain JSON types.

    layout: `shape` (time left out), `dtype`, `full_scale`, `masked` of what is stored, and `rate` where there is a time axis.
    scaling: facts of the policy, or whatever else a kind of another package learns. pca: `mean` (C,) and `components` (k, C).
    tokenizer: its JSON text; marks: the ids of one from a file, see `Marks`. mean, std: per band of the finished stream. fill,
    unit: see `Stream`. missing: of how many training samples (`of`) `some` have pixels or steps without a value, which `share`
    of theirs, and how many have `none` with one; empty where all have all. ranges: of each stored band, see `BandRanges`. size:
    its pixels a side. steps: how many the finished stream has, where it has a time axis.
    """

    layout: dict[str, Any] = field(default_factory=dict)
    scaling: dict[str, Any] = field(default_factory=dict)
    pca: dict[str, Any] = field(default_factory=dict)
    tokenizer: str = ""
    marks: dict[str, Any] = field(default_factory=dict)
    mean: list[float] = field(default_factory=list)
    std: list[float] = field(default_factory=list)
    fill: list[float] = field(default_factory=list)
    unit: float = 1.0
    missing: dict[str, Any] = field(default_factory=dict)
    ranges: dict[str, Any] = field(default_factory=dict)
    size: int | None = None
    steps: int | None = None
    vocab: int | None = None


class Samples(Protocol):
    """What a kind sees of the samples: each stream's plan and what is learnt of it, and the choices of the run.

    tokens[stream]: its tokenizer. background: what lies outside the specimen, see `Data`. nodata: whether a pixel is missing
    where `any` band of a stream is, or where `all` are. policies[stream]: how its values are scaled. resizes[stream]: what
    brings it to size.
    """

    plans: dict[str, StreamPlan]
    fitted: dict[str, StreamStatistics]
    tokens: dict[str, Any]
    kinds: dict[str, Kind]
    layouts: dict[str, tuple[Any, ...]]
    scaling: Scaling | OwnScaling
    policies: dict[str, Any]
    resizes: dict[str, Resize]
    background: Background
    nodata: NodataRule

    def raw(self, row: int) -> Raw:
        """What is stored of one sample, checked."""
        ...


class Kind:
    """One kind of data; subclass it, or `Array` for values that are bands first, or `Text` for texts read in another way.

    The class attributes are facts that the config check reads from the source, so they are written as plain values.

    has_bands: a stream is cut from stored bands (`take`), else from one column (`field`). stored: what a reader gives, an
    array of `bands`, the text of a `column`, or a value that readers of its `own` package alone know, which can't be packed;
    a reader of images gives every kind of bands with two axes. axes: those behind the bands, at most two; spatial: they are
    H and W, resized, masked and warped together with those of other such streams. steps: a stream may have a time axis, between
    the bands and those. learns_statistics: the training split
    gives each band a mean and a deviation, by which the system normalises. integer: inputs are int64, else float32.
    drawn_each_epoch: a sample may hold several texts, of which training draws one each epoch. producible: may be a target
    (`role: target`). pixelwise: it is nothing else, a value for each pixel, which goes wherever augmentation moves the
    images'. pictured: `picture` makes a picture of it. keys: which of `vocab`, `length`, `tokens`, `names` and `ignore` a
    modality may give. default_backbone: the choice to name in an error. requires: {package: extra of ours that installs it}.
    """

    has_bands: ClassVar[bool] = False
    axes: ClassVar[int] = 0
    spatial: ClassVar[bool] = False
    steps: ClassVar[bool] = False
    learns_statistics: ClassVar[bool] = False
    integer: ClassVar[bool] = False
    drawn_each_epoch: ClassVar[bool] = False
    producible: ClassVar[bool] = False
    pixelwise: ClassVar[bool] = False
    pictured: ClassVar[bool] = False
    stored: ClassVar[Literal["bands", "column", "own"]] = "own"
    keys: ClassVar[tuple[str, ...]] = ()
    default_backbone: ClassVar[str] = ""
    requires: ClassVar[dict[str, str]] = {}

    def check(self, samples: Samples, name: str, x: Any, raw: Raw) -> None:
        """Refuse (`DataError`) a stored value that can't be used; the caller names the sample."""

    def require(self, samples: Samples, name: str, x: Any) -> None:
        """Refuse (`DataError`) a stored value that `finish` could not bring to size; cheaper than `finish`."""

    def finish(self, samples: Samples, raw: Raw, name: str) -> tuple[np.ndarray | None, np.ndarray | None]:
        """A sample's value as a network sees it before normalisation, of `shape`, and its mask; (None, None) if missing.

        Of a stream with steps there are as many as were recorded, NaN all through those that lie in a gap.
        """
        x = raw.inputs[name]
        return (None, None) if x is None else (np.asarray(x), None)

    def several(self, samples: Samples, raw: Raw, name: str) -> list[str]:
        """All texts of a sample, of a kind that is `drawn_each_epoch`; empty where it is missing."""
        raise NotImplementedError

    def encode(self, samples: Samples, name: str, text: str) -> np.ndarray:
        """The drawn text as a network sees it, of `shape`."""
        raise NotImplementedError

    def learner(self, samples: Samples, name: str, train: np.ndarray) -> Learner:
        """What learns from the training rows; by default nothing."""
        return Learner(samples, name)

    def restore(self, samples: Samples, name: str) -> None:
        """Make ready what `samples.fitted[name]` says was learnt."""

    def notes(
        self, samples: Samples, name: str, read: Callable[[int], Raw], splits: Mapping[str, np.ndarray]
    ) -> list[str]:
        """What a run should tell of a stream, once all is learnt; `read(row)` gives that stream alone, as stored."""
        return []

    def stream(self, plan: StreamPlan, fitted: StreamStatistics) -> Stream:
        """The stream that a backbone is built for."""
        length = plan.length if "length" in self.keys else None
        learnt: dict[str, Any] = {
            "mean": tuple(fitted.mean),
            "std": tuple(fitted.std),
            "fill": tuple(fitted.fill),
            "unit": fitted.unit,
        }
        if plan.timed:
            rate = plan.stored.rate or fitted.layout.get("rate")
            learnt |= {"steps": plan.stored.steps or fitted.steps, "rate": rate}
        names = tuple(plan.names.values())
        return replace(plan.stored, size=fitted.size, vocab=fitted.vocab, length=length, names=names, **learnt)

    def shape(self, stream: Stream) -> tuple[int, ...]:
        """The shape of one finished sample."""
        raise NotImplementedError

    def empty(self, stream: Stream, rows: int) -> Tensor:
        """A batch of missing samples, zeros (rows, *shape): samples are put into it one by one."""
        return torch.zeros(rows, *self.shape(stream), dtype=torch.int64 if self.integer else torch.float32)

    def per_band(self, stream: Stream) -> tuple[int, ...]:
        """How one number a band, (C,), is shaped to meet a batch of this kind."""
        return (-1, *[1] * (self.axes + (stream.steps is not None)))

    def shows(self, stream: Stream) -> bool:
        """Whether `picture` makes a picture of this stream."""
        return self.pictured

    def heard(self, stream: Stream) -> bool:
        """Whether this stream is a sound, (N, C, T) in -1 to 1 at `stream.rate`, that pages play."""
        return False

    def picture(self, x: Tensor, stream: Stream) -> Tensor:
        """(N, *shape) to pictures (N, 3, H, W), of a kind that is `pictured`; a step that is not valid is NaN."""
        raise NotImplementedError

    def sheet(self, x: Tensor, stream: Stream) -> Tensor:
        """What galleries show: `picture`, or several of them in one, (N, 3, H', W')."""
        return self.picture(x, stream)


def looked_at(rows: np.ndarray) -> np.ndarray:
    """The rows of a split, or so many of them that looking takes a second or two, evenly spaced."""
    return rows[np.unique(np.linspace(0, len(rows) - 1, min(len(rows), 10_000)).astype(int))] if len(rows) else rows


class Learner:
    """Sees every training sample once, in order, then writes what it has fitted into `samples.fitted[name]`."""

    def __init__(self, samples: Samples, name: str) -> None:
        self.samples, self.name = samples, name

    def add(self, raw: Raw) -> None:
        """Take in one sample, read and checked."""

    def finish(self) -> None:
        """Write what was fitted."""

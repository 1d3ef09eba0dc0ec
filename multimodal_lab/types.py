"""The core types: `Stream`, `Batch` and `Features`, which every stage exchanges.

Letters used in every docstring: N samples, L tokens, D width, C channels (bands), H W pixels, T time steps, V vocabulary.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import MISSING, dataclass, field, fields, replace
from typing import Any, Protocol, Self

import torch
from torch import Tensor

KindName = str  # the name of a kind of data: `data.kinds` knows which there are
COMPONENT = "principal component"  # the unit of a band that is one


@dataclass(frozen=True)
class Band:
    """One measured band: its name, its centre in nm where it has one, and the unit of its values."""

    name: str
    nm: float | None = None
    unit: str = ""


class Drawing(Protocol):
    """Random numbers, a key a row, as `augment.draw.Draw` makes them."""

    def fold(self, name: str) -> Self:
        """An independent stream for each name."""
        ...

    def uniform(self, count: int) -> Tensor:
        """(N, count) in [0, 1)."""
        ...


@dataclass(frozen=True)
class Stream:
    """All that a backbone must know of one input.

    image: (N, C, H, W) float, C = len(bands), H = W = `size`; vector: (N, C) float; text: (N, L) int64 tokens below
    `vocab`, `pad` where padded, L = `length`; another kind: what its `shape` says. With `steps`, T, there is a time axis behind
    the bands: a vector is (N, C, T), such as a recording of C channels, an image (N, C, T, H, W), a video; a recording that is
    shorter is padded at its end, see `Batch.valid`. `rate`: its steps in Hz, None where nobody says it. `mean` and `std` are
    per band, from the training split; the System normalises with them. `fill` is per band what a pixel without a value holds
    (outside the specimen or the frame, nodata), 0 where empty. `unit` is what an augmentation takes for 1: the full range of
    the values. `field` names the column or file of the data set that the stream is cut from ("" = its only one). Of a
    tokenizer: `pad`, `bos` and `eos`, the ids that fill, begin and end a text (None: nothing begins or ends it), and `digest`,
    see `files.tokenizer_digest`. `names`: the classes of a map, () of one of numbers.
    """

    name: str
    kind: KindName = "image"
    bands: tuple[Band, ...] = ()
    size: int | None = None
    steps: int | None = None
    rate: float | None = None
    vocab: int | None = None
    length: int | None = None
    mean: tuple[float, ...] = ()
    std: tuple[float, ...] = ()
    fill: tuple[float, ...] = ()
    unit: float = 1.0
    field: str = ""
    pad: int = 0
    bos: int | None = None
    eos: int | None = None
    digest: str = ""
    names: tuple[str, ...] = ()

    @property
    def channels(self) -> int:
        """How many bands."""
        return len(self.bands)


@dataclass
class Batch:
    """What a loader gives and augmentation returns.

    inputs[stream] (N, …); targets[label] (N, …), class index int64 with -1 where the label is missing, or float; of a map
    (N, H, W), the class of each pixel, or a float with NaN;
    present[stream] (N,) bool; ids (N,) int64, equal ids are views of one sample; groups (N,) int64;
    mask (N, 1, H, W) float 0/1, shared by all image streams, or None: 0 where a pixel is blank, as it was not measured,
    lies outside the frame or, but with `data.background=keep`, outside the specimen. same (N,) int64: equal where
    samples show one thing, such as captions of one image, which losses take for ids; None where no two do.
    items[stream] (N,) int64: equal where rows hold the same thing in that stream, such as the image of several captions,
    so that it is ranked once; of a stream that is not there each row holds its own. others[stream] (N, K, …), in
    evaluation alone: what a row holds besides its input, such as its other captions, 0 where it has fewer.
    text_ids[stream] (N, 1 + K) int64, of texts: equal where two are one and the same text, that of the input first and those
    of `others` behind it; of a row without a text its own id.
    valid[stream] (N, T) bool, of streams with `steps` alone: True where a step was measured, False where it is padded or lies
    in a gap, and all along a missing row. To a network an input is 0 there; before, what it holds means nothing.
    keys (N,) int64, in training alone: what is drawn behind the augmentation, such as masks of a spectrogram, is drawn from
    them, see `Drawing`; functions of seed, epoch, sample and view.
    """

    inputs: dict[str, Tensor]
    targets: dict[str, Tensor]
    present: dict[str, Tensor]
    ids: Tensor
    groups: Tensor
    mask: Tensor | None = None
    same: Tensor | None = None
    items: dict[str, Tensor] = field(default_factory=dict)
    others: dict[str, Tensor] = field(default_factory=dict)
    text_ids: dict[str, Tensor] = field(default_factory=dict)
    valid: dict[str, Tensor] = field(default_factory=dict)
    keys: Tensor | None = None

    def __len__(self) -> int:
        return len(self.ids)

    @classmethod
    def of(cls, inputs: Mapping[str, Tensor], targets: Mapping[str, Tensor] | None = None) -> Self:
        """A batch of N different samples that lack nothing, of tensors alone."""
        first = next(iter(inputs.values()))
        ids = torch.arange(len(first), device=first.device)
        present = {name: torch.ones(len(x), dtype=torch.bool, device=x.device) for name, x in inputs.items()}
        return cls(dict(inputs), dict(targets or {}), present, ids, ids)

    def to(self, device: torch.device | str, non_blocking: bool = True) -> Self:
        """The same batch on `device`; itself where it is there (all its tensors are on one device)."""
        if self.ids.device == device:
            return self
        return self.map(lambda x: x.to(device, non_blocking=non_blocking))

    def map(self, f: Callable[[Tensor], Tensor]) -> Self:
        """The batch with `f` of every tensor, whose rows are the N samples: how one is copied, moved, repeated or cut."""
        return replace(self, **{one.name: _mapped(f, getattr(self, one.name)) for one in fields(self)})

    def named(self) -> dict[str, Tensor]:
        """Every tensor by its place: `ids`, `inputs.rgb`; `from_named` makes the batch of it again."""
        found: dict[str, Tensor] = {}
        for one in fields(self):
            value = getattr(self, one.name)
            if isinstance(value, Mapping):
                found |= {f"{one.name}.{key}": x for key, x in value.items()}
            elif value is not None:
                found[one.name] = value
        return found

    @classmethod
    def from_named(cls, tensors: Mapping[str, Tensor]) -> Self:
        """The batch whose `named` these are."""
        # A dict without entries has left nothing in `named`; a field that may be missing has a default.
        found: dict[str, Any] = {f.name: {} for f in fields(cls) if f.default is MISSING}
        for place, x in tensors.items():
            name, _, key = place.partition(".")
            if key:
                found.setdefault(name, {})[key] = x
            else:
                found[name] = x
        return cls(**found)

    def replace(self, **changes: Any) -> Self:
        """A copy with some fields changed."""
        return replace(self, **changes)


def _mapped(f: Callable[[Tensor], Tensor], value: Any) -> Any:
    if value is None:
        return None
    return {k: f(x) for k, x in value.items()} if isinstance(value, Mapping) else f(value)


@dataclass
class Features:
    """What backbones and fusions emit: tokens (N, L, D), pooled (N, D), mask (N, L) bool, True where a token is real.

    A missing modality is a row whose mask is all False; its tokens and pooled vector are zero. `weights` carries what a
    fusion wants to show, by name: gates (N, M), attention maps (N, heads, L, L'). `grid`, (H', W'), says that the tokens
    are the places of an image in row order, one grid after another where there are several (L = k H' W'); None: they are
    none. `levels`, finer maps (N, D_i, H_i, W_i) of the backbone, finest first, are there where a head asks for them.
    """

    tokens: Tensor
    pooled: Tensor
    mask: Tensor
    weights: Mapping[str, Tensor] = field(default_factory=dict)
    grid: tuple[int, int] | None = None
    levels: tuple[Tensor, ...] = ()

    @classmethod
    def from_tokens(cls, tokens: Tensor, pooled: Tensor | None = None, grid: tuple[int, int] | None = None) -> Features:
        """All tokens real; pooled is their mean unless given."""
        mask = torch.ones(tokens.shape[:2], dtype=torch.bool, device=tokens.device)
        return cls(tokens, tokens.mean(1) if pooled is None else pooled, mask, grid=grid)

    @classmethod
    def from_vector(cls, x: Tensor) -> Features:
        """One token per sample, L = 1."""
        return cls.from_tokens(x.unsqueeze(1), x)

    @property
    def present(self) -> Tensor:
        """(N,) bool: the rows that have at least one real token."""
        return self.mask.any(1)

    @property
    def dim(self) -> int:
        """The width D."""
        return self.pooled.shape[-1]

    def keep(self, rows: Tensor) -> Features:
        """The same with every row outside `rows` (N,) bool made missing: mask False, values zero (NaN and Inf too)."""
        mask = self.mask & rows[:, None]
        zero = self.tokens.new_zeros(())
        tokens = torch.where(mask[..., None], self.tokens, zero)
        pooled = torch.where(rows[:, None], self.pooled, zero)
        levels = tuple(torch.where(rows[:, None, None, None], x, zero) for x in self.levels)
        return replace(self, tokens=tokens, pooled=pooled, mask=mask, levels=levels)


def alone(features: Mapping[str, Features], name: str) -> dict[str, Features]:
    """{stream: Features} in which every stream but `name` is missing, for a fusion to read; `fused` is left out."""
    none = torch.zeros_like(features[name].present)
    return {k: f if k == name else f.keep(none) for k, f in features.items() if k != "fused"}

"""The `System` module of every experiment: streams → backbones → fusion → heads → losses."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from typing import Any, Literal, TypeVar, cast

import torch
from torch import Tensor, nn

from multimodal_lab.augment.draw import Draw
from multimodal_lab.backbone.backbones import Backbones, Factory
from multimodal_lab.bounds import Decay
from multimodal_lab.build import asks, build
from multimodal_lab.checkpoint import tied
from multimodal_lab.checkpoint.state import Adapter
from multimodal_lab.data import kinds
from multimodal_lab.keyed import Earlier, Keyed, Scope
from multimodal_lab.loss.streams import as_judged
from multimodal_lab.loss.uncertainty import Uncertainty
from multimodal_lab.stage import stage
from multimodal_lab.types import Batch, Features, Stream

T = TypeVar("T")
Watch = Callable[[Mapping[str, Features], Batch], None]


class Normalise(nn.Module):
    """(x - mean) / std per band, the statistics those of the training split; a constant band (std 0) is only centred.

    What has no statistics, such as text, passes.
    """

    mean: Tensor
    std: Tensor

    def __init__(self, stream: Stream) -> None:
        super().__init__()
        kind = kinds.of(stream)
        shape = kind.per_band(stream)
        self.register_buffer("mean", torch.tensor(stream.mean or [0.0] * stream.channels).view(shape))
        std = torch.tensor(stream.std or [1.0] * stream.channels).view(shape)
        self.register_buffer("std", torch.where(std > 0, std, torch.ones_like(std)))
        self.active = kind.learns_statistics

    def forward(self, x: Tensor) -> Tensor:
        """(N, C, …) to the same shape."""
        return (x - self.mean) / self.std if self.active else x


class System(nn.Module):
    """Wire the stages: widths flow from backbones to fusion to heads, losses find their arguments by name.

    `classes` {label: K}, `several`, the labels of several 0/1 a sample, `numbers` {label: (mean, std)} of the training split,
    (P,) each, and `levels` {stream: the widths of the finer maps that its backbone can give} are given to heads that ask for
    them; losses find the std of numbers at `std.label`.
    `labels`: {head: the label it tells}.
    `head` is called by its file name (`out.projection`), `heads` and `losses` add more under names of their own. Heads speak
    in that order: one whose `forward` has `out` gets what those before it said. One that asks for `backbones` gets the
    built modules, {stream: module}, one that asks for `fusion` that module; weights that it keeps of them stay theirs: one
    name, saved and trained once. `task_weights`: what loss terms count beside their own `weight`, nothing more (fixed), or
    learned numbers (`loss.uncertainty`). `teacher_momentum`: of `teacher`, which losses hear at `teacher.HEAD`, see
    `train.ema`.
    """

    parts = ("backbones", "fusion", "heads", "losses", "normalise", "task_weights")

    def __init__(
        self,
        streams: Mapping[str, Stream],
        classes: Mapping[str, int],
        *,
        backbone: Factory,
        fusion: Factory,
        head: Factory,
        loss: Keyed,
        backbones: Mapping[str, Factory] | None = None,
        heads: Mapping[str, Factory] | None = None,
        losses: Mapping[str, Keyed] | None = None,
        numbers: Mapping[str, tuple[Tensor, Tensor]] | None = None,
        several: Collection[str] = (),
        task_weights: Literal["fixed", "uncertainty"] = "fixed",
        teacher_momentum: Decay | None = None,
    ) -> None:
        super().__init__()
        numbers = dict(numbers or {})
        self.scales = {label: f"std_{i}" for i, label in enumerate(numbers)}
        for label, name in self.scales.items():  # buffers, so that they lie where the batches do
            self.register_buffer(name, numbers[label][1].clone(), persistent=False)  # a head's own is saved
        self.streams = dict(streams)
        self.normalise = nn.ModuleDict({name: Normalise(s) for name, s in streams.items()})
        self.backbones = Backbones(streams, backbone, backbones or {})
        with stage("building fusion"):
            self.fusion = build(fusion, dims=dict(self.backbones.dims))
        self.dims: dict[str, int] = dict(self.fusion.dims)
        facts = {"classes": dict(classes), "several": tuple(several), "numbers": numbers, "backbones": self.backbones.by_stream(),
                 "fusion": self.fusion, "levels": self.backbones.levels()}  # fmt: skip
        named = {_file(head): head, **(heads or {})}
        self.heads = nn.ModuleDict()
        for name, factory in named.items():
            with stage(f"building head {name}"):
                self.heads[name] = self._head(factory, facts)
        self.backbones.give_levels({name for head in self.heads.values() for name in getattr(head, "reads_levels", ())})
        self.listening = {name for name, head in self.heads.items() if asks(head.forward, "out")}
        told = {name: _tells(self.heads[name], factory) for name, factory in named.items()}
        self.labels: dict[str, str] = {name: label for name, label in told.items() if label}
        self.losses = nn.ModuleDict({loss.name: loss, **(losses or {})})
        self.task_weights = Uncertainty.of(dict(self._keyed())) if task_weights == "uncertainty" else None
        for name, term in self._keyed():
            term.prepare(self.dims)
            term.begin(self.backbones.scalars(), "loss" if name == loss.name else f"losses.{name}")
        self.teacher_momentum = teacher_momentum
        self.teacher: Any = None  # made of the built and adapted system
        self.adapter: Adapter | None = None  # what `adapt` gave to act while training
        self.watch: Watch | None = None  # sees the features of training batches
        tied.save_once(self)

    def _head(self, factory: Factory, facts: Mapping[str, Any]) -> nn.Module:
        asked = {name: fact for name, fact in facts.items() if asks(factory, name)}
        module: nn.Module = build(factory, dims=dict(self.dims), **asked)
        return module

    def features(self, batch: Batch) -> dict[str, Features]:
        """Features of every stream, and `fused` where the fusion adds it; missing rows are zero with mask False."""
        rows = {name: batch.present[name] for name in self.streams}
        valid = {name: real for name in self.streams if (real := self.valid(name, batch)) is not None}
        inputs = {name: self.input(name, batch) for name in self.streams}
        draw = None if batch.keys is None else Draw(batch.keys)
        encoded = {name: f.keep(rows[name]) for name, f in self.backbones(inputs, valid, draw).items()}
        fused: dict[str, Features] = self.fusion(encoded)
        return fused

    def input(self, name: str, batch: Batch) -> Tensor:
        """What the backbone of a stream is given: normalised, 0 where a row is missing or a step is not valid."""
        x: Tensor = self.normalise[name](_clean(batch.inputs[name], batch.present[name]))
        real = self.valid(name, batch)
        return x if real is None else _clean(x, real[:, None])

    def valid(self, name: str, batch: Batch) -> Tensor | None:
        """(N, T) bool: which steps of a stream are valid, none in a missing row; None where it has no time axis."""
        return batch.valid[name] & batch.present[name][:, None] if name in batch.valid else None

    def encode(self, batch: Batch) -> tuple[dict[str, Features], dict[str, Any]]:
        """Features by name and what every head says of them."""
        features = self.features(batch)
        return features, self._say(features, batch)

    def _say(self, features: dict[str, Features], batch: Batch) -> dict[str, Any]:
        out: dict[str, Any] = {}
        for name, head in self.heads.items():
            earlier = {"out": Earlier(out, name, [*self.heads])} if name in self.listening else {}
            out[name] = head(features, batch, **earlier)
        return out

    def forward(
        self, batch: Batch, progress: float = 0.0, shares: Mapping[str, Tensor] | None = None
    ) -> dict[str, Tensor]:
        """The weighted loss terms by name, what they are made of, and their sum, `total`; `progress` in [0, 1] drives schedules.

        shares {term: factor}: what the terms of one batch of several count beside the others, see `train.accumulate_steps`.
        """
        return self.judge(self.features(batch), batch, progress, shares)

    def judge(
        self,
        features: dict[str, Features],
        batch: Batch,
        progress: float,
        shares: Mapping[str, Tensor] | None = None,
    ) -> dict[str, Tensor]:
        """What `forward` returns, from features that are there already."""
        if self.watch is not None and self.training:
            self.watch(features, batch)
        scope = self._scope(features, batch, progress)
        found = {name: term.with_parts(scope) for name, term in self._keyed()}
        terms = {name: value for name, (value, _) in found.items()}
        parts = _unique(
            [(name, part, x) for name, (_, own) in found.items() for part, x in own.items()], {*terms, "total"}
        )
        terms |= {name: share * terms[name] for name, share in (shares or {}).items()}
        if self.task_weights is not None:
            parts |= {f"{name}/unweighted": x.detach() for name, x in terms.items()}
            terms = self.task_weights(terms)
        return {**terms, **parts, "total": torch.stack(list(terms.values())).sum()}

    def scope(self, batch: Batch, progress: float = 0.0) -> Scope:
        """What losses find their arguments in, by `Keyed`."""
        return self._scope(self.features(batch), batch, progress)

    def _scope(self, features: dict[str, Features], batch: Batch, progress: float) -> Scope:
        out = self._say(features, batch)
        present = {name: f.present for name, f in features.items()}
        heard = {} if self.teacher is None else {"teacher": self.teacher(batch)}
        return {"batch": as_judged(batch), "features": features, "out": out, "present": present, "progress": progress, **heard,
                "std": {label: getattr(self, name) for label, name in self.scales.items()}}  # fmt: skip

    def loss_scalars(self, progress: float) -> dict[str, float]:
        """Scalars of losses, learned, scheduled or weights of their terms, by name; `TERM/temperature` where several have it."""
        found = [(term, k, v) for term, loss in self._keyed() for k, v in loss.scalars(progress).items()]
        learnt = {} if self.task_weights is None else self.task_weights.scalars()
        return _unique(found) | {f"{term}/log_variance": s for term, s in learnt.items()}

    def _keyed(self) -> Iterable[tuple[str, Keyed]]:
        """Every loss term by name."""
        return cast(Iterable[tuple[str, Keyed]], self.losses.items())

    def unused(self) -> list[str]:
        """After a backward: the modules whose trainable parameters got no gradient, as short as tells them apart."""
        idle = [name for name, p in self.named_parameters() if p.requires_grad and p.grad is None]
        return list(dict.fromkeys(_module(name) for name in idle))


def check_used(system: System) -> None:
    """Refuse a system with a composed but unused part, in one sentence."""
    if idle := system.unused():
        raise ValueError(f"composed but unused: {', '.join(idle)}. Does a head or a loss read it?")


def _unique(found: Sequence[tuple[str, str, T]], taken: Collection[str] = ()) -> dict[str, T]:
    """{name: value} of (term, name, value); `TERM/name` where several terms have the name, or it is taken."""
    names = [name for _, name, _ in found]
    return {k if names.count(k) == 1 and k not in taken else f"{term}/{k}": value for term, k, value in found}


def _clean(x: Tensor, rows: Tensor) -> Tensor:
    """`x` (N, …) where `rows`, (N,) or (N, 1, T), else 0."""
    keep = rows.reshape(*rows.shape, *[1] * (x.ndim - rows.ndim))
    # `where` and no product: NaN in a missing row times 0 is NaN
    return torch.where(keep, x, torch.zeros((), dtype=x.dtype, device=x.device))


def _tells(head: nn.Module, factory: Factory) -> str:
    """The label that a head tells, by its attribute or its setting `label`; of one that writes words its `target`; or ""."""
    label = getattr(head, "label", None) or getattr(factory, "keywords", {}).get("label")
    return str(label or (getattr(head, "target", None) if hasattr(head, "predict") else None) or "")


def _file(factory: Factory) -> str:
    return str(getattr(factory, "func", factory).__module__).rpartition(".")[2]


def _module(parameter: str) -> str:
    parts = parameter.split(".")
    depth = 3 if parts[:2] == ["backbones", "each"] else 2 if parts[0] in {"heads", "losses", "backbones"} else 1
    return ".".join(parts[:depth])

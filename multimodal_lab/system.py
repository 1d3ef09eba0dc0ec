"""The `System` module of every experiment: streams → backbones → fusion → heads → losses."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterable, Mapping
from typing import Any

import torch
from torch import Tensor, nn

from multimodal_lab.build import build
from multimodal_lab.data import kinds
from multimodal_lab.keyed import Keyed, Scope
from multimodal_lab.stage import stage
from multimodal_lab.types import Batch, Features, Stream

Factory = Callable[..., Any]


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


class Backbones(nn.Module):
    """{stream: input} to {stream: Features}: one backbone a stream, or one shared by all that have none of their own.

    A factory whose signature asks for `streams` is built once and called once with a dict; any other is built per stream.
    What asks for `valid` in its `forward` gets that of `Batch` (a dict where it is shared), None of a stream without steps.
    """

    def __init__(self, streams: Mapping[str, Stream], default: Factory, own: Mapping[str, Factory]) -> None:
        super().__init__()
        if unknown := sorted(own.keys() - streams.keys()):
            raise ValueError(f"backbones.{unknown[0]}: no such stream; the modality has {', '.join(streams)}")
        rest = [name for name in streams if name not in own]
        together = _wants(default, "streams") and bool(rest)
        with stage(f"building the backbone of streams {', '.join(rest)}"):
            self.shared: Any = build(default, streams={n: streams[n] for n in rest}) if together else None
        alone = own if together else {**dict.fromkeys(rest, default), **own}
        self.each = nn.ModuleDict()
        for name in (n for n in streams if n in alone):
            with stage(f"building the backbone of stream {name}"):
                self.each[name] = build(alone[name], stream=streams[name])
        self.asks = {name for name, module in self.each.items() if _wants(module.forward, "valid")}
        self.shared_asks = self.shared is not None and _wants(self.shared.forward, "valid")
        dims: dict[str, Any] = {
            **({} if self.shared is None else self.shared.dims),
            **{n: m.dim for n, m in self.each.items()},
        }
        self.dims: dict[str, int] = {name: int(dims[name]) for name in streams}

    def forward(self, inputs: Mapping[str, Tensor], valid: Mapping[str, Tensor]) -> dict[str, Features]:
        """Inputs (N, …) per stream, and `Batch.valid`, to Features per stream, in the order of the streams."""
        rest = [n for n in self.dims if n not in self.each]
        together: dict[str, Features] = {}
        if self.shared is not None:
            asked = {"valid": {n: valid[n] for n in rest if n in valid}} if self.shared_asks else {}
            together = self.shared({n: inputs[n] for n in rest}, **asked)
        return {n: self.one(n, inputs[n], valid.get(n)) if n in self.each else together[n] for n in self.dims}

    def one(self, name: str, x: Tensor, valid: Tensor | None) -> Features:
        """The features of a stream that has a backbone of its own; one whose `forward` has `valid` gets it."""
        found: Features = self.each[name](x, valid=valid) if name in self.asks else self.each[name](x)
        return found


class System(nn.Module):
    """Wire the stages: widths flow from backbones to fusion to heads, losses find their arguments by name.

    `classes` {label: K} and `numbers` {label: (mean, std)} of the training split, (P,) each, are given to heads that ask for
    them; losses find the second at `std.label`. `labels`: {head: the label it tells}.
    `head` is called by its file name (`out.projection`), `heads` and `losses` add more under names of their own.
    """

    parts = ("backbones", "fusion", "heads", "losses", "normalise")

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
    ) -> None:
        super().__init__()
        numbers = dict(numbers or {})
        facts: dict[str, Any] = {"classes": dict(classes), "numbers": numbers}
        self.scales = {label: f"std_{i}" for i, label in enumerate(numbers)}
        for label, name in self.scales.items():  # buffers, so that they lie where the batches do
            self.register_buffer(name, numbers[label][1], persistent=False)
        self.streams = dict(streams)
        self.normalise = nn.ModuleDict({name: Normalise(s) for name, s in streams.items()})
        self.backbones = Backbones(streams, backbone, backbones or {})
        with stage("building fusion"):
            self.fusion = build(fusion, dims=dict(self.backbones.dims))
        self.dims: dict[str, int] = dict(self.fusion.dims)
        named = {_file(head): head, **(heads or {})}
        self.heads = nn.ModuleDict()
        for name, factory in named.items():
            with stage(f"building head {name}"):
                self.heads[name] = self._head(factory, facts)
        told = {name: _tells(self.heads[name], factory) for name, factory in named.items()}
        self.labels: dict[str, str] = {name: label for name, label in told.items() if label}
        self.losses = nn.ModuleDict({loss.name: loss, **(losses or {})})

    def _head(self, factory: Factory, facts: Mapping[str, Any]) -> nn.Module:
        asked = {name: fact for name, fact in facts.items() if _wants(factory, name)}
        module: nn.Module = build(factory, dims=dict(self.dims), **asked)
        return module

    def features(self, batch: Batch) -> dict[str, Features]:
        """Features of every stream, and `fused` where the fusion adds it; missing rows are zero with mask False."""
        rows = {name: batch.present[name] for name in self.streams}
        valid = {name: real for name in self.streams if (real := self.valid(name, batch)) is not None}
        inputs = {name: self.input(name, batch) for name in self.streams}
        encoded = {name: f.keep(rows[name]) for name, f in self.backbones(inputs, valid).items()}
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
        return features, {name: head(features, batch) for name, head in self.heads.items()}

    def forward(
        self, batch: Batch, progress: float = 0.0, shares: Mapping[str, Tensor] | None = None
    ) -> dict[str, Tensor]:
        """The weighted loss terms by name and their sum, `total`. `progress` in [0, 1] drives scheduled weights.

        shares {term: factor}: what the terms of one batch of several count beside the others, see `train.accumulate`.
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
        scope = self._scope(features, batch, progress)
        terms: dict[str, Tensor] = {name: term(scope) for name, term in self.losses.items()}
        terms |= {name: share * terms[name] for name, share in (shares or {}).items()}
        return {**terms, "total": torch.stack(list(terms.values())).sum()}

    def scope(self, batch: Batch, progress: float = 0.0) -> Scope:
        """What losses find their arguments in, by `Keyed`."""
        return self._scope(self.features(batch), batch, progress)

    def _scope(self, features: dict[str, Features], batch: Batch, progress: float) -> Scope:
        out = {name: head(features, batch) for name, head in self.heads.items()}
        present = {name: f.present for name, f in features.items()}
        judged = batch if batch.same is None else batch.replace(ids=batch.same)  # what shows one thing is no negative
        return {"batch": judged, "features": features, "out": out, "present": present, "progress": progress,
                "std": {label: getattr(self, name) for label, name in self.scales.items()}}  # fmt: skip

    def loss_scalars(self, progress: float) -> dict[str, float]:
        """The scalars of the losses that are modules, learned or scheduled, by name: `temperature`.

        `TERM/temperature` where several terms have one.
        """
        own = [(term, k, m) for term, loss in self.losses.items() for k, m in getattr(loss, "knobs", {}).items()]
        names = [k for _, k, _ in own]
        found = {k if names.count(k) == 1 else f"{term}/{k}": m(progress) for term, k, m in own}
        return {k: float(v.detach() if isinstance(v, Tensor) else v) for k, v in found.items()}

    def unused(self) -> list[str]:
        """After a backward: the modules whose trainable parameters got no gradient, as short as tells them apart."""
        idle = [name for name, p in self.named_parameters() if p.requires_grad and p.grad is None]
        return list(dict.fromkeys(_module(name) for name in idle))


def check_used(system: System) -> None:
    """Refuse a system with a composed but unused part, in one sentence."""
    if idle := system.unused():
        raise ValueError(f"composed but unused: {', '.join(idle)}. Does a head or a loss read it?")


def prefixes(system: nn.Module) -> set[str]:
    """Every module name that a config may name as a prefix: `backbones`, `backbones.each.rgb`, `fusion`, …"""
    return {name for name, _ in system.named_modules() if name}


def _clean(x: Tensor, rows: Tensor) -> Tensor:
    """`x` (N, …) where `rows`, (N,) or (N, 1, T), else 0."""
    keep = rows.reshape(*rows.shape, *[1] * (x.ndim - rows.ndim))
    # `where` and no product: NaN in a missing row times 0 is NaN
    return torch.where(keep, x, torch.zeros((), dtype=x.dtype, device=x.device))


def _wants(factory: Factory, fact: str) -> bool:
    return fact in inspect.signature(getattr(factory, "func", factory)).parameters


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


def trainable(module: nn.Module) -> Iterable[tuple[str, nn.Parameter]]:
    """Named parameters with gradients on."""
    return ((name, p) for name, p in module.named_parameters() if p.requires_grad)

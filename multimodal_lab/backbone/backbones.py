"""`Backbones`: one backbone a stream, or one that several share, called together."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from typing import Any

from torch import Tensor, nn

from multimodal_lab.build import asks, build
from multimodal_lab.stage import stage
from multimodal_lab.types import Drawing, Features, Stream

Factory = Callable[..., Any]


class Backbones(nn.Module):
    """{stream: input} to {stream: Features}: one backbone a stream, or one shared by all that have none of their own.

    A factory whose signature asks for `streams` is built once and called once with a dict; any other is built per stream.
    What asks for `valid` in its `forward` gets that of `Batch` (a dict where it is shared), None of a stream without steps;
    one of a single stream that asks for `draw` what it may draw from, in training (`Batch.keys`), None elsewhere.
    """

    def __init__(self, streams: Mapping[str, Stream], default: Factory, own: Mapping[str, Factory]) -> None:
        super().__init__()
        if unknown := sorted(own.keys() - streams.keys()):
            raise ValueError(f"backbones.{unknown[0]}: no such stream; the modality has {', '.join(streams)}")
        rest = [name for name in streams if name not in own]
        together = asks(default, "streams") and bool(rest)
        with stage(f"building the backbone of streams {', '.join(rest)}"):
            self.shared: Any = build(default, streams={n: streams[n] for n in rest}) if together else None
        alone = own if together else {**dict.fromkeys(rest, default), **own}
        self.each = nn.ModuleDict()
        for name in (n for n in streams if n in alone):
            with stage(f"building the backbone of stream {name}"):
                self.each[name] = build(alone[name], stream=streams[name])
        self.asks = {name for name, module in self.each.items() if asks(module.forward, "valid")}
        self.draws = {name for name, module in self.each.items() if asks(module.forward, "draw")}
        self.shared_asks = self.shared is not None and asks(self.shared.forward, "valid")
        dims: dict[str, Any] = {
            **({} if self.shared is None else self.shared.dims),
            **{n: m.dim for n, m in self.each.items()},
        }
        self.dims: dict[str, int] = {name: int(dims[name]) for name in streams}

    def by_stream(self) -> dict[str, nn.Module]:
        """{stream: the module that reads it}; one that several share stands at each of them."""
        return {**dict.fromkeys(self.dims, self.shared), **dict(self.each.items())}

    def levels(self) -> dict[str, tuple[int, ...]]:
        """{stream: the widths of the finer maps that its backbone can give, finest first}; () of one that has none."""
        return {name: tuple(getattr(module, "levels", ())) for name, module in self.by_stream().items()}

    def scalars(self) -> dict[str, float]:
        """What the losses that weights were trained by have learnt: `temperature`, `scale` and `bias`, of those that have some.

        `ValueError` where two backbones differ: they are of two models.
        """
        found: dict[str, float] = {}
        for name, module in self.by_stream().items():
            own: dict[str, float] = getattr(module, "scalars", {})
            for k, value in own.items():
                if found.setdefault(k, value) != value:
                    raise ValueError(
                        f"backbones.{name}: its weights have learnt a {k} of {value:g}, others {found[k]:g}"
                    )
        return found

    def give_levels(self, names: Collection[str]) -> None:
        """Let the features of these streams hold their finer maps."""
        modules: dict[str, Any] = self.by_stream()
        for name in names:
            modules[name].give_levels = True

    def forward(
        self, inputs: Mapping[str, Tensor], valid: Mapping[str, Tensor], draw: Drawing | None = None
    ) -> dict[str, Features]:
        """Inputs (N, …) per stream, and `Batch.valid`, to Features per stream, in the order of the streams."""
        rest = [n for n in self.dims if n not in self.each]
        together: dict[str, Features] = {}
        if self.shared is not None:
            asked = {"valid": {n: valid[n] for n in rest if n in valid}} if self.shared_asks else {}
            together = self.shared({n: inputs[n] for n in rest}, **asked)
        return {n: self.one(n, inputs[n], valid.get(n), draw) if n in self.each else together[n] for n in self.dims}

    def one(self, name: str, x: Tensor, valid: Tensor | None, draw: Drawing | None = None) -> Features:
        """The features of a stream that has a backbone of its own; one whose `forward` has `valid` or `draw` gets it."""
        asked: dict[str, Any] = {"valid": valid} if name in self.asks else {}
        found: Features = self.each[name](x, **asked, **({"draw": draw} if name in self.draws else {}))
        return found

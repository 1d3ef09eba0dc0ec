"""Any timm model whose first kernels are made from wavelengths: one set of weights for bands of any sensor."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any, ClassVar, Literal

from torch import Tensor, nn
from torch.nn import functional

from multimodal_lab.backbone.band_kernels import BandKernels, facts
from multimodal_lab.backbone.freeze import freeze as freeze_module
from multimodal_lab.backbone.image import Image
from multimodal_lab.backbone.kind import require
from multimodal_lab.backbone.shared_trunk import FirstLayer, SharedTrunk
from multimodal_lab.bounds import Count, Fraction, Positive
from multimodal_lab.types import Band, Stream

ONE = (Band("any"),)


class MadeConvolution(FirstLayer):
    """A convolution in place of `conv`, whose kernels `BandKernels` makes of the bands of the `current` stream."""

    def __init__(self, conv: nn.Conv2d, kernels: BandKernels, known: Mapping[str, Tensor]) -> None:
        super().__init__()
        self.kernels, self.stride, self.padding = kernels, conv.stride, conv.padding
        for name, found in known.items():  # no part of a checkpoint: they follow from the streams
            self.register_buffer(f"facts_of_{name}", found, persistent=False)

    def forward(self, x: Tensor) -> Tensor:
        """x (N, C, H, W) of the current stream to (N, O, H', W')."""
        made = self.kernels(self.get_buffer(f"facts_of_{self.passing()}")).to(x.dtype)
        return functional.conv2d(x, made, self.kernels.bias.to(x.dtype), self.stride, self.padding)


class WavelengthImage(SharedTrunk):
    """A timm model, as `image` builds it, whose first convolution `BandKernels` makes from the bands' wavelengths and widths.

    As in DOFA (Xiong et al. 2024), there with a ViT: shared by all streams, and no shape depends on the bands, so that what was
    trained on some can be loaded where streams have others. weights: of all but the first convolution, which always begins at
    random: pretrained kernels say nothing of a wavelength. A model whose first convolution pads by itself, standardises its
    weights or has no square kernel is a `ValueError`.
    """

    kinds = ("image",)
    steps = False
    grid = True
    initial: ClassVar[dict[str, str]] = {"weights": "random"}

    def __init__(
        self,
        streams: Mapping[str, Stream],
        *,
        model: str,
        weights: str = "random",
        hidden: Count = 128,
        fwhm: dict[str, Positive] | None = None,
        names: list[str],
        pool: Literal["auto", "cls", "mean"] = "auto",
        drop_path: Fraction = 0.0,
        dynamic_img_size: bool = False,
        checkpointing: bool = False,
        freeze: bool = False,
    ) -> None:
        super().__init__()
        for stream in streams.values():
            require(self, stream)
        known = {name: facts(stream.bands, fwhm or {}, names, name) for name, stream in streams.items()}
        sizes = {stream.size for stream in streams.values()}
        first = next(iter(streams.values()))
        # the trunk is that of one band, whose kernels are replaced
        self.trunk = Image(
            replace(first, bands=ONE, mean=(), std=(), fill=()), model=model, weights=weights, pretrained_bands=["R", "G", "B"],
            pool=pool, drop_path=drop_path, dynamic_img_size=len(sizes) > 1 or dynamic_img_size, checkpointing=checkpointing,
        )  # fmt: skip
        self.put_first(self._made(model, known, hidden, names))
        self.dims: dict[str, int] = dict.fromkeys(streams, self.trunk.dim)
        if freeze:
            freeze_module(self)

    def _made(self, model: str, known: Mapping[str, Tensor], hidden: int, names: list[str]) -> MadeConvolution:
        """What stands in place of the first convolution."""
        place = self.trunk.model.pretrained_cfg["first_conv"]
        conv: Any = self.trunk.model.get_submodule(place) if isinstance(place, str) else None
        if type(conv) is not nn.Conv2d or conv.kernel_size[0] != conv.kernel_size[1] or isinstance(conv.padding, str):
            found = (
                "several first convolutions"
                if conv is None
                else f"a first convolution of its own ({type(conv).__name__})"
            )
            raise ValueError(
                f"backbone.model={model} has {found}, whose kernels can't be made from wavelengths; choose one with a plain "
                "square convolution, such as vit_small_patch16_224 or resnet18"
            )
        self.first = str(place)
        return MadeConvolution(conv, BandKernels(names, conv.out_channels, conv.kernel_size[0], hidden), known)

    @staticmethod
    def require_possible(model: str, size: int | None, weights: str = "random", **_: Any) -> None:
        """What `image` refuses, before data are read."""
        Image.require_possible(model, size, weights=weights)

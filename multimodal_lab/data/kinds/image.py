"""The `image` kind: (C, H, W) arrays and the mask shared by all images of a sample."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar

import torch
from torch import Tensor

from multimodal_lab.data.array import Array
from multimodal_lab.types import Stream

if TYPE_CHECKING:
    from multimodal_lab.data.kind import Samples


class Image(Array):
    """Brought to one square size, and blank outside the mask unless `data.background=keep`."""

    axes: ClassVar[int] = 2
    spatial: ClassVar[bool] = True
    pictured: ClassVar[bool] = True
    default_backbone: ClassVar[str] = "convnet"

    def require(self, samples: Samples, name: str, x: Any) -> None:
        """Its height and width can become the wanted size."""
        samples.resizes[name].require(x.shape[-2:])

    def picture(self, x: Tensor, stream: Stream) -> Tensor:
        """The bands R, G, B where there are such, else the first three; of two the second is green and blue.

        Of a video its middle valid frame.
        """
        if stream.steps is not None:
            real = ~x[:, 0].flatten(2).isnan().all(2)
            middle = (real.cumsum(1) * 2 >= real.sum(1, keepdim=True)).int().argmax(1)
            x = x[torch.arange(len(x), device=x.device), :, middle]
        names = [band.name.upper() for band in stream.bands]
        last = stream.channels - 1
        rgb = all(place in names for place in "RGB")
        return x[:, [names.index(place) for place in "RGB"] if rgb else [0, min(1, last), min(2, last)]]

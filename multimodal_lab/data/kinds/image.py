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
        if x.dim() == 5:
            x = _frame(x, 1, 2)
        names = [band.name.upper() for band in stream.bands]
        last = stream.channels - 1
        rgb = all(place in names for place in "RGB")
        return x[:, [names.index(place) for place in "RGB"] if rgb else [0, min(1, last), min(2, last)]]

    def sheet(self, x: Tensor, stream: Stream) -> Tensor:
        """Of a video (N, C, T, H, W) the middle frames of four equal parts, in two rows, (N, 3, 2H, 2W)."""
        if x.dim() < 5 or x.shape[2] < 4:
            return self.picture(x, stream)
        four = [self.picture(_frame(x, 2 * k + 1, 8), stream) for k in range(4)]
        return torch.cat([torch.cat(four[:2], 3), torch.cat(four[2:], 3)], 2)


def _frame(x: Tensor, part: int, of: int) -> Tensor:
    """(N, C, T, H, W) to the frame (N, C, H, W) that `part` of `of` equal parts of the valid ones lie before."""
    real = ~x[:, 0].flatten(2).isnan().all(2)
    place = (real.cumsum(1) * of >= real.sum(1, keepdim=True) * part).int().argmax(1)
    return x[torch.arange(len(x), device=x.device), :, place]

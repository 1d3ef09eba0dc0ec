"""The `image` kind: (C, H, W) arrays and the mask shared by all images of a sample."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
from torch import Tensor

from multimodal_lab.data.array import Array
from multimodal_lab.types import Stream

if TYPE_CHECKING:
    from multimodal_lab.data.streams.sample import SampleReader


class Image(Array):
    """Brought to one square size, and blank outside the mask where `data.background=zero`."""

    axes: ClassVar[int] = 2
    spatial: ClassVar[bool] = True
    pictured: ClassVar[bool] = True
    default_backbone: ClassVar[str] = "convnet"

    def require(self, samples: SampleReader, x: Any) -> None:
        """Its height and width can become the wanted size."""
        samples.resize.require(x.shape[1:])

    def sized(
        self, samples: SampleReader, row: int, x: np.ndarray, mask: np.ndarray | None
    ) -> tuple[np.ndarray, np.ndarray | None]:
        """(C, S, S) and its mask (S, S); pixels outside the mask take no part in the averages where they are blanked."""
        small = None if mask is None else samples.small(row, mask)
        with samples.naming(row):
            x = samples.resize.image(x, mask if samples.zero else None)
        if samples.zero and small is not None:
            x = np.where(small, x, np.float32(0))
        return x, small

    def picture(self, x: Tensor, stream: Stream) -> Tensor:
        """The bands R, G, B where there are such, else the first three; of two the second is green and blue."""
        names = [band.name.upper() for band in stream.bands]
        last = stream.channels - 1
        rgb = all(place in names for place in "RGB")
        return x[:, [names.index(place) for place in "RGB"] if rgb else [0, min(1, last), min(2, last)]]

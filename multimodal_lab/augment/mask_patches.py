"""Masked patches: of a regular grid over an image, some patches show nothing."""

from __future__ import annotations

import torch
from torch import Tensor

from multimodal_lab.augment.draw import Draw
from multimodal_lab.augment.op import Fill, Params, Photometric, filling, number
from multimodal_lab.bounds import Count, Fraction
from multimodal_lab.types import Stream


class MaskPatches(Photometric):
    """Hide-and-Seek (Singh & Lee 2017, section 3): a network that can't rely on the most telling place learns the others, too.

    The image is cut into squares of `patch_size` pixels from its upper left corner, those at the right and at the bottom may be
    narrower. Of each row round(mask_ratio · patches) become `value`: a number, or each band's `mean` over the training split, as
    in the paper. All bands are covered alike; their number is exact, as in MAE (He et al. 2022), where the paper's is by chance.
    Nothing reads what was covered: it is no target.
    """

    def __init__(
        self,
        *,
        patch_size: Count = 16,
        mask_ratio: Fraction = 0.5,
        value: Fill = "mean",
        p: Fraction = 0.5,
        streams: list[str] | None = None,
    ) -> None:
        super().__init__(p, streams)
        self.patch_size, self.value = patch_size, value
        self.mask_ratio = number("MaskPatches: mask_ratio", mask_ratio, 0.0, 1.0)

    def params(self, draw: Draw, shape: torch.Size, stream: Stream) -> Params:
        """masked (N, rows, columns) bool, of the grid."""
        rows, columns = (-(-side // self.patch_size) for side in shape[2:])
        order = draw.fold("patches").uniform(rows * columns).argsort(1).argsort(1)
        return {"masked": (order < round(self.mask_ratio * rows * columns)).view(-1, rows, columns)}

    def apply(self, x: Tensor, params: Params, stream: Stream) -> Tensor:
        """The image with its masked patches filled."""
        size = self.patch_size
        masked = params["masked"].repeat_interleave(size, 1).repeat_interleave(size, 2)
        return torch.where(masked[:, None, : x.shape[2], : x.shape[3]], filling(self.value, stream, x), x)

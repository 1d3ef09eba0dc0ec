"""SimCLR with lightly, Lightning and lightly's own transforms: python _simclr_lightly.py FOLDER BACKBONE EPOCHS BATCH WORKERS.

As in lightly's SimCLR example for small images (no blur), on two threads of transforms where WORKERS is 2.
"""

from __future__ import annotations

import logging
import sys
import warnings

import pytorch_lightning as pl
import timm
import torch
from lightly.data import LightlyDataset
from lightly.loss import NTXentLoss
from lightly.models.modules.heads import SimCLRProjectionHead
from lightly.transforms import SimCLRTransform
from torch import Tensor, nn

from multimodal_lab.backbone.convnet import ConvNet
from multimodal_lab.types import Band, Stream

SIDE = 32


class Pooled(nn.Module):
    """Our small convolutional network, as a plain backbone: (N, 3, H, W) to (N, D)."""

    def __init__(self) -> None:
        super().__init__()
        self.net = ConvNet(Stream("rgb", bands=(Band("R"), Band("G"), Band("B")), size=SIDE), widths=[32, 64, 128, 128])
        self.num_features = self.net.dim

    def forward(self, x: Tensor) -> Tensor:
        """The pooled vector."""
        return self.net(x).pooled


class SimCLR(pl.LightningModule):
    """Backbone, projection head of width 128, NT-Xent at .1, AdamW."""

    def __init__(self, backbone: str) -> None:
        super().__init__()
        self.backbone = Pooled() if backbone == "convnet" else timm.create_model(backbone, num_classes=0)
        width = int(self.backbone.num_features)
        self.head, self.loss = SimCLRProjectionHead(width, 512, 128), NTXentLoss(temperature=0.1)

    def training_step(self, batch: tuple[list[Tensor], Tensor, list[str]], index: int) -> Tensor:
        """The loss of two views."""
        one, two = (self.head(self.backbone(view)) for view in batch[0])
        loss: Tensor = self.loss(one, two)
        return loss

    def configure_optimizers(self) -> torch.optim.Optimizer:
        """As ours by default."""
        return torch.optim.AdamW(self.parameters(), lr=1e-3, fused=True)


def main(folder: str, backbone: str, epochs: int, batch: int, workers: int) -> None:
    """Train, and say nothing."""
    warnings.filterwarnings("ignore")
    logging.getLogger("pytorch_lightning").setLevel(logging.ERROR)
    torch.set_num_threads(2)
    data = LightlyDataset(folder, transform=SimCLRTransform(input_size=SIDE, gaussian_blur=0.0))
    loader = torch.utils.data.DataLoader(
        data, batch, shuffle=True, drop_last=True, num_workers=workers, persistent_workers=workers > 0
    )
    trainer = pl.Trainer(
        max_epochs=epochs, accelerator="cpu", devices=1, logger=False, enable_checkpointing=False,
        enable_progress_bar=False, enable_model_summary=False,
    )  # fmt: skip
    trainer.fit(SimCLR(backbone), loader)


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2], *map(int, sys.argv[3:6]))

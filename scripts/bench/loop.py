"""Benchmark: overhead of the training loop, CPU microseconds per step of a tiny module, one thread.

python scripts/bench/loop.py

All train the same module on the same batches: a bare loop with fused AdamW and nothing else (the limit), ours (clipping,
schedule, meters, guard, log, saved state), the bare loop with clipping and a schedule written by hand, PyTorch Lightning
as bare as it goes, and Lightning with clipping and the loss logged, which is nearer to the work that ours does. A step is
the difference of a long and a short training.
"""

from __future__ import annotations

import contextlib
import logging
import statistics
import tempfile
import time
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import torch
from _measure import Ratio, row
from torch import nn
from torch.nn.functional import cross_entropy

from multimodal_lab.checkpoint.store import CheckpointStore
from multimodal_lab.log.log import Log
from multimodal_lab.optim.optimizers import adamw
from multimodal_lab.train.config import TrainConfig
from multimodal_lab.train.loop import fit
from multimodal_lab.types import Batch

SHORT, LONG, ROUNDS = 100, 1100, 5


class Data:
    """The same eight rows, again and again."""

    def __init__(self, count: int) -> None:
        ids = torch.arange(8)
        x = torch.randn(8, 32)
        self.batch = Batch({"x": x}, {"y": ids}, {"x": torch.ones(8, dtype=torch.bool)}, ids, ids)
        self.count = count

    def steps(self, split: str, *, world: int, drop_last: bool) -> int:
        """As many as asked for."""
        return self.count

    def batches(self, split: str, **_: Any) -> Iterator[Batch]:
        """One pass."""
        return iter([self.batch] * self.count)


class Tiny(nn.Module):
    """32 → 32 → 10 with cross-entropy, called as a System is; its own cost is as small as can be, so that the loop's shows."""

    adapter = teacher = None

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.layers = nn.Sequential(nn.Linear(32, 32), nn.ReLU(), nn.Linear(32, 10))

    def forward(self, batch: Batch, progress: float = 0.0) -> dict[str, torch.Tensor]:
        """The loss, as `total`."""
        return {"total": cross_entropy(self.layers(batch.inputs["x"]), batch.targets["y"])}

    def unused(self) -> list[str]:
        """As a System says it."""
        return []

    def loss_scalars(self, progress: float) -> dict[str, float]:
        """As a System says them."""
        return {}


def bare(count: int) -> None:
    """The limit: forward, backward, fused AdamW."""
    model, data = Tiny(), Data(count)
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-3, fused=True)
    model.train()
    for batch in data.batches("train"):
        model(batch)["total"].backward()
        optimizer.step()
        optimizer.zero_grad(set_to_none=True)


def by_hand(count: int) -> None:
    """The same with torch's clipping and schedule, and no weight decay on norms and biases: what ours does but for the rest."""
    model, data = Tiny(), Data(count)
    sides = [[p for p in model.parameters() if (p.ndim > 1) is decays] for decays in (True, False)]
    groups = [{"params": side, "weight_decay": decay} for side, decay in zip(sides, (0.01, 0.0), strict=True)]
    optimizer = torch.optim.AdamW(groups, lr=1e-3, fused=True)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, count)
    model.train()
    for batch in data.batches("train"):
        model(batch)["total"].backward()
        nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        optimizer.zero_grad(set_to_none=True)
        schedule.step()


def ours(count: int) -> None:
    """`fit` as a run calls it, with no validation."""
    model, data = Tiny(), Data(count)
    with tempfile.TemporaryDirectory() as folder:
        where = Path(folder)
        fit(
            model, data, adamw(model), TrainConfig(epochs=1, validate_every=0),
            augment=lambda batch, seed, epoch: batch, validate=dict,
            log=Log(where, main=False), store=CheckpointStore(where / "checkpoints", 2), seed=0, device=torch.device("cpu"),
            facts={},
        )  # fmt: skip


def lightning(busy: bool) -> Callable[[int], None]:
    """Lightning's Trainer; `busy`: with clipping and the loss logged. `ImportError` where it is not installed."""
    import pytorch_lightning as pl

    class Module(pl.LightningModule):
        def __init__(self) -> None:
            super().__init__()
            self.model = Tiny()
            self.batch = Data(1).batch

        def training_step(self, ids: torch.Tensor, index: int) -> torch.Tensor:
            loss: torch.Tensor = self.model(self.batch)["total"]
            if busy:
                self.log("loss", loss, on_epoch=True)
            return loss

        def configure_optimizers(self) -> torch.optim.Optimizer:
            return torch.optim.AdamW(self.parameters(), lr=1e-3, fused=True)

    class Loader:
        def __init__(self, count: int) -> None:
            self.count = count

        def __len__(self) -> int:
            return self.count

        def __iter__(self) -> Iterator[torch.Tensor]:
            return iter([torch.arange(8)] * self.count)

    def train(count: int) -> None:
        trainer = pl.Trainer(
            max_epochs=1, accelerator="cpu", devices=1, logger=False, enable_checkpointing=False,
            enable_progress_bar=False, enable_model_summary=False, gradient_clip_val=1.0 if busy else None,
        )  # fmt: skip
        trainer.fit(Module(), Loader(count))

    return train


def microseconds(train: Callable[[int], None]) -> float:
    """CPU microseconds of a step: a long training less a short one."""
    spent = []
    for count in (SHORT, LONG):
        began = time.process_time()
        train(count)
        spent.append(time.process_time() - began)
    return 1e6 * (spent[1] - spent[0]) / (LONG - SHORT)


def main() -> None:
    """Print the table: medians over rounds in alternation."""
    torch.set_num_threads(1)
    for name in ("pytorch_lightning", "pytorch_lightning.utilities.rank_zero", "lightning.pytorch"):
        logging.getLogger(name).setLevel(logging.ERROR)
    warnings.filterwarnings("ignore")
    work = {"bare": bare, "by hand": by_hand, "ours": ours}
    with contextlib.suppress(ImportError):
        work |= {"Lightning": lightning(False), "Lightning, clipping and logging": lightning(True)}
    for train in work.values():
        train(SHORT)
    rounds = [{name: microseconds(train) for name, train in work.items()} for _ in range(ROUNDS)]
    medians = {name: statistics.median(r[name] for r in rounds) for name in work}
    limit = ("bare loop, fused AdamW", medians["bare"])
    hand = ("by hand: clipping, schedule, two groups", medians["by hand"])
    row("a step", medians["ours"], unit="us", goal=1.15 * medians["bare"] + 100, peers=[hand], limit=limit)
    for name in ("Lightning", "Lightning, clipping and logging"):
        if name in medians:
            shares = statistics.quantiles([r["ours"] / r[name] for r in rounds], n=4)
            found = Ratio(shares[1], shares[0], shares[2], medians["ours"] / 1000)
            bound = ("bare loop", medians["bare"] / medians[name])
            row("a step", found, goal=0.7, peers=[(name, 1.0)], limit=bound, note=f"{medians[name]:.0f} us")
        else:
            print(f"{name} is not installed")


if __name__ == "__main__":
    main()

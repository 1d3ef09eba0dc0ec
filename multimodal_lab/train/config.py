"""`TrainConfig`: the keys of `conf/train/` with their bounds."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from multimodal_lab.bounds import Count, Decay, Epochs, Fraction, Natural, Positive
from multimodal_lab.train.balance import Kind
from multimodal_lab.train.step import Precision


@dataclass(frozen=True, kw_only=True)
class TrainConfig:
    """The settings of one training, as `fit` takes them; the annotations are the schema of `conf/train/`."""

    epochs: Epochs | Literal["auto"] = "auto"  # passes over the training split; auto: see `length.epochs_for`
    max_steps: Natural | None = (
        None  # stop after so many optimizer steps, whatever `epochs` says; 0: judged as it begins
    )
    warm_start: str | None = (
        None  # a finished run of the same system, whose weights it begins with: see `adapt.warm_start`
    )
    precision: Precision = "fp32"  # of the forward pass; weights stay fp32
    accumulate_steps: Count = 1  # batches per optimizer step
    micro_batch: Count | None = None  # rows that backbones see at a time; the gradient is that of the whole batch
    balance: Kind = "none"  # of the encoders of streams, one of which learns faster: see `balance.Balance`
    balance_alpha: Positive = 0.3  # how much it slows the encoder that is ahead
    balance_end: Fraction = 0.5  # share of the training in which it acts
    clip_norm: Positive | None = 1.0  # largest gradient norm; None: no clipping
    warmup: Fraction = 0.05  # share of all steps in which the rates rise linearly
    warmup_steps: Natural | None = None  # so many optimizer steps in place of that share
    schedule: Literal["cosine", "constant"] = "cosine"  # of the rates after the warm-up
    min_lr_ratio: Fraction = 0.0  # the schedule's end, as a share of each group's own rate
    ema: Decay | None = None  # decay of an EMA of the weights, used wherever the system is evaluated
    channels_last: bool = False  # 4-D weights and images as (N, H, W, C) in memory
    compile: bool = False  # torch.compile of the system, and of the augmentation on an accelerator
    sync_batchnorm: bool = True  # of several ranks: batch norms of a backbone see the rows of all, not each its own
    shard: bool = False  # cut weights, gradients and moments over the ranks (FSDP2)
    validate_every: Natural = 1  # epochs between passes over the validation split; 0: never
    monitor: str | None = None  # a score of the validation pass: its best checkpoint is kept
    mode: Literal["auto", "min", "max"] = "auto"  # whether less or more of `monitor` is better
    patience: Count | None = None  # stop after so many validations without a better `monitor`
    save: Literal["all", "trained"] = "all"  # trained: checkpoints hold trained weights and a digest of the frozen ones
    save_every: Count = 1  # epochs between checkpoints
    keep_last: Count = 2  # newest checkpoints kept, besides the best
    log_every: Count = 10  # steps between rows of metrics

    def __post_init__(self) -> None:
        if self.compile and self.micro_batch:
            raise ValueError(
                "train.compile and train.micro_batch: the compiled forward pass is of a whole batch; set one of them"
            )

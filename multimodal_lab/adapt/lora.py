"""Train low-rank updates of frozen layers: LoRA (Hu et al. 2022), with `use_dora` DoRA (Liu et al. 2024), by peft."""

from __future__ import annotations

from torch import nn

from multimodal_lab.adapt.layers import ALL_LINEAR
from multimodal_lab.adapt.low_rank import ADAPTER, inject
from multimodal_lab.bounds import Count, Fraction, Positive

freezes = ()  # no module as a whole: its updates are trained


def lora(
    system: nn.Module,
    *,
    modules: list[str],
    target_modules: list[str] | str = ALL_LINEAR,
    exclude_modules: list[str] | None = None,
    r: Count = 16,
    lora_alpha: Positive = 32,
    lora_dropout: Fraction = 0.1,
    use_rslora: bool = False,
    use_dora: bool = False,
) -> None:
    """Freeze `modules` and train W x + (alpha / r) B A x in place of W x in the layers of theirs that `target_modules` names.

    B begins as 0, so that the features are at first as they were. Arguments are those of peft's `LoraConfig`. use_rslora: the
    factor is alpha / √r (Kalajdzievski 2023); use_dora: direction and size of a weight's columns are trained apart. See
    `low_rank.inject` for errors.
    """
    from peft import LoraConfig, LoraModel
    from transformers.pytorch_utils import Conv1D

    def tuner(model: nn.Module, pattern: str) -> LoraModel:
        config = LoraConfig(
            target_modules=pattern,
            r=r,
            lora_alpha=lora_alpha,
            lora_dropout=lora_dropout,
            use_rslora=use_rslora,
            use_dora=use_dora,
        )
        return LoraModel(model, config, ADAPTER)

    kinds = (nn.Linear, nn.Conv2d, nn.Conv1d, nn.Conv3d, nn.Embedding, Conv1D)
    inject(system, modules, target_modules, exclude_modules or [], kinds, tuner)

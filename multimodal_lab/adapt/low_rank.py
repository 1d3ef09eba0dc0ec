"""Add low-rank updates of peft to frozen layers of a built System, and merge them into the layers again."""

from __future__ import annotations

import re
import warnings
from collections.abc import Callable, Sequence
from typing import Any

from torch import nn
from torch.nn.modules.batchnorm import _NormBase

from multimodal_lab.adapt.layers import Kinds, Targets, layers, require_awake
from multimodal_lab.adapt.parts import require_parts
from multimodal_lab.backbone.freeze import freeze

ADAPTER = "default"  # peft's name of a model's only adapter, which stands in the names of its weights
Tuner = Callable[[nn.Module, str], Any]


def inject(
    system: nn.Module, modules: Sequence[str], targets: Targets, exclude: Sequence[str], kinds: Kinds, tuner: Tuner
) -> Any:
    """Add low-rank updates to layers of the named modules, in place; returns what `tuner` of peft gives.

    tuner: called with the system and a regular expression that fits the names of these layers alone. All that the modules
    hold already is frozen, their batch norms permanently in eval mode; dropout stays as in training. What is outside of them
    is trained, or not, as before. `ValueError` for a module or layer that is not there or can't be adapted.
    """
    if not modules:
        raise ValueError("adapt.modules: an empty list adapts nothing; expected one name or more, such as [backbones]")
    require_parts(system, modules, "adapt")
    found = layers(system, modules, targets, exclude, kinds)
    require_awake(system, found)
    outside = [p for name, p in system.named_parameters() if not any(name.startswith(f"{m}.") for m in modules)]
    before = [(p, p.requires_grad) for p in outside]
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", UserWarning)  # that it sees to fan_in_fan_out by itself
            made = tuner(system, "|".join(map(re.escape, found)))
    except (
        ValueError,
        TypeError,
        NotImplementedError,
    ) as error:  # peft's own, of a layer of another shape than it knows
        said = next(iter(str(error).strip().splitlines()), type(error).__name__)
        raise ValueError(
            f"adapt: peft can't adapt one of {len(found)} layers such as {found[0]}: {said[:300]}"
        ) from error
    vars(system).pop("peft_config", None)  # `made` has it
    for p, trained in before:  # peft freezes all but what it adds
        p.requires_grad_(trained)
    for name in modules:
        for norm in system.get_submodule(name).modules():
            if isinstance(norm, _NormBase):
                freeze(norm)
    return made


def merge(system: nn.Module) -> int:
    """Merge every low-rank update into its layer, W + ΔW, in place; how many there were.

    The system is then built as without `adapt`, under the same names, gives the same features, and needs peft no more.
    """
    from peft.tuners.tuners_utils import BaseTunerLayer

    found = [name for name, module in system.named_modules() if isinstance(module, BaseTunerLayer)]
    for name in found:
        layer: Any = system.get_submodule(name)
        layer.merge(safe_merge=True)
        above, _, own = name.rpartition(".")
        setattr(system.get_submodule(above), own, layer.get_base_layer())
    if found:
        vars(system)["adapter"] = None
    return len(found)

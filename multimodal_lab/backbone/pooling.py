"""What a text model of a directory was trained to pool by, and whether it was trained to see padding."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Literal

from multimodal_lab.pretrained.hub import whole
from multimodal_lab.pretrained.tokenizer import read, settings

Pooling = Literal["mean", "first", "last", "pooler"]
SENTENCES = Path("1_Pooling") / "config.json"  # as sentence-transformers writes it
MODES: dict[str, Pooling] = {
    "pooling_mode_mean_tokens": "mean", "pooling_mode_cls_token": "first", "pooling_mode_lasttoken": "last",
    "mean": "mean", "cls": "first", "lasttoken": "last",
}  # fmt: skip


def own_pooling(folder: Path, config: Any) -> Pooling:
    """What sentence-transformers says in the directory; else a half of a model of images and texts, also by itself, has its own;
    else the mean.

    `ValueError` for a way of sentence-transformers that is none of these, such as the largest of all tokens.
    """
    folder = whole(folder)
    if said := read(folder / SENTENCES):
        named = said.get("pooling_mode")
        modes = [k for k, v in said.items() if k.startswith("pooling_mode_") and v is True]
        modes = [named] if isinstance(named, str) else modes
        if len(modes) != 1 or modes[0] not in MODES:
            raise ValueError(
                f"backbone.pool=auto: {folder / SENTENCES} pools by {' and '.join(modes) or 'nothing'}; choose mean, first, last "
                "or pooler"
            )
        return MODES[modes[0]]
    half = getattr(config, "text_config", None) is not None or str(config.model_type).endswith("text_model")
    return "pooler" if half else "mean"


def sees_padding(folder: Path, config: Any) -> bool:
    """Whether padding is seen as words are: the tokenizer gives no attention mask.

    As tokenizer_config.json says by `model_input_names`; where it does not, SigLIP's kin do (Zhai et al. 2023: texts are padded
    to the context, and no mask is used).
    """
    named = settings(folder).get("model_input_names")
    if isinstance(named, list):
        return "attention_mask" not in named
    return str(getattr(config, "model_type", "")).startswith("siglip")

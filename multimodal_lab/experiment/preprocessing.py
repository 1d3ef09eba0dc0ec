"""Have images resized as the image processor of a backbone's weights does it, `resize: backbone`, and check that they are."""

from __future__ import annotations

import itertools
from typing import Any

import numpy as np
import torch
from omegaconf import DictConfig, open_dict

from multimodal_lab.data.streams.bands import RESIZING
from multimodal_lab.data.streams.resize import Resize
from multimodal_lab.pretrained.processor import processor

PROBE = (61, 83)  # pixels, of no side that a model has
NEAR = 1e-5  # of values that are normalised


def tried(facts: dict[str, Any], weights: str, key: str) -> dict[str, Any]:
    """`facts`, and whether it is whole numbers that are resized, as the image processor of `weights` makes the same of an image.

    It is tried on an image of noise, in whole numbers (as CLIP's and SigLIP's) and scaled (as DINOv3's), the pixel that a crop
    leaves over on either side. `ValueError` where none is the same.
    """
    own = processor(weights, key)
    image = np.random.default_rng(0).integers(0, 256, (3, *PROBE), dtype=np.uint8)
    want = own(images=[image.transpose(1, 2, 0)], return_tensors="pt")["pixel_values"][0]
    mean, std = (torch.tensor(v).view(-1, 1, 1) for v in (own.image_mean, own.image_std))
    modes = ("crop", "crop_floor") if facts["resize_mode"] == "crop" else (facts["resize_mode"],)
    for stored, mode in itertools.product((True, False), modes):
        resize = Resize(facts["size"], facts["resize"], mode, facts["crop_pct"], key, stored)
        small = (
            resize.whole(image) / 255 if stored else resize.image(image / np.float32(255), None, np.array([[0, 1]] * 3))
        )
        y = (torch.from_numpy(np.ascontiguousarray(small)).float() - mean) / std
        if y.shape == want.shape and (y - want).abs().max() < NEAR:
            return {**facts, "resize_mode": mode, "resize_stored": stored}
    raise ValueError(
        f"{key}=backbone: {type(own).__name__} in {weights} does more to an image than to resize, crop, rescale and normalise "
        "it; give size, resize and resize_mode yourself"
    )


def resolve(cfg: DictConfig, factories: dict[str, Any]) -> None:
    """Write into the modality of `cfg` what `resize: backbone` stands for; factories: {stream: that of its backbone}.

    A key that is given beside it must say the same (`ValueError`).
    """
    for name, own in cfg.modality.items():
        if own.get("resize") != "backbone":
            continue
        key, factory = f"modality.{name}.resize", factories.get(name)
        tell = getattr(getattr(factory, "func", None), "resizing", None)
        if factory is None or tell is None:
            words = "its backbone has no weights that say how images were resized; give size, resize and resize_mode"
            raise ValueError(f"{key}=backbone: {words}")
        facts = tell(**factory.keywords)
        facts = facts if "resize_stored" in facts else tried(facts, factory.keywords["weights"], key)
        for k in RESIZING:
            if k != "resize" and own.get(k) not in (None, facts[k], False):
                raise ValueError(
                    f"modality.{name}.{k}={own[k]}: {key}=backbone beside it, and the weights' image processor has {facts[k]}; "
                    f"leave modality.{name}.{k} out, or give resize, size and the rest yourself"
                )
        with open_dict(cfg):
            own.update(facts)

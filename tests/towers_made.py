"""Tiny random models of images and texts in directories as transformers saves them: weights, tokenizer and image processor."""

import torch
from tokenizers_made import make
from transformers import (
    CLIPConfig,
    CLIPImageProcessor,
    CLIPModel,
    DINOv3ViTConfig,
    DINOv3ViTImageProcessor,
    DINOv3ViTModel,
    SiglipConfig,
    SiglipImageProcessor,
    SiglipModel,
)

SIZE = {"hidden_size": 24, "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 48}
PLACES = 16  # of a text


def moved(model):
    """Every weight moved: norms and positions start as constants, which would hide one that is left out."""
    torch.manual_seed(0)
    with torch.no_grad():
        for p in model.parameters():
            p.add_(0.1 * torch.randn_like(p))
    return model.eval()


def clip(folder, side=32, patch=8):
    """CLIP with the tokenizer and the processor of CLIP's kind: the shorter side, bicubic, the centre."""
    own = make("clip", folder)
    marks = {"bos_token_id": own.bos_token_id, "eos_token_id": own.eos_token_id, "pad_token_id": own.pad_token_id}
    text = {**SIZE, **marks, "vocab_size": len(own), "max_position_embeddings": PLACES}
    vision = {**SIZE, "image_size": side, "patch_size": patch}
    model = moved(CLIPModel(CLIPConfig(text_config=text, vision_config=vision, projection_dim=20)))
    model.save_pretrained(folder)
    CLIPImageProcessor(size={"shortest_edge": side}, crop_size={"height": side, "width": side}).save_pretrained(folder)
    return model


def siglip(folder, side=32, patch=8, **own):
    """SigLIP, whose texts are padded to the context and seen without a mask; `own`: of its image processor (SigLIP 2's)."""
    tokens = make("t5", folder, model_input_names=["input_ids"])
    text = {**SIZE, "vocab_size": len(tokens), "max_position_embeddings": PLACES, "projection_size": 24}
    vision = {**SIZE, "image_size": side, "patch_size": patch}
    model = moved(SiglipModel(SiglipConfig(text_config=text, vision_config=vision)))
    model.save_pretrained(folder)
    SiglipImageProcessor(size={"height": side, "width": side}, **own).save_pretrained(folder)
    return model


def dinov3(folder, side=32, patch=16):
    """DINOv3 in transformers' layout: class and register tokens before a grid that is smaller than they are many."""
    config = DINOv3ViTConfig(**SIZE, image_size=side, patch_size=patch, num_register_tokens=4)
    model = moved(DINOv3ViTModel(config))
    model.save_pretrained(folder)
    DINOv3ViTImageProcessor(size={"height": side, "width": side}).save_pretrained(folder)
    return model

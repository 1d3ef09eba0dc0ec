"""Video models give what torchvision and transformers give for the same weights; padded frames are never shown to them."""

from functools import cache
from typing import get_args

import pytest
import torch
from safetensors.torch import save_file
from torch import nn
from torchvision.models import get_model, list_models
from torchvision.models import video as published
from transformers import VideoMAEConfig, VideoMAEForVideoClassification, VideoMAEModel, ViTConfig, ViTModel

from multimodal_lab.backbone.clips import evenly
from multimodal_lab.backbone.transformers_video import TransformersVideo
from multimodal_lab.backbone.video import CLASSIFIER, Model, Video
from multimodal_lab.types import Band, Stream

RGB = ["R", "G", "B"]


def stream(bands=RGB, size=32, steps=16):
    return Stream("clip", "image", tuple(Band(b) for b in bands), size, steps=steps)


@cache
def drawn(name):
    """torchvision's own model with weights that are cheap to draw."""
    with torch.device("meta"):
        model = get_model(name, weights=None)
    torch.manual_seed(0)
    model = model.to_empty(device="cpu").eval()
    with torch.no_grad():
        for key, x in model.state_dict().items():
            if key.endswith("relative_position_index"):
                continue
            if x.is_floating_point():
                x.uniform_(0.5, 1) if "running_var" in key else x.uniform_(-0.03, 0.03)
    for part in model.modules():  # what `to_empty` has lost, as it is no parameter
        if hasattr(part, "define_relative_position_index"):
            part.define_relative_position_index()
    return model


def made(name, **facts):
    """Ours with the weights of torchvision's."""
    module = Video(stream(**facts), model=name, pretrained_bands=RGB).eval()
    module.model.load_state_dict({k: v for k, v in drawn(name).state_dict().items() if not k.startswith(CLASSIFIER)})
    return module


@pytest.fixture(scope="module")
def s3d(tmp_path_factory):
    path = tmp_path_factory.mktemp("weights") / "s3d.safetensors"
    save_file({k: v.contiguous() for k, v in drawn("s3d").state_dict().items()}, path)
    return str(path)


def test_every_video_model_of_torchvision_is_a_choice_but_one():
    assert {*get_args(Model)} == {*list_models(module=published)} - {"mvit_v1_b"}  # whose positions are of one size


@pytest.mark.parametrize(("name", "size"), [("r3d_18", 24), ("s3d", 32), ("swin3d_t", 32)])
def test_it_gives_what_torchvision_gives(name, size):
    own, module = drawn(name), made(name, size=size, steps=8 if name == "s3d" else 4)
    x = torch.randn(1, 3, module.frames, size, size)
    with torch.no_grad():
        found = module(x, torch.ones(1, module.frames, dtype=torch.bool))
        grid = seen(own, x)
    torch.testing.assert_close(found.pooled, grid.flatten(2).mean(2), rtol=1e-4, atol=1e-6)
    torch.testing.assert_close(found.tokens, grid.flatten(2).mT, rtol=1e-4, atol=1e-6)
    assert found.grid == grid.shape[3:]
    assert found.dim == module.dim == grid.shape[1]
    assert found.pooled.std() > 0


def seen(model, x):
    """What torchvision's model pools: (N, D, T', H', W')."""
    kept = []
    handle = model.avgpool.register_forward_pre_hook(lambda _, args: kept.append(args[0]))
    model.avgpool.forward = nn.AdaptiveAvgPool3d(1).forward  # S3D's own is too large for a small frame
    model(x)
    handle.remove()
    return kept[0]


def test_mvit_gives_its_class_token():
    own, module = drawn("mvit_v2_s"), made("mvit_v2_s", steps=4)
    x = torch.randn(1, 3, 4, 32, 32)
    own.pos_encoding.spatial_size, own.pos_encoding.temporal_size = (8, 8), 2
    with torch.no_grad():
        found = module(x, torch.ones(1, 4, dtype=torch.bool))
        own.head = nn.Identity()
        torch.testing.assert_close(found.pooled, own(x), rtol=1e-4, atol=1e-6)
    assert found.tokens.shape == (1, 2 * 1 * 1, 768)


def test_bands_take_their_kernels_wherever_they_stand(s3d):
    module = Video(stream(["B", "depth", "R", "G"], 32, 8), model="s3d", weights=s3d, pretrained_bands=RGB)
    kernels, first = drawn("s3d").features[0][0][0].weight, module.model.features[0][0][0]
    ratio = first.weight[:, 0] / kernels[:, 2]
    assert ratio.std() < 1e-4 * ratio.mean()
    for place, own in ((2, kernels[:, 0]), (3, kernels[:, 1]), (1, kernels.mean(1))):
        torch.testing.assert_close(first.weight[:, place], ratio.mean() * own)
    assert first.in_channels == 4
    whole = Video(stream(size=32, steps=8), model="s3d", weights=s3d, pretrained_bands=RGB).model.state_dict()
    assert all(torch.equal(x, drawn("s3d").state_dict()[k]) for k, x in whole.items())
    other = Video(stream(["depth"], 32, 8), model="s3d", pretrained_bands=RGB)
    assert other.model.features[0][0][0].weight.shape[1] == 1


def test_real_frames_are_seen_evenly_and_no_others():
    x = torch.arange(7.0).view(1, 1, 7, 1, 1).repeat(4, 1, 1, 1, 1)
    valid = torch.ones(4, 7, dtype=torch.bool)
    valid[1, 4:] = valid[2, 1:6] = valid[3, 1:] = False
    assert evenly(x, valid, 7)[0, 0, :, 0, 0].tolist() == [0, 1, 2, 3, 4, 5, 6]
    assert evenly(x, valid, 8)[1, 0, :, 0, 0].tolist() == [0, 0, 1, 1, 2, 2, 3, 3]
    assert evenly(x, valid, 4)[2:, 0, :, 0, 0].tolist() == [[0, 0, 6, 6], [0, 0, 0, 0]]
    assert evenly(x, valid, 3)[0, 0, :, 0, 0].tolist() == [1, 3, 5]


def mae(folder, size=16, **own):
    config = VideoMAEConfig(
        image_size=size, patch_size=8, num_frames=4, hidden_size=24, num_hidden_layers=2, num_attention_heads=2,
        intermediate_size=48, **own,
    )  # fmt: skip
    torch.manual_seed(0)
    model = VideoMAEForVideoClassification(config) if own else VideoMAEModel(config)
    with torch.no_grad():
        for p in model.parameters():
            p.add_(0.1 * torch.randn_like(p))
    model.save_pretrained(folder)
    return model.eval()


@pytest.mark.parametrize("own", [{}, {"use_mean_pooling": True, "num_labels": 5}], ids=["pretrained", "fine_tuned"])
def test_videomae_gives_what_transformers_gives(own, tmp_path):
    peer = mae(tmp_path, **own)
    module = TransformersVideo(stream(size=16, steps=6), weights=str(tmp_path), pretrained_bands=RGB).eval()
    x, valid = torch.randn(3, 3, 6, 16, 16), torch.ones(3, 6, dtype=torch.bool)
    valid[0, 4:] = valid[1, 1:3] = valid[2] = False
    with torch.no_grad():
        found = module(x, valid)
        clips = torch.stack([x[0, :, :4], x[1][:, valid[1]]]).transpose(1, 2)
        said = (peer.videomae if own else peer)(pixel_values=clips).last_hidden_state
    torch.testing.assert_close(found.tokens[:2], said, rtol=1e-5, atol=1e-5)
    torch.testing.assert_close(found.pooled[:2], said.mean(1), rtol=1e-5, atol=1e-5)
    assert found.mask.any(1).tolist() == [True, True, False]
    assert found.grid == (2, 2)


def test_videomae_reads_any_bands(tmp_path):
    peer = mae(tmp_path)
    module = TransformersVideo(stream(["depth"], 16, 4), weights=str(tmp_path), pretrained_bands=RGB)
    conv = module.model.embeddings.patch_embeddings.projection
    kernels = peer.embeddings.patch_embeddings.projection.weight
    mean = kernels.mean(1, keepdim=True)
    torch.testing.assert_close(conv.weight, mean * (kernels.norm() / mean.norm()))
    assert module(torch.randn(2, 1, 4, 16, 16), torch.ones(2, 4, dtype=torch.bool)).pooled.isfinite().all()


def test_what_cannot_be_is_one_sentence(tmp_path):
    mae(tmp_path / "mae")
    ViTModel(ViTConfig(hidden_size=8, num_hidden_layers=1, num_attention_heads=1, intermediate_size=8)).save_pretrained(
        tmp_path / "vit"
    )
    with pytest.raises(ValueError, match=r"made for frames of 16 px, found 32; nearest: data.size=16"):
        TransformersVideo.require_possible(str(tmp_path / "mae"), 32)
    with pytest.raises(ValueError, match="a vit is no videomae; choose such a directory, or backbone=frames"):
        TransformersVideo.require_possible(str(tmp_path / "vit"), 32)
    with pytest.raises(ValueError, match=r"backbone.model=mvit_v2_s can't take frames of 50 px: its patches of 4 px"):
        Video.require_possible("mvit_v2_s", 50)
    with pytest.raises(FileNotFoundError, match=r"backbone.weights=/nowhere/r3d.pth: no such file"):
        Video.require_possible("r3d_18", 112, weights="/nowhere/r3d.pth")
    with pytest.raises(FileNotFoundError, match=r"no weights for s3d; looked for .*s3d-d76dad2f.pth"):
        Video.require_possible("s3d", 224, weights="cache")
    assert Video.normalisation("swin3d_t", "cache", RGB) == {
        "mean": [0.485, 0.456, 0.406], "std": [0.229, 0.224, 0.225], "bands": RGB, "of": "swin3d_t",
    }  # fmt: skip

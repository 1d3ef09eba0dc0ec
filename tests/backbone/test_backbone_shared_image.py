"""One timm model for several streams: what `image` gives for each alone, with all but the first convolution in common."""

import pytest
import timm
import torch
import torch.utils.checkpoint
from safetensors.torch import save_file

from multimodal_lab.backbone.image import Image
from multimodal_lab.backbone.shared_image import SharedImage
from multimodal_lab.fusion.modality_tokens import ModalityTokens
from multimodal_lab.types import Band, Stream

RGB = ["R|B04", "G|B03", "B|B02"]
MODELS = ["test_vit", "test_resnet", "test_convnext"]


def stream(name, *bands, size=32):
    return Stream(name, bands=tuple(Band(b) for b in bands), size=size)


STREAMS = {"rgb": stream("rgb", *"RGB"), "uv": stream("uv", "UV1", "UV2")}


@pytest.fixture
def weights(tmp_path):
    def make(model):
        torch.manual_seed(0)
        save_file(timm.create_model(model, num_classes=10).state_dict(), tmp_path / f"{model}.safetensors")
        return str(tmp_path / f"{model}.safetensors")

    return make


def shared(model, streams=STREAMS, **more):
    return SharedImage(streams, model=model, pretrained_bands=RGB, **more)


def draw(streams=STREAMS, n=3):
    torch.manual_seed(1)
    return {name: torch.randn(n, s.channels, s.size, s.size) for name, s in streams.items()}


@torch.no_grad()
@pytest.mark.parametrize("model", MODELS)
def test_each_stream_gets_what_image_gives_it_alone(model, weights):
    file, x = weights(model), draw()
    found = shared(model, weights=file).eval()(x)
    for name, s in STREAMS.items():
        want = Image(s, model=model, weights=file, pretrained_bands=RGB).eval()(x[name])
        assert torch.equal(found[name].pooled, want.pooled)
        assert torch.equal(found[name].tokens, want.tokens)


@pytest.mark.parametrize("model", MODELS)
def test_all_but_the_first_convolution_is_shared_and_every_parameter_learns_behind_modality_tokens(model):
    net = shared(model)
    alone = Image(STREAMS["rgb"], model=model, pretrained_bands=RGB)
    stems = sum(p.numel() for p in net.stems.parameters())
    first = sum(p.numel() for p in alone.model.get_submodule(alone.model.pretrained_cfg["first_conv"]).parameters())
    unique = sum(p.numel() for p in net.parameters())
    assert unique - stems == sum(p.numel() for p in alone.parameters()) - first
    fusion = ModalityTokens(net.dims, heads=2)
    fused = fusion(net(draw()))["fused"].pooled
    (fused**3).sum().backward()
    assert [n for m in (net, fusion) for n, p in m.named_parameters() if p.grad is None] == []
    assert len(net.state_dict()) == len({x.data_ptr() for x in net.state_dict().values() if x.numel()})


@pytest.mark.parametrize("model", MODELS)
def test_streams_may_have_sizes_of_their_own(model):
    streams = {"rgb": STREAMS["rgb"], "uv": stream("uv", "UV1", size=64)}
    found = shared(model, streams)(draw(streams))
    assert found["uv"].tokens.shape[1] == 4 * found["rgb"].tokens.shape[1]


def test_a_model_that_cannot_take_several_sizes_says_so():
    streams = {"rgb": stream("rgb", "R", size=224), "uv": stream("uv", "UV1", size=448)}
    with pytest.raises(
        ValueError, match=r"beit_base_patch16_224 is made for one size of images.* give all its streams one size"
    ):
        shared("beit_base_patch16_224", streams)


def test_a_saved_one_is_loaded_again_and_a_copy_passes_its_own_stream():
    net, other = shared("test_vit").eval(), shared("test_vit").eval()
    other.load_state_dict(net.state_dict())
    x = draw()
    assert torch.equal(other(x)["uv"].pooled, net(x)["uv"].pooled)
    assert torch.equal(net({"rgb": x["rgb"]})["rgb"].pooled, other(x)["rgb"].pooled)


@pytest.mark.parametrize("model", MODELS)
def test_gradient_checkpointing_gives_every_first_convolution_its_own_gradient(model):
    grads = []
    for checkpointing in (False, True):
        torch.manual_seed(0)
        net = shared(model, checkpointing=checkpointing)
        sum(f.pooled.square().sum() for f in net(draw()).values()).backward()
        grads.append({n: p.grad for n, p in net.named_parameters()})
    for name, grad in grads[0].items():
        torch.testing.assert_close(grads[1][name], grad, msg=name)


def test_a_model_that_computes_its_first_convolution_again_is_refused_rather_than_given_another_streams():
    net = shared("test_resnet")
    whole = net.trunk.forward
    net.trunk.forward = lambda x: torch.utils.checkpoint.checkpoint(whole, x, use_reentrant=False)
    found = net(draw())
    with pytest.raises(RuntimeError, match=r"set backbone\.checkpointing=false"):
        found["rgb"].pooled.sum().backward()

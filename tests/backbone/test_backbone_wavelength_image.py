"""A timm model whose first kernels are made from wavelengths."""

import pytest
import timm
import torch
from safetensors.torch import save_file

from multimodal_lab.backbone.wavelength_image import WavelengthImage
from multimodal_lab.types import Band, Stream

RED_EDGE, NIR, SWIR = Band("B05", 704), Band("B06", 741), Band("B12", 2202)
RADAR = Band("VV"), Band("VH")
HOW = {"hidden": 8, "names": ["VV", "VH"]}


def build(model="test_vit", size=32, **bands):
    torch.manual_seed(0)
    streams = {name: Stream(name, bands=tuple(own), size=size) for name, own in bands.items()}
    return WavelengthImage(streams, model=model, **HOW).eval()


@pytest.mark.parametrize("model", ["test_vit", "test_resnet"])
def test_weights_of_some_bands_are_loaded_where_others_are(model):
    one, other = build(model, s2=[RED_EDGE, NIR]), build(model, s1=RADAR, all=[RED_EDGE, NIR, SWIR])
    other.load_state_dict(one.state_dict())
    found = other({"s1": torch.randn(2, 2, 32, 32), "all": torch.randn(2, 3, 32, 32)})
    assert {name: len(f.pooled) for name, f in found.items()} == {"s1": 2, "all": 2}
    x = torch.randn(2, 2, 32, 32)
    twin = build(model, called_otherwise=[Band("x", 741), Band("y", 704)])
    twin.load_state_dict(one.state_dict())
    a = one({"s2": x})["s2"].pooled
    torch.testing.assert_close(twin({"called_otherwise": x.flip(1)})["called_otherwise"].pooled, a)


def test_its_first_convolution_is_that_of_its_kernels_and_the_rest_is_the_model_s():
    net, x = build(s2=[RED_EDGE, NIR]), torch.randn(2, 2, 32, 32)
    made = net.stems
    kernels = made.kernels(made.facts_of_s2)
    plain = timm.create_model("test_vit", num_classes=0, in_chans=2, img_size=32).eval()
    state = {k: v for k, v in net.trunk.model.state_dict().items() if not k.startswith("patch_embed.proj.")}
    state |= {"patch_embed.proj.weight": kernels, "patch_embed.proj.bias": made.kernels.bias}
    plain.load_state_dict(state)
    torch.testing.assert_close(net({"s2": x})["s2"].pooled, plain(x))


def test_pretrained_weights_are_those_of_all_but_the_first_convolution(tmp_path):
    model = timm.create_model("test_resnet", num_classes=0)
    save_file(model.state_dict(), tmp_path / "m.safetensors")
    stream = {"s1": Stream("s1", bands=RADAR, size=32)}
    net = WavelengthImage(stream, model="test_resnet", weights=str(tmp_path / "m.safetensors"), **HOW)
    own, other = net.trunk.model.state_dict(), model.state_dict()
    alike = [k for k in other if k in own]
    assert len(alike) >= len(other) - 2
    assert all(torch.equal(own[k], other[k]) for k in alike)


def test_a_model_that_pads_by_itself_is_refused():
    with pytest.raises(ValueError, match=r"tf_efficientnet_lite0 has a first convolution of its own \(Conv2dSame\)"):
        build("tf_efficientnet_lite0", s1=RADAR)

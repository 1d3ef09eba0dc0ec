"""First kernels made from wavelengths: what a band is called, and what stands beside it, changes nothing."""

import pytest
import torch

from multimodal_lab.backbone.wavelength import Wavelength
from multimodal_lab.types import Band, Stream

RED_EDGE, NIR, SWIR = Band("B05", 704), Band("B06", 741), Band("B12", 2202)
RADAR = Band("VV"), Band("VH")
HOW = {"widths": [8, 16], "hidden": 16, "names": ["VV", "VH", "HH"], "fwhm": {"B05": 15.0, "wide": 150.0}}


def build(**bands):
    torch.manual_seed(0)
    return Wavelength({name: Stream(name, bands=tuple(own), size=16) for name, own in bands.items()}, **HOW)


def kernels(net, name):
    """(O, C, 3, 3), each band's own, not divided by their number."""
    found = net.kernels(net.get_buffer(f"facts_of_{name}"))
    return found * found.shape[1]


def test_one_set_of_weights_takes_other_bands_of_other_sensors():
    one, other = build(s2=[RED_EDGE, NIR]), build(s1=RADAR, landsat=[Band("SR_B5", 865), Band("SR_B4", 655), SWIR])
    other.load_state_dict(one.state_dict())
    found = other({"s1": torch.randn(2, 2, 16, 16), "landsat": torch.randn(2, 3, 16, 16)})
    assert {name: f.pooled.shape for name, f in found.items()} == {"s1": (2, 16), "landsat": (2, 16)}


def test_a_kernel_is_of_the_wavelength_and_not_of_the_name_the_place_or_the_company():
    net = build(a=[RED_EDGE, NIR, SWIR], b=[SWIR, Band("called otherwise", 741)], c=[NIR])
    a, b, c = (kernels(net, name) for name in "abc")
    torch.testing.assert_close(a[:, [2, 1]], b)
    torch.testing.assert_close(a[:, 1:2], c)
    near, far = ((a[:, 0] - a[:, i]).norm() for i in (1, 2))
    assert near < far


def test_the_width_of_a_band_and_the_name_of_one_without_wavelength_count():
    net = build(a=[Band("B05", 704), Band("none", 704), Band("wide", 704), *RADAR])
    found = kernels(net, "a").movedim(1, 0)
    assert min(torch.pdist(found.flatten(1))) > 1e-3


def test_the_first_convolution_is_that_of_its_kernels_and_keeps_its_scale_whatever_the_bands():
    net = build(few=[RED_EDGE, NIR], many=[Band(f"b{i}", 400.0 + 10 * i) for i in range(200)])
    x = torch.randn(4, 1, 16, 16)
    scale = {}
    for name, count in (("few", 2), ("many", 200)):
        alike = x.expand(-1, count, -1, -1)
        own = net.kernels(net.get_buffer(f"facts_of_{name}"))
        slow = torch.nn.functional.gelu(sum(
            torch.nn.functional.conv2d(alike[:, c : c + 1], own[:, c : c + 1], stride=2, padding=1) for c in range(count)
        ))  # fmt: skip
        torch.testing.assert_close(net.first(name, alike), slow, rtol=1e-4, atol=1e-5)
        scale[name] = slow.std()
    assert 0.2 < scale["many"] / scale["few"] < 5  # undivided it would be a hundred times as large


def test_a_band_that_is_neither_is_refused_with_the_nearest_name():
    with pytest.raises(
        ValueError, match=r"band VX of stream 's1' has no wavelength .* none of backbone\.names; .*nearest: V"
    ):
        build(s1=[Band("VX")])

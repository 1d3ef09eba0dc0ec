"""What the small backbones promise each for itself."""

import pytest
import torch
from torch import nn

from multimodal_lab.backbone.convnet import ConvNet, grid_features
from multimodal_lab.backbone.hyperspectral import BandAttention, Hyperspectral
from multimodal_lab.backbone.shared import Shared
from multimodal_lab.backbone.spectral import Spectral
from multimodal_lab.backbone.text import Text
from multimodal_lab.backbone.vector import Vector
from multimodal_lab.types import Band, Stream


def stream(c=3, kind="image", size=32, **more):
    return Stream("s", kind, tuple(Band(f"b{i}", 400.0 + i) for i in range(c)), size, **more)


def test_convnet_costs_what_it_says():
    net = ConvNet(stream(3), widths=[32, 64, 128])
    flops = 0

    def count(module, _, y):
        nonlocal flops
        flops += 2 * y[0].numel() * module.weight[0].numel()

    for m in net.modules():
        if isinstance(m, nn.Conv2d):
            m.register_forward_hook(count)
    f = net(torch.randn(1, 3, 64, 64))
    assert f.tokens.shape == (1, 64, 128)
    assert 19e6 < flops < 22e6


def test_convnet_tokens_are_in_row_order():
    torch.manual_seed(0)
    net = ConvNet(stream(1), widths=[8, 8])
    x = torch.zeros(1, 1, 32, 32)
    changed = x.clone()
    changed[..., 0:2, -2:] = 5  # top right
    with torch.no_grad():
        first = net.stages[0]
        difference = (first(x) - first(changed)).abs().sum(1)[0]
        moved = (net(x).tokens - net(changed).tokens).abs().sum(2)[0]
    assert difference[0, -1] > 0
    assert moved.view(8, 8).argmax() == 7


def test_pooled_sees_both_the_mean_and_a_mark_of_few_pixels():
    grid = torch.randn(2, 3, 4, 4)
    f = grid_features(grid)
    assert torch.equal(f.tokens[1, 6], grid[1, :, 1, 2])
    for n in range(2):
        for d in range(3):
            cells = [float(v) for v in grid[n, d].flatten()]
            assert float(f.pooled[n, d]) == pytest.approx((sum(cells) / 16 + max(cells)) / 2, abs=1e-6)


def test_convnet_learns_an_absolute_level():
    """Flat images of two brightnesses, nothing else to see."""
    torch.manual_seed(0)
    label = torch.arange(64) % 2
    x = (0.5 + 0.3 * label)[:, None, None, None] + 0.05 * torch.randn(64, 2, 16, 16)
    net, head = ConvNet(stream(2, size=16), widths=[16, 32]), nn.Linear(32, 2)
    optimizer = torch.optim.AdamW([*net.parameters(), *head.parameters()], 1e-2)
    for _ in range(15):
        loss = nn.functional.cross_entropy(head(net(x).pooled), label)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    assert (head(net(x).pooled).argmax(1) == label).float().mean() > 0.95


def test_band_attention_equals_weighing_and_then_mixing():
    torch.manual_seed(0)
    attention = BandAttention(408, 5, 16)
    x = torch.randn(2, 408, 6, 6)
    y, gate = attention(x)
    squeezed = x.double().mean((2, 3)).float()
    w1, w2 = attention.gate[0], attention.gate[2]
    s = torch.sigmoid(w2.weight @ torch.relu(w1.weight @ squeezed[0] + w1.bias) + w2.bias)
    torch.testing.assert_close(gate[0], s)
    torch.testing.assert_close(
        y[0], torch.einsum("kc,chw->khw", attention.mix, s[:, None, None] * x[0]), atol=1e-5, rtol=1e-4
    )


def test_hyperspectral_shows_its_bands():
    f = Hyperspectral(stream(40), widths=[8, 16])(torch.randn(2, 40, 32, 32))
    assert f.weights["bands"].shape == (2, 40)
    assert ((f.weights["bands"] > 0) & (f.weights["bands"] < 1)).all()


def test_shared_has_one_trunk_and_streams_of_their_own_bands_and_sizes():
    streams = {
        "rgb": Stream("rgb", bands=tuple(map(Band, "RGB")), size=32),
        "uv": Stream("uv", bands=(Band("U"),), size=16),
    }
    net = Shared(streams, widths=[8, 16])
    out = net({"rgb": torch.randn(2, 3, 32, 32), "uv": torch.randn(2, 1, 16, 16)})
    assert net.dims == {"rgb": 16, "uv": 16}
    assert out["rgb"].tokens.shape == (2, 64, 16)
    assert out["uv"].tokens.shape == (2, 16, 16)
    out["uv"].pooled.sum().backward()
    assert all(p.grad is not None for p in net.trunk.parameters())
    assert all(p.grad is None for p in net.stems["rgb"].parameters())


def test_spectral_tells_where_a_peak_stands():
    torch.manual_seed(0)
    net = Spectral(stream(64, "vector"), widths=[8, 16])
    x = torch.zeros(2, 64)
    x[0, 16:20] = 1
    x[1, 40:44] = 1  # the same peak, far from any edge
    a, b = net(x).pooled.detach()
    assert (a - b).abs().max() > 0.01
    with torch.no_grad():
        net.place.zero_()
    a, b = net(x).pooled.detach()
    assert (a - b).abs().max() < 1e-5


def test_spectral_wants_bands_in_order():
    bands = (Band("a", 500.0), Band("b", 400.0), Band("c", 600.0))
    with pytest.raises(ValueError, match="not in order of wavelength"):
        Spectral(Stream("s", "vector", bands), widths=[8, 8])


def test_vector_of_one_layer():
    assert Vector(stream(3, "vector"), widths=[4])(torch.randn(2, 3)).tokens.shape == (2, 1, 4)


def text(**more):
    torch.manual_seed(0)
    return Text(Stream("s", "text", vocab=9, length=8), width=16, heads=2, **more).eval()


def test_text_does_not_see_its_pads():
    net = text()
    x = torch.tensor([[1, 5, 6, 2, 0, 0, 0, 0]])
    long, short = net(x), net(x[:, :4])
    torch.testing.assert_close(long.pooled, short.pooled)
    torch.testing.assert_close(long.tokens[:, :4], short.tokens)
    assert long.mask.sum() == 4
    assert not long.tokens[:, 4:].any()


def test_text_knows_the_order_of_words():
    net = text()
    a, b = net(torch.tensor([[1, 5, 6, 2], [1, 6, 5, 2]])).pooled.detach()
    assert (a - b).abs().max() > 1e-4


def test_text_of_pads_alone_is_finite_and_missing():
    net = text()
    f = net(torch.zeros(2, 8, dtype=torch.long))
    assert not f.present.any()
    assert not f.pooled.any()
    f.pooled.sum().backward()
    assert all(p.grad is not None and p.grad.isfinite().all() for p in net.parameters())


def test_text_refusals():
    with pytest.raises(ValueError, match="9 tokens; the stream says at most length=8"):
        text()(torch.ones(1, 9, dtype=torch.long))
    with pytest.raises(ValueError, match="heads that do: 1, 2, 4, 8, 16"):
        Text(Stream("s", "text", vocab=9, length=8), width=16, heads=3)
    with pytest.raises(ValueError, match="needs both"):
        Text(Stream("s", "text", vocab=9), width=16, heads=2)


@pytest.mark.parametrize("make", [ConvNet, Hyperspectral])
def test_no_widths_are_refused(make):
    with pytest.raises(ValueError, match=r"widths=\[\]: expected one or more numbers"):
        make(stream(), widths=[])

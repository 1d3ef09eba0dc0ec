"""Motion maps are the sums of the slow loop over single changes; padding and rate have no part."""

from functools import partial

import pytest
import torch

from multimodal_lab.backbone.convnet import ConvNet
from multimodal_lab.backbone.motion import Motion, motion_maps
from multimodal_lab.types import Band, Stream


def clips():
    torch.manual_seed(0)
    valid = torch.ones(5, 9, dtype=torch.bool)
    valid[1, 6:] = valid[2, 3:5] = valid[3, 1:] = valid[4] = False
    return torch.where(valid[:, None, :, None, None], torch.randn(5, 2, 9, 3, 4), torch.nan), valid


@pytest.mark.parametrize("segments", [1, 3, 4])
def test_they_are_the_slow_sums(segments):
    x, valid = clips()
    found = motion_maps(x.nan_to_num(7.0), valid, segments)
    expected = torch.zeros(5, segments, 2, 2, 3, 4)
    for n in range(5):
        frames = [x[n, :, t] for t in range(9) if valid[n, t]]
        for t in range(len(frames) - 1):
            change = frames[t + 1] - frames[t]
            k = t * segments // (len(frames) - 1)
            for c in range(2):
                for i in range(3):
                    for j in range(4):
                        v = change[c, i, j].item()
                        expected[n, k, 0 if v > 0 else 1, c, i, j] += abs(v)
    torch.testing.assert_close(found, expected.flatten(1, 3))
    assert not found[3:].any()  # one frame, and none: nothing has moved
    assert found[0].any(2).any(1).all()


def test_a_video_at_half_the_rate_has_moved_as_much():
    ramp = torch.linspace(0, 1, 9).view(1, 1, 9, 1, 1).expand(1, 1, 9, 2, 2)
    fast, slow = (motion_maps(ramp[:, :, ::k], torch.ones(1, len(range(0, 9, k)), dtype=torch.bool), 2) for k in (2, 1))
    torch.testing.assert_close(fast, slow)
    assert fast[0, :, 0, 0].tolist() == [0.5, 0, 0.5, 0]


def test_the_image_backbone_reads_a_band_for_each_map():
    stream = Stream("depth", "image", (Band("d"), Band("u")), 16, steps=9)
    module = Motion(stream, image=partial(ConvNet, widths=[4, 8]), segments=3)
    assert module.image.stages[0][0].in_channels == 12
    x, valid = torch.randn(2, 2, 9, 16, 16), torch.ones(2, 9, dtype=torch.bool)
    a, turned = module(x, valid), module(x.flip(2), valid)
    assert (a.tokens.shape, a.grid, a.dim) == ((2, 16, 8), (4, 4), 8)
    assert (a.pooled - turned.pooled).abs().max() > 1e-3  # a movement and its reverse differ

"""A map goes wherever geometry moves the pixels of its image."""

import pytest
import torch

from multimodal_lab.augment.augment import Augment
from multimodal_lab.augment.geometry import (
    RandomHorizontalFlip,
    RandomPerspective,
    RandomResizedCrop,
    RandomRotation,
    RandomThinPlateSpline,
)
from multimodal_lab.augment.mix import CutMix
from multimodal_lab.types import Band, Batch, Stream

SIDE = 24
STREAMS = {"x": Stream("x", bands=(Band("a"),), size=SIDE, mean=(0.0,), std=(1.0,))}
EVERY = {
    "crop": RandomResizedCrop(scale=(0.3, 0.9)), "flip": RandomHorizontalFlip(p=0.5), "turn": RandomRotation(degrees=60.0),
    "tilt": RandomPerspective(p=1.0), "bend": RandomThinPlateSpline(p=1.0),
}  # fmt: skip


def moved(target: torch.Tensor, ops, **more) -> tuple[torch.Tensor, torch.Tensor]:
    """The class of each pixel as its image tells, 0 outside the frame, and as the map does."""
    x = (target.nan_to_num(-1) + 1).float()[
        :, None
    ]  # an image that holds its own class, one more, constant in 6 x 6 cells
    batch = Batch.of({"x": x}, {"cover": target, "species": torch.arange(len(x))})
    out = Augment(STREAMS, maps=["cover"], ops=ops, views=2, **more)(batch, 0, 0)
    return out.inputs["x"][:, 0], out.targets["cover"]


def cells(n: int = 4) -> torch.Tensor:
    draw = torch.Generator().manual_seed(1)
    return torch.randint(0, 5, (n, 4, 4), generator=draw).repeat_interleave(6, 1).repeat_interleave(6, 2)


@pytest.mark.parametrize("op", [*EVERY, "all"])
def test_a_class_stays_on_its_pixel(op):
    shown, told = moved(cells(), EVERY if op == "all" else {op: EVERY[op]})
    assert told.shape == (8, SIDE, SIDE)
    assert told.dtype == torch.int64
    inside = shown == shown.round()  # where no neighbour was mixed in, bilinear shows the class itself
    flat = inside & (torch.nn.functional.max_pool2d(shown[:, None], 3, 1, 1)[:, 0] == shown)
    flat &= -torch.nn.functional.max_pool2d(-shown[:, None], 3, 1, 1)[:, 0] == shown
    assert flat.float().mean() > 0.2
    assert ((told + 1)[flat] == shown.long()[flat]).all()
    assert not torch.equal(told, cells().repeat(2, 1, 1))


def test_outside_the_frame_nothing_is_known():
    turn = {"turn": EVERY["turn"]}
    shown, told = moved(torch.ones(4, SIDE, SIDE, dtype=torch.long), turn)
    _, number = moved(torch.full((4, SIDE, SIDE), 7.5), turn)
    assert (told[shown == 2] == 1).all()
    assert (told[shown == 0] == -1).all()
    assert (shown == 0).any()
    assert torch.equal(torch.isnan(number), told < 0)
    assert (number[told >= 0] == 7.5).all()


def test_a_map_takes_the_size_of_its_image_and_unknown_pixels_stay_so():
    target = cells()
    target[:, :6] = -1
    shown, told = moved(target, {"crop": RandomResizedCrop(scale=(1.0, 1.0), ratio=(1.0, 1.0))}, size=12)
    assert told.shape == shown.shape == (8, 12, 12)
    assert (told[:, :3] == -1).all()
    assert (told[:, 3:] >= 0).all()


def test_a_mixing_op_is_refused():
    with pytest.raises(
        ValueError, match=r"augment.ops.mix makes one sample of two, and the map cover has one class a pixel"
    ):
        Augment(STREAMS, {"species": 3}, ["cover"], ops={"mix": CutMix(label="species")})

import kornia.augmentation as kornia
import pytest
import torch
from kornia.geometry.bbox import bbox_generator

from multimodal_lab.augment import geometry as g
from multimodal_lab.augment import warp
from multimodal_lab.augment.draw import Draw
from multimodal_lab.augment.warp import Homography, grid, kernels, sample
from multimodal_lab.augment.warp_cpu import gathered

ROWS = 12
SIZES = [(33, 40), (32, 32)]


def draws(rows=ROWS):
    ids = torch.arange(rows)
    return Draw.start(ids, ids * 0, 1, 2)


def smooth(size, bands=3):
    torch.manual_seed(0)
    return torch.nn.functional.interpolate(torch.rand(ROWS, bands, 9, 9), size, mode="bicubic").clamp(0, 1)


def warped(x, op, out=None):
    canvas = tuple(x.shape[-2:])
    params = op.params(draws(), canvas)
    step = op.step(torch.ones(len(x), dtype=torch.bool), params, canvas, out or canvas)
    return sample(x, grid([step], out or canvas, x.device)), params


def theirs(op, x, params):
    shared = {"batch_prob": torch.ones(len(x)), "forward_input_shape": torch.tensor(x.shape)}
    return op(x, params={k: v.float() for k, v in params.items()} | shared)


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("bands", [1, 3, 7])
@pytest.mark.parametrize(
    ("ours", "kornias"),
    [
        (g.RandomHorizontalFlip(), kornia.RandomHorizontalFlip(p=1.0)),
        (g.RandomVerticalFlip(), kornia.RandomVerticalFlip(p=1.0)),
        (g.RandomRotation(degrees=60), kornia.RandomRotation(60.0, p=1.0)),
        (g.RandomPerspective(distortion_scale=0.6), kornia.RandomPerspective(0.6, p=1.0)),
        (
            g.RandomPerspective(sampling_method="area_preserving"),
            kornia.RandomPerspective(0.5, p=1.0, sampling_method="area_preserving"),
        ),
        (g.RandomThinPlateSpline(scale=0.3), kornia.RandomThinPlateSpline(0.3, p=1.0)),
    ],
)
def test_equal_to_kornia_given_the_same_draw(ours, kornias, bands, size):
    x = smooth(size, bands)
    got, params = warped(x, ours)
    want = theirs(kornias, x, params)
    assert (want - x).abs().mean() > 0.02
    torch.testing.assert_close(got, want, atol=5e-5, rtol=0)


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("out", [(32, 32), (20, 24), (1, 5)])
def test_crop_is_equal_to_kornia_given_the_same_box(size, out):
    x = smooth(size)
    got, params = warped(x, g.RandomResizedCrop(scale=(0.1, 0.9)), out)
    box = [params[k].float() for k in ("xs", "ys", "widths", "heights")]
    zero = torch.zeros(ROWS)
    corners = {"src": bbox_generator(*box), "dst": bbox_generator(zero, zero, zero + out[1], zero + out[0])}
    want = theirs(kornia.RandomResizedCrop(out, p=1.0), x, corners)
    torch.testing.assert_close(got, want, atol=5e-5, rtol=0)


@pytest.mark.parametrize("out", [(24, 24), (48, 48)])
def test_resize_is_kornias(out):
    x = smooth((33, 40))
    got, _ = warped(x, g.Resize(), out)
    torch.testing.assert_close(got, kornia.Resize(out)(x), atol=5e-5, rtol=0)


def test_resize_and_pad_keeps_the_aspect_and_centres():
    got, _ = warped(torch.ones(ROWS, 1, 20, 40), g.ResizeAndPad(), (40, 40))
    want = torch.zeros(ROWS, 1, 40, 40)
    want[:, :, 10:30] = 1
    torch.testing.assert_close(got, want, atol=1e-5, rtol=0)


def test_crop_boxes_fit_and_follow_scale_and_ratio():
    op = g.RandomResizedCrop(scale=(0.2, 0.6), ratio=(0.5, 2.0))
    p = op.params(draws(4000), (64, 48))
    assert (p["xs"] >= 0).all()
    assert (p["ys"] >= 0).all()
    assert (p["xs"] + p["widths"] <= 48).all()
    assert (p["ys"] + p["heights"] <= 64).all()
    area = p["widths"] * p["heights"] / (64 * 48)
    assert area.min() > 0.18
    assert area.max() < 0.62
    assert abs(area.mean() - 0.4) < 0.02
    ratio = p["widths"] / p["heights"]
    assert ratio.min() > 0.45
    assert ratio.max() < 2.2
    wide = g.RandomResizedCrop(scale=(1.0, 1.0), ratio=(3.0, 4.0)).params(draws(), (64, 48))
    assert (wide["widths"] == 48).all()  # nothing fits: the whole width, as flat as `ratio` asks
    assert (wide["heights"] == 16).all()


def test_distributions_are_kornias():
    torch.manual_seed(0)
    count, size = 4000, (64, 48)
    ours = g.RandomResizedCrop().params(draws(count), size)
    src = kornia.RandomResizedCrop((8, 8)).generate_parameters(torch.Size((count, 1, *size)))["src"]
    want = {
        "xs": src[:, 0, 0],
        "ys": src[:, 0, 1],
        "widths": src[:, 1, 0] - src[:, 0, 0] + 1,
        "heights": src[:, 3, 1] - src[:, 0, 1] + 1,
    }
    for key, value in want.items():
        for q in (0.1, 0.5, 0.9):
            assert abs(ours[key].quantile(q) - value.quantile(q)) < 2, key


def test_composition_is_the_chain_where_nothing_leaves_the_frame():
    x = smooth((64, 64))
    x = torch.nn.functional.pad(x[:, :, 16:48, 16:48], [16] * 4)
    rows = torch.ones(ROWS, dtype=torch.bool)
    steps, chain = [], x
    for op in (g.RandomRotation(degrees=30), g.RandomThinPlateSpline(scale=0.1), g.RandomVerticalFlip()):
        step = op.step(rows, op.params(draws(), (64, 64)), (64, 64), (64, 64))
        steps.append(step)
        chain = sample(chain, grid([step], (64, 64), x.device))
    once = sample(x, grid(steps, (64, 64), x.device))
    assert (once - x).abs().mean() > 0.05
    assert (once - chain).abs().mean() < 0.01  # the chain blurs more


def test_composition_acts_in_the_order_listed():
    crop = g.RandomResizedCrop(scale=(0.1, 0.1), ratio=(1.0, 1.0))
    flip = g.RandomHorizontalFlip(p=1.0)
    x, rows, size = smooth((32, 32)), torch.ones(ROWS, dtype=torch.bool), (32, 32)
    first, second = (op.step(rows, op.params(draws(), size), size, size) for op in (crop, flip))
    after = sample(x, grid([first, second], size, x.device))
    torch.testing.assert_close(after, sample(x, grid([first], size, x.device)).flip(-1), atol=1e-4, rtol=0)
    before = sample(x, grid([second, first], size, x.device))
    torch.testing.assert_close(before, sample(x.flip(-1), grid([first], size, x.device)), atol=1e-4, rtol=0)
    assert (before - after).abs().mean() > 0.02


@pytest.mark.parametrize(
    ("make", "says"),
    [
        (lambda: g.RandomRotation(p=1.5), "RandomRotation: p"),
        (lambda: g.RandomRotation(degrees=-1), "degrees"),
        (lambda: g.RandomResizedCrop(scale=(0.5, 0.2)), "scale"),
        (lambda: g.RandomResizedCrop(scale=(0.5, 1.2)), "scale"),
        (lambda: g.RandomPerspective(distortion_scale=2), "distortion_scale"),
        (lambda: g.RandomPerspective(sampling_method="any"), "area_preserving"),
        (lambda: g.RandomThinPlateSpline(scale=-0.1), "scale"),
    ],
)
def test_wrong_knobs_are_named(make, says):
    with pytest.raises(ValueError, match=says):
        make()


@pytest.mark.parametrize("bands", [1, 5, 70])
def test_reading_rows_of_bands_is_grid_sample(bands):
    torch.manual_seed(0)
    x, where = torch.randn(4, bands, 9, 14), torch.rand(4, 6, 7, 2) * 3 - 1.5
    where[1] = 5.0
    want = torch.nn.functional.grid_sample(x, where, padding_mode="zeros", align_corners=False)
    torch.testing.assert_close(gathered(x, where), want, atol=1e-5, rtol=0)
    assert (sample(x, where)[1] == 0).all()
    where[2], where[3] = float("nan"), float("inf")
    assert (gathered(x, where)[1:] == 0).all()


def test_many_bands_and_few_are_warped_alike():
    x = smooth((20, 30), bands=64)
    turned, _ = warped(x, g.RandomRotation(degrees=40))
    few, _ = warped(x[:, :3], g.RandomRotation(degrees=40))
    assert turned.is_contiguous(memory_format=torch.channels_last)
    assert not few.is_contiguous(memory_format=torch.channels_last)
    torch.testing.assert_close(turned[:, :3], few, atol=1e-5, rtol=0)


def test_the_splines_kernels_are_computed_once_for_a_size(monkeypatch):
    size, rows = (24, 31), torch.ones(ROWS, dtype=torch.bool)
    op = g.RandomThinPlateSpline(scale=0.3)
    step = op.step(rows, op.params(draws(), size), size, size)
    nothing = Homography(torch.eye(3, dtype=torch.float64).expand(ROWS, 3, 3))
    once = grid([step], size, torch.device("cpu"))
    found = []
    monkeypatch.setattr(warp, "kernels", lambda *constants: found.append(kernels(*constants)) or found[-1])
    again = grid([step], size, torch.device("cpu"))
    assert len(found) == 1
    assert found[0] is kernels(step.centres, size, torch.device("cpu"))
    torch.testing.assert_close(once, again, atol=0, rtol=0)
    anew = grid([step, nothing], size, torch.device("cpu"))  # the outer map comes first: the axes are no longer plain
    assert len(found) == 1
    torch.testing.assert_close(once, anew, atol=1e-5, rtol=0)


def test_rows_that_a_spline_leaves_alone_stay_in_place():
    size, rows = (16, 16), torch.arange(ROWS) % 2 == 0
    op = g.RandomThinPlateSpline(scale=0.3)
    where = grid([op.step(rows, op.params(draws(), size), size, size)], size, torch.device("cpu"))
    plain = grid([Homography(torch.eye(3, dtype=torch.float64).expand(ROWS, 3, 3))], size, torch.device("cpu"))
    assert torch.equal(where[~rows], plain[~rows])
    assert not torch.allclose(where[rows], plain[rows], atol=0.05)

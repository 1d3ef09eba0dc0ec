from dataclasses import replace

import pytest
import torch

from multimodal_lab.augment import colour, geometry, spectral, texture
from multimodal_lab.augment.augment import Augment
from multimodal_lab.types import Band, Batch, Stream

ROWS, SIZE = 6, 24


def bands(names):
    return tuple(Band(name) for name in names)


STREAMS = {
    "rgb": Stream("rgb", "image", bands("RGB"), SIZE),
    "uv": Stream("uv", "image", bands(["uR", "uB"]), SIZE),
    "spectrum": Stream("spectrum", "vector", bands([f"{i}nm" for i in range(20)])),
    "caption": Stream("caption", "text", vocab=50, length=7),
}
IMAGES = {k: STREAMS[k] for k in ("rgb", "uv")}


def disc(size=SIZE):
    y, x = torch.meshgrid(torch.arange(size), torch.arange(size), indexing="ij")
    return ((y - 10) ** 2 + (x - 13) ** 2 < 60).float().expand(ROWS, 1, size, size).clone()


def batch(mask=True):
    torch.manual_seed(0)
    place = disc() if mask else torch.ones(ROWS, 1, SIZE, SIZE)
    present = {name: torch.ones(ROWS, dtype=torch.bool) for name in STREAMS}
    present["uv"][2] = present["spectrum"][3] = present["caption"][4] = False
    inputs = {
        "rgb": torch.rand(ROWS, 3, SIZE, SIZE) * place,
        "uv": torch.rand(ROWS, 2, SIZE, SIZE) * place * present["uv"].view(-1, 1, 1, 1),
        "spectrum": torch.rand(ROWS, 20) * present["spectrum"][:, None],
        "caption": torch.randint(1, 50, (ROWS, 7)) * present["caption"][:, None],
    }
    targets = {"species": torch.arange(ROWS), "length": torch.rand(ROWS, 2)}
    ids = torch.tensor([7, 3, 10**12, -5, 0, 99])
    return Batch(inputs, targets, present, ids, torch.arange(ROWS) // 2, place if mask else None)


def everything(p=None):
    ops = {
        "random_resized_crop": geometry.RandomResizedCrop(scale=(0.3, 1.0)),
        "random_horizontal_flip": geometry.RandomHorizontalFlip(),
        "random_vertical_flip": geometry.RandomVerticalFlip(),
        "random_rotation": geometry.RandomRotation(),
        "random_thin_plate_spline": geometry.RandomThinPlateSpline(),
        "random_perspective": geometry.RandomPerspective(),
        "color_jitter": colour.ColorJitter(),
        "random_grayscale": colour.RandomGrayscale(),
        "random_posterize": colour.RandomPosterize(),
        "random_brightness": colour.RandomBrightness(),
        "random_contrast": colour.RandomContrast(),
        "random_gamma": colour.RandomGamma(),
        "random_gaussian_blur": texture.RandomGaussianBlur(),
        "random_sharpness": texture.RandomSharpness(),
        "random_erasing": texture.RandomErasing(),
        "random_gaussian_noise": texture.RandomGaussianNoise(),
        "random_band_dropout": spectral.RandomBandDropout(),
        "random_spectral_shift": spectral.RandomSpectralShift(),
        "random_scale": spectral.RandomScale(),
    }
    for op in ops.values():
        op.p = op.p if p is None else p
    return ops


GEOMETRY = ["random_resized_crop", "random_horizontal_flip", "random_rotation", "random_thin_plate_spline"]


def rows(b, index):
    def take(d):
        return {k: v[index] for k, v in d.items()}

    mask = None if b.mask is None else b.mask[index]
    return Batch(take(b.inputs), take(b.targets), take(b.present), b.ids[index], b.groups[index], mask)


def test_views_are_stacked_and_the_rest_repeated():
    b = batch()
    out = Augment(STREAMS, ops=everything(), views=3)(b, 1, 2)
    for name, x in b.inputs.items():
        assert out.inputs[name].shape == (3 * ROWS, *x.shape[1:])
    for v in range(3):
        part = rows(out, slice(v * ROWS, (v + 1) * ROWS))
        assert torch.equal(part.ids, b.ids)
        assert torch.equal(part.groups, b.groups)
        assert torch.equal(part.inputs["caption"], b.inputs["caption"])
        for name in b.targets:
            assert torch.equal(part.targets[name], b.targets[name])
        for name in b.present:
            assert torch.equal(part.present[name], b.present[name])
    for name in ("rgb", "uv", "spectrum"):
        first, second = out.inputs[name][:ROWS], out.inputs[name][ROWS : 2 * ROWS]
        assert (first - second).abs().mean() > 0.005


def test_no_ops_one_view_is_the_batch():
    b = batch()
    out = Augment(STREAMS, ops={}, views=1)(b, 1, 2)
    for name in b.inputs:
        assert torch.equal(out.inputs[name], b.inputs[name])


def test_p_zero_is_identity():
    b = batch()
    out = Augment(STREAMS, ops=everything(0.0))(b, 1, 2)
    for name, x in b.inputs.items():
        assert torch.equal(out.inputs[name], torch.cat([x, x]))


@pytest.mark.parametrize("threads", [1, 2])
def test_a_sample_is_the_same_in_any_batch(threads):
    before = torch.get_num_threads()
    torch.set_num_threads(threads)
    try:
        b, augment = batch(), Augment(STREAMS, ops=everything())
        whole = augment(b, 5, 9)
        for index in (torch.tensor([4, 0, 5, 1, 3, 2]), torch.tensor([3]), torch.tensor([5, 2])):
            part = augment(rows(b, index), 5, 9)
            for name in b.inputs:
                want = whole.inputs[name][torch.cat([index, index + ROWS])]
                assert torch.equal(part.inputs[name], want), name
            assert torch.equal(part.mask, whole.mask[torch.cat([index, index + ROWS])])
    finally:
        torch.set_num_threads(before)


def apart(a, b):
    return float((a - b).abs().max())


@pytest.mark.parametrize("name", everything())
def test_seed_epoch_and_id_change_every_op(name):
    op = {name: everything(1.0)[name]}
    b = batch(mask=False)
    base = Augment(STREAMS, ops=op)(b, 1, 2)
    same = Augment(STREAMS, ops=op)(b, 1, 2)
    others = [
        Augment(STREAMS, ops=op)(b, 3, 2),
        Augment(STREAMS, ops=op)(b, 1, 3),
        Augment(STREAMS, ops=op)(b.replace(ids=b.ids + 1), 1, 2),
    ]
    for stream in ("rgb", "spectrum"):
        assert torch.equal(base.inputs[stream], same.inputs[stream])
        drawn = name not in ("random_horizontal_flip", "random_vertical_flip", "random_grayscale")
        touched = apart(base.inputs[stream][:ROWS], b.inputs[stream]) > 1e-4
        for other in others:
            moved = apart(base.inputs[stream], other.inputs[stream])
            assert moved > 1e-4 if drawn and touched else moved == 0


def test_more_ops_change_no_other_draw():
    b = batch()
    flip = Augment(STREAMS, ops={"random_horizontal_flip": geometry.RandomHorizontalFlip()})(b, 1, 2)
    more = {
        "random_rotation": geometry.RandomRotation(degrees=0.0),
        "random_horizontal_flip": geometry.RandomHorizontalFlip(),
    }
    both = Augment(STREAMS, ops=more)(b, 1, 2)
    torch.testing.assert_close(flip.inputs["rgb"], both.inputs["rgb"], atol=1e-5, rtol=0)


def test_global_random_state_is_neither_read_nor_written():
    b, augment = batch(), Augment(STREAMS, ops=everything())
    torch.manual_seed(1)
    before = torch.get_rng_state()
    first = augment(b, 1, 2)
    assert torch.equal(before, torch.get_rng_state())
    torch.manual_seed(2)
    second = augment(b, 1, 2)
    for name in b.inputs:
        assert torch.equal(first.inputs[name], second.inputs[name])


def test_geometry_is_shared_by_streams_and_mask():
    place = disc()
    b = batch().replace(inputs=batch().inputs | {"rgb": place.expand(-1, 3, -1, -1), "uv": place.expand(-1, 2, -1, -1)})
    b.present["uv"][:] = True
    b = b.replace(mask=torch.ones_like(place))  # a mask of ones becomes the frame; it must not hide a mismatch
    ops = {k: v for k, v in everything(1.0).items() if isinstance(v, geometry.Geometric)}
    out = Augment(STREAMS, ops=ops)(b, 1, 2)
    rgb, uv = out.inputs["rgb"], out.inputs["uv"]
    assert torch.equal(rgb[:, :1], uv[:, :1])
    warped = Augment(STREAMS, ops=ops)(b.replace(mask=place), 1, 2).mask
    assert set(warped.unique().tolist()) == {0.0, 1.0}
    sure = (rgb[:, :1] - 0.5).abs() > 0.45
    assert sure.float().mean() > 0.6
    assert torch.equal(warped[sure], (rgb[:, :1] > 0.5).float()[sure])
    assert (rgb[:ROWS] - rgb[ROWS:]).abs().max() > 0.01  # each view its own
    assert (rgb[0] - rgb[1]).abs().max() > 0.01  # each sample its own


def test_streams_of_two_sizes_stay_registered():
    streams = IMAGES | {"uv": replace(IMAGES["uv"], size=2 * SIZE)}
    y, x = torch.meshgrid(*[torch.linspace(-1 + 1 / SIZE, 1 - 1 / SIZE, SIZE)] * 2, indexing="ij")
    small = (0.5 + 0.2 * torch.sin(3 * x + y) + 0.2 * torch.cos(2 * y)).expand(ROWS, 3, SIZE, SIZE).contiguous()
    large = torch.nn.functional.interpolate(small[:, :2], scale_factor=2, mode="bilinear")
    b = batch(mask=False)
    b = b.replace(inputs={"rgb": small, "uv": large})
    b.present["uv"][:] = True
    out = Augment(streams, ops={k: everything(1.0)[k] for k in GEOMETRY})(b, 1, 2)
    assert out.inputs["uv"].shape[-1] == 2 * SIZE
    shrunk = torch.nn.functional.avg_pool2d(out.inputs["uv"], 2)
    inner = (slice(None), slice(0, 2), slice(4, -4), slice(4, -4))
    assert (shrunk[inner] - out.inputs["rgb"][inner]).abs().quantile(0.9) < 0.02
    assert (out.inputs["rgb"][inner] - torch.cat([small, small])[inner]).abs().mean() > 0.05


def test_photometry_is_drawn_for_each_stream():
    same = {"a": Stream("a", "image", bands("xyz"), SIZE), "b": Stream("b", "image", bands("xyz"), SIZE)}
    x = torch.rand(ROWS, 3, SIZE, SIZE)
    on = torch.ones(ROWS, dtype=torch.bool)
    b = Batch({"a": x, "b": x}, {}, {"a": on, "b": on}, torch.arange(ROWS), torch.arange(ROWS))
    out = Augment(same, ops={"color_jitter": colour.ColorJitter(p=1.0)})(b, 1, 2)
    assert (out.inputs["a"] - out.inputs["b"]).abs().max() > 0.01


def test_zero_outside_the_mask_and_where_missing():
    out = Augment(STREAMS, ops=everything(1.0) | {"more": colour.RandomBrightness(brightness=(1.5, 2.0), p=1.0)})(
        batch(), 1, 2
    )
    for name in ("rgb", "uv"):
        assert not (out.inputs[name] * (1 - out.mask)).any()
    for name in ("uv", "spectrum", "caption"):
        assert not out.inputs[name][~out.present[name]].any()
        assert out.inputs[name][out.present[name]].any()


def test_reflectance_above_one_survives():
    b = batch(mask=False)
    b.inputs["rgb"] = b.inputs["rgb"] + 1.5
    ops = everything(1.0)
    for name in ("random_erasing", "random_band_dropout"):
        del ops[name]
    assert Augment(STREAMS, ops=ops)(b, 1, 2).inputs["rgb"].amax() > 1.4


def test_size_sets_the_output_and_the_mask():
    for op in (
        geometry.RandomResizedCrop(),
        geometry.Resize(),
        geometry.ResizeAndPad(),
        geometry.RandomResizedCrop(p=0.0),
    ):
        out = Augment(IMAGES, ops={"op": op}, size=16)(_images(batch()), 1, 2)
        assert out.inputs["rgb"].shape == (2 * ROWS, 3, 16, 16)
        assert out.mask.shape == (2 * ROWS, 1, 16, 16)


def _images(b):
    return Batch(
        {k: b.inputs[k] for k in IMAGES}, b.targets, {k: b.present[k] for k in IMAGES}, b.ids, b.groups, b.mask
    )


def test_named_streams_alone_are_touched():
    b = batch()
    out = Augment(STREAMS, ops={"random_gamma": colour.RandomGamma(p=1.0, streams=["uv", "nir"])}, views=1)(b, 1, 2)
    assert torch.equal(out.inputs["rgb"], b.inputs["rgb"])
    assert (out.inputs["uv"] - b.inputs["uv"]).abs().max() > 0.01


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
def test_cuda_agrees_with_the_cpu():
    b, augment = batch(), Augment(STREAMS, ops=everything())
    here, there = augment(b, 1, 2), augment(b.to("cuda"), 1, 2)
    for name in ("rgb", "uv", "spectrum"):
        off = (here.inputs[name] - there.inputs[name].cpu()).abs() > 1e-3
        assert off.float().mean() < 0.01, name  # a mask pixel or a posterize step may fall to the other side


@pytest.mark.parametrize("views", [1, 2])
@pytest.mark.parametrize("first", ["random_gaussian_noise", "random_erasing", "random_horizontal_flip"])
def test_the_callers_tensors_are_never_written_into(views, first):
    made = batch()
    before = {k: v.clone() for k, v in made.inputs.items()}
    chosen = {
        "random_gaussian_noise": texture.RandomGaussianNoise(p=0.5),
        "random_erasing": texture.RandomErasing(p=0.5),
        "random_horizontal_flip": geometry.RandomHorizontalFlip(p=0.5),
    }
    ops = {first: chosen.pop(first), **chosen}
    out = Augment(STREAMS, ops=ops, views=views)(made, 0, 0)
    assert all(torch.equal(made.inputs[k], before[k]) for k in before)
    assert (out.inputs["rgb"][:ROWS] - before["rgb"]).abs().max() > 0.01
    again = Augment(STREAMS, ops=ops, views=views)(made, 0, 0)
    assert all(torch.equal(out.inputs[k], again.inputs[k]) for k in before)


@pytest.mark.parametrize("chance", [0.3, 1.0])
def test_modality_dropout_takes_modalities_away_and_leaves_one(chance):
    """The share that goes is the chance, but for rows that would be left with nothing."""
    one = batch()
    ids = torch.arange(4000)
    rows = ids % ROWS
    many = Batch(
        {k: v[rows] for k, v in one.inputs.items() if k in IMAGES},
        {},
        {k: one.present[k][rows] for k in IMAGES},
        ids,
        ids,
    )
    out = Augment(IMAGES, ops={}, views=1, modality_dropout=chance)(many, 0, 0)
    before, after = (torch.stack([b.present[k] for k in IMAGES], 1) for b in (many, out))
    assert not (after & ~before).any()
    assert after.any(1).all()
    both = before.all(1)
    assert torch.equal(after[~both], before[~both])  # one is there: it stays
    # of two, each goes alone with c(1 - c), and with c^2 both would: then one of them stays, either as often
    share = chance * (1 - chance) + chance**2 / 2
    assert (1 - after[both].float().mean(0) - share).abs().max() < 0.03
    assert not out.inputs["uv"][~out.present["uv"]].any()
    assert torch.equal(out.inputs["uv"][out.present["uv"]], many.inputs["uv"][out.present["uv"]])


def test_modality_dropout_is_drawn_from_seed_epoch_and_sample():
    made = Augment({k: STREAMS[k] for k in IMAGES}, ops={}, views=2, modality_dropout=0.5)
    one = batch().replace(mask=None)
    one = one.replace(inputs={k: one.inputs[k] for k in IMAGES}, present={k: one.present[k] for k in IMAGES})

    def drawn(seed, epoch, order=slice(None)):
        cut = Batch({k: v[order] for k, v in one.inputs.items()}, {}, {k: v[order] for k, v in one.present.items()},
                    one.ids[order], one.groups[order])  # fmt: skip
        return torch.stack([made(cut, seed, epoch).present[k] for k in IMAGES], 1).view(2, -1, 2)

    assert torch.equal(drawn(0, 0), drawn(0, 0))
    assert not torch.equal(drawn(0, 0), drawn(0, 1))
    assert not torch.equal(drawn(0, 0), drawn(1, 0))
    assert not torch.equal(drawn(0, 0)[0], drawn(0, 0)[1])
    assert torch.equal(drawn(0, 0).flip(1), drawn(0, 0, torch.arange(ROWS).flip(0)))


@pytest.mark.parametrize("op", [op for k, op in vars(geometry).items() if k[0] != "_" and not getattr(op, "leaves", 1)])
def test_an_op_that_never_looks_outside_gives_the_same_bits_without_a_frame_to_blank(op, monkeypatch):
    filled = {"rgb": replace(STREAMS["rgb"], fill=(9.0, 8.0, 7.0))}
    whole = batch(mask=False).replace(inputs={"rgb": batch().inputs["rgb"]}, present={"rgb": batch().present["rgb"]})

    def made():
        return Augment(filled, ops={"op": op()}, views=40, size=SIZE if op.sizing == "must" else None)(whole, 0, 0)

    quick = made().inputs["rgb"]
    monkeypatch.setattr(op, "leaves", True)
    assert torch.equal(made().inputs["rgb"], quick)

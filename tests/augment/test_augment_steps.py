"""Augmentation of streams with a time axis: frames alike, padding untouched, valid in step with the rows."""

import pytest
import torch
from test_augment import everything

from multimodal_lab.augment import mix, spectral, texture
from multimodal_lab.augment.augment import Augment
from multimodal_lab.types import Band, Batch, Stream

N, T, SIZE = 5, 4, 16
RGB = tuple(Band(b) for b in "RGB")
CLIP = Stream("clip", "image", RGB, SIZE, T, mean=(0.5, 0.4, 0.3), std=(1.0,) * 3, fill=(0.5, 0.4, 0.3))
FRAME = Stream("clip", "image", RGB, SIZE, mean=CLIP.mean, std=CLIP.std, fill=CLIP.fill)
ACC = Stream("acc", "vector", (Band("x"), Band("y")), None, T, mean=(3.0, 2.0), std=(1.0, 1.0))
LENGTHS = torch.tensor([4, 2, 3, 4, 1])


def batch(masked=False):
    torch.manual_seed(0)
    present = {"clip": torch.ones(N, dtype=torch.bool), "acc": torch.arange(N) != 3}
    valid = {k: (torch.arange(T) < LENGTHS[:, None]) & there[:, None] for k, there in present.items()}
    inputs = {"clip": torch.rand(N, 3, T, SIZE, SIZE), "acc": torch.rand(N, 2, T) * present["acc"][:, None, None]}
    ids = torch.arange(N) * 7
    mask = torch.zeros(N, 1, SIZE, SIZE) if masked else None
    if mask is not None:
        mask[..., 2:12, 3:14] = 1
    return Batch(inputs, {"kind": ids % 2}, present, ids, ids, mask, valid=valid)


def still(made, t):
    """The same batch of one frame each."""
    return Batch(
        {"clip": made.inputs["clip"][:, :, t].contiguous()},
        {},
        {"clip": made.present["clip"]},
        made.ids,
        made.ids,
        made.mask,
    )


OPS = everything(1.0)


@pytest.mark.parametrize("masked", [False, True])
@pytest.mark.parametrize("name", [name for name in OPS if name not in ("random_gaussian_noise", "random_scale")])
def test_every_frame_is_changed_as_an_image_would_be(name, masked):
    made = batch(masked)
    made = made.replace(valid={k: torch.ones_like(v) for k, v in made.valid.items()})
    if "clip" not in _targets(OPS[name]):
        pytest.skip("works on no image")
    ops = {name: OPS[name]}
    video = Augment({"clip": CLIP, "acc": ACC}, ops=ops, views=2)(made, 0, 1).inputs["clip"]
    for t in (0, T - 1):
        image = Augment({"clip": FRAME}, ops=ops, views=2)(still(made, t), 0, 1).inputs["clip"]
        torch.testing.assert_close(video[:, :, t], image, rtol=1e-5, atol=1e-6)


def _targets(op):
    kinds = getattr(op, "kinds", ("image",))
    return ["clip"] if "image" in kinds else []


def test_noise_is_another_in_each_frame():
    augment = Augment({"clip": CLIP, "acc": ACC}, ops={"n": texture.RandomGaussianNoise(p=1.0)}, views=1)
    made = batch()
    noise = augment(made, 0, 0).inputs["clip"] - made.inputs["clip"]
    assert noise[0, :, 0].std() > 0.05
    assert not torch.allclose(noise[0, :, 0], noise[0, :, 1])


def test_what_is_padded_holds_the_mean_whatever_the_ops_do():
    ops = {"noise": texture.RandomGaussianNoise(p=1.0), "scale": spectral.RandomScale(p=1.0)}
    made = batch()
    out = Augment({"clip": CLIP, "acc": ACC}, ops=ops, views=2, modality_dropout=0.5)(made, 0, 0)
    for name, stream in (("clip", CLIP), ("acc", ACC)):
        there, valid = out.present[name], out.valid[name]
        assert torch.equal(valid, torch.cat([made.valid[name]] * 2) & there[:, None])
        x = out.inputs[name].movedim(2, 1)
        mean = torch.tensor(stream.mean).reshape(-1, *[1] * (x.ndim - 3)).expand_as(x[0, 0])
        assert (x[there[:, None] & ~valid] == mean).all()
        assert not x[~there].any()
    assert not out.present["acc"].all()  # some were dropped


def test_rows_that_are_mixed_are_valid_where_either_is():
    augment = Augment({"clip": CLIP, "acc": ACC}, {"kind": 2}, ops={"mixup": mix.Mixup(label="kind")}, views=1)
    made = Augment({"clip": CLIP, "acc": ACC}, ops={}, views=1)(batch(), 0, 0)  # what is padded holds the mean
    out = augment(made, 0, 0)
    changed = (out.inputs["clip"] != made.inputs["clip"]).flatten(1).any(1)
    assert changed.sum() >= 2
    for i in changed.nonzero()[:, 0].tolist():
        either = [made.valid["clip"][i] | made.valid["clip"][j] for j in range(N) if j != i]
        assert any(torch.equal(out.valid["clip"][i], v) for v in either)
    boxes = Augment({"clip": CLIP}, {"kind": 2}, ops={"cut": mix.CutMix(label="kind")}, views=1)
    clips = made.replace(**{f: {"clip": getattr(made, f)["clip"]} for f in ("inputs", "present", "valid")})
    assert boxes(clips, 0, 0).inputs["clip"].isfinite().all()

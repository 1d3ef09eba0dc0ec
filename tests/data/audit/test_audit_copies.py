"""Near copies are found turned, mirrored, cropped, shifted and in grey; others, and the skins of one species, are none."""

import numpy as np
import pandas as pd
import pytest
import torch
from PIL import Image
from torch.nn import functional as F

from multimodal_lab import progress
from multimodal_lab.data.audit import candidates, copies, near_images, registration
from multimodal_lab.data.audit.membership import parts
from multimodal_lab.data.audit.signature import thumbnail
from multimodal_lab.data.audit.view import Seen, View

SIDE, BASE, OTHERS, COPIES = 64, 90, 90, 10


def drawn(bands, seed=0, count=BASE + OTHERS, detail=12, own=1.0):
    """Smooth images (n, bands, 64, 64) uint8 whose bands go together; own: what of them is not shared."""
    rng = np.random.default_rng(seed)
    x = rng.normal(size=(count + 1, bands, detail, detail)) / (1 + np.arange(detail) + np.arange(detail)[:, None])
    x = 0.6 * x.mean(1, keepdims=True) + 0.4 * x
    x = (1 - own) * x[:1] + own * x[1:]
    wave = np.cos(np.pi * (np.arange(SIDE) + 0.5)[:, None] * np.arange(detail) / SIDE)
    x = wave @ x @ wave.T
    return np.round(255 * (x - x.min()) / np.ptp(x)).astype(np.uint8)


def pillow(change):
    return lambda x: np.stack([np.asarray(change(Image.fromarray(band))) for band in x])


def crop(part, left, top):
    size = round(SIDE * part)
    left, top = round(left * (SIDE - size)), round(top * (SIDE - size))
    return pillow(lambda i: i.crop((left, top, left + size, top + size)).resize((SIDE, SIDE), Image.Resampling.BICUBIC))


def shift(down, right):
    at = [np.clip(np.arange(SIDE) - by, 0, SIDE - 1) for by in (down, right)]
    return lambda x: x[:, at[0]][:, :, at[1]]


def grey(x):
    mixed = 0.299 * x[0] + 0.587 * x[1] + 0.114 * x[2] if len(x) == 3 else x.mean(0)
    return np.stack([np.round(mixed).astype(np.uint8)] * len(x))


CHANGES = {
    "mirrored": lambda x: x[..., ::-1],
    "turned by 90": lambda x: np.rot90(x, 1, (1, 2)),
    "turned by 180": lambda x: np.rot90(x, 2, (1, 2)),
    "mirrored and turned": lambda x: np.rot90(x[..., ::-1], 1, (1, 2)),
    "turned by 5": pillow(lambda i: i.rotate(5, Image.Resampling.BICUBIC)),
    "turned by -5": pillow(lambda i: i.rotate(-5, Image.Resampling.BICUBIC)),
    "cropped to 95 %": crop(0.95, 0, 1),
    "cropped to 85 %": crop(0.85, 0.2, 0.9),
    "shifted": shift(4, -4),
    "grey": grey,
    "smaller": pillow(lambda i: i.resize((45, 45)).resize((SIDE, SIDE))),
    "darker": lambda x: np.round(x * 0.7 + 5).astype(np.uint8),
    "noisy": lambda x: np.clip(x + np.random.default_rng(1).normal(0, 3, x.shape), 0, 255).round().astype(np.uint8),
}


def found(images, train, content=None):
    """{row: (its likest of the training rows, its view)}"""
    rows = {"train": np.arange(train), "test": np.arange(train, len(images))}
    own = parts(rows, pd.DataFrame({"id": [str(i) for i in range(len(images))]}), np.arange(len(images)), None)
    usable, content = np.ones(len(images), dtype=bool), np.arange(len(images)) if content is None else content
    made = near_images.near(thumbnail(images.astype(np.float32)), usable, content, own)
    return {h: (f, v) for h, f, v in zip(made.held.tolist(), made.first.tolist(), made.view.tolist(), strict=True)}


@pytest.mark.parametrize("bands", [3, 1, 7])
def test_copies_are_found_whatever_was_done_to_them_and_others_are_none(bands):
    x = drawn(bands)
    ways = [list(CHANGES)[i] for i in ((*range(len(CHANGES)),) if bands == 3 else (0, 1, 4, 7, 8))]
    copies = np.stack([CHANGES[way](x[i]) for way in ways for i in range(COPIES)])
    made = found(np.concatenate([x, copies]), BASE)
    for k, way in enumerate(ways):
        first = [made.get(len(x) + k * COPIES + i, (-1, 0))[0] for i in range(COPIES)]
        assert sum(f == i for i, f in enumerate(first)) >= COPIES - 1, (way, first)
        if way == "mirrored":
            assert {made[len(x) + k * COPIES + i][1] for i in range(COPIES)} == {4}
    assert not [row for row in made if row < len(x)]


def test_the_original_may_be_the_later_one():
    """What was trained on is the turned, cropped or shifted one."""
    x = drawn(3)
    ways = ["turned by 90", "turned by 5", "cropped to 85 %", "shifted"]
    copies = np.stack([CHANGES[way](x[i]) for i, way in enumerate(ways * 5)])
    made = found(np.concatenate([copies, x[40:], x[: len(copies)]]), len(copies) + len(x[40:90]))
    assert sum(made.get(len(x) - 20 + i, (-1, 0))[0] == i for i in range(20)) >= 19


def test_how_far_the_search_is_is_told(monkeypatch, capsys):
    monkeypatch.setattr(progress, "EVERY", 0.0)
    monkeypatch.setattr(near_images, "QUERIES", 30)
    progress.show(True)
    try:
        found(drawn(1), BASE)
    finally:
        progress.show(False)
    said = capsys.readouterr().out.splitlines()
    rounds = -(-OTHERS // 30)
    assert (
        f"looking for near copies {len(near_images.ASKED) * rounds}/{len(near_images.ASKED) * rounds} · ETA 0 s" in said
    )
    assert f"laying the likest over each other {rounds}/{rounds} · ETA 0 s" in said


def test_an_image_of_many_rows_is_compared_once_and_found_in_each(monkeypatch):
    x = np.concatenate([drawn(3, count=60), drawn(3, count=60)[:5, :, ::-1]])
    compared, counts = near_images.compared, []
    monkeypatch.setattr(near_images, "compared", lambda t, p, s: counts.append(len(p.first)) or compared(t, p, s))
    once = found(x, 40)
    times = np.repeat(np.arange(len(x)), 5)
    assert found(x[times], 200, times) == {5 * h + i: (5 * f, v) for h, (f, v) in once.items() for i in range(5)}
    assert {h: f for h, (f, _) in once.items()} == {60 + i: i for i in range(5)}
    assert sum(counts[: len(counts) // 2]) == sum(counts[len(counts) // 2 :])


def test_smooth_skins_of_one_species_are_no_copies():
    skins = drawn(3, detail=6, own=0.15)
    assert np.corrcoef(skins[0].ravel(), skins[100].ravel())[0, 1] > 0.9
    assert not found(skins, BASE)
    turned = np.concatenate([skins, skins[:COPIES, :, ::-1]])
    assert {h - len(skins): f for h, (f, _) in found(turned, BASE).items()} == {i: i for i in range(COPIES)}


def test_the_windows_of_a_turned_image_are_those_turned():
    x = torch.rand(3, 32, 32, generator=torch.Generator().manual_seed(0))
    for image, own in zip(candidates.views(x), candidates.turned_windows(candidates.windows(x)), strict=True):
        torch.testing.assert_close(candidates.windows(image), own)


def test_the_transform_is_found():
    """Of an image laid by a known one, in pixels of 32, by an oracle: `affine_grid` itself."""
    x = torch.from_numpy(drawn(1, count=20)[:, 0] / 255).float()
    true = torch.tensor([[1.1, -0.08, 0.1], [0.08, 1.1, -0.06]]).expand(len(x), 2, 3)
    grid = F.affine_grid(true, [len(x), 1, 32, 32], align_corners=False)
    fixed = F.grid_sample(x[:, None], grid, align_corners=False, padding_mode="border")[:, 0]
    moving = F.adaptive_avg_pool2d(x, 32)
    start = torch.eye(2, 3).expand(len(x), 2, 3)
    matrix, kept = registration.aligned(fixed, moving, torch.zeros(1, 32, 32), start)
    assert kept.sum() >= 19
    assert ((matrix - true[kept]).abs().amax((1, 2)) < 0.02).float().mean() >= 0.9


def test_a_search_in_cells_finds_the_likest():
    """Against every product, in 6,000 directions of which each has one near it."""
    rng = torch.Generator().manual_seed(0)
    base = F.normalize(torch.randn(6000, 64, generator=rng), dim=1)
    query = F.normalize(base[:200] + 0.03 * torch.randn(200, 64, generator=rng), dim=1)
    cosine, at = candidates.Cells(base).likest(query, 4)
    exact, where = (query @ base.T).max(1)
    assert (at[:, 0] == where).float().mean() >= 0.98
    torch.testing.assert_close(cosine[at[:, 0] == where, 0], exact[at[:, 0] == where])
    few, none = candidates.Cells(base[:3]).likest(query, 4)
    assert (none[:, 3] == -1).all()
    torch.testing.assert_close(few[:, :3], (query @ base[:3].T).sort(dim=1, descending=True).values)


def test_frames_of_one_camera_are_no_copies_where_an_animal_stands_elsewhere():
    """Their ground is correlated by more than .92, its fine detail by more than .75; a noisy copy differs nowhere as much."""
    ground = drawn(3, seed=3, count=40, detail=40)
    frames, others = ground.copy(), ground.copy()
    tone = (ground.mean((2, 3)) + 2 * ground.std((2, 3)))[..., None, None]
    frames[:, :, 12:20, 12:20] = others[:, :, 44:52, 40:48] = tone
    thumbs = thumbnail(np.concatenate([frames, others, CHANGES["noisy"](frames)]).astype(np.float32))
    rows, start = np.arange(40), torch.eye(2, 3).expand(40, 2, 3)
    shared = torch.zeros(1, 3, 32, 32)
    pairs = [near_images.Pairs(rows, rows + by, torch.zeros(40, dtype=torch.long), start) for by in (40, 80)]
    frame, copy = (near_images.compared(thumbs, own, shared) for own in pairs)
    x = torch.from_numpy(thumbs).float() / 255
    whole, fine, _ = registration.likeness(x[:40], x[40:80], start, shared)
    alike = ((whole >= near_images.WHOLE) & (fine >= near_images.FINE)).numpy()
    assert alike.sum() >= 20
    assert (frame[0][alike] == 0).mean() >= 0.9
    assert (copy[0] > 0.95).all()


@pytest.mark.parametrize("plain", [True, False])
def test_of_drawings_on_a_plain_ground_the_finding_says_that_others_look_alike(plain):
    x = drawn(3, count=60)
    if plain:
        x[:, :, :24] = x[:, :, 40:] = x[:, :, :, :24] = x[:, :, :, 40:] = 255
    x = np.concatenate([x, np.stack([CHANGES["noisy"](one) if not plain else one[..., ::-1] for one in x[:5]])])
    seen = Seen(content=np.arange(65), present=np.ones(65, bool), blank=np.zeros(65, bool), size=1,
                thumbs=thumbnail(x.astype(np.float32)))  # fmt: skip
    rows = {"train": np.arange(60), "test": np.arange(60, 65)}
    own = parts(rows, pd.DataFrame({"id": [str(i) for i in range(65)]}), np.arange(65), None)
    (finding,) = copies.near(View({"rgb": seen}, np.arange(65)), own)
    assert (finding.count, finding.void, finding.level) == (5, False, "warning")
    assert ("5 of them are little on a plain ground" in finding.sentence) == plain

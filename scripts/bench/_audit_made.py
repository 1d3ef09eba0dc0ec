"""Made images that are hard to tell from copies: frames of cameras that never move, and drawings in flat colours."""

from __future__ import annotations

import numpy as np
from PIL import Image, ImageDraw

from multimodal_lab.data.synthetic import trifeature_draw

SIDE, FINER = 64, 4
COUNT = 400
COLOURS = [(220, 30, 30), (30, 160, 30), (30, 30, 220), (240, 200, 0), (120, 0, 120), (20, 20, 20)]
SKINS = [(255, 204, 77), (241, 143, 38), (119, 178, 85), (85, 172, 238), (221, 46, 68)]
DARK = (102, 69, 0)


def frames(cameras: int, part: float) -> np.ndarray:
    """Of each camera one ground; in every frame an animal of `part` of the side in another place, other light, and noise."""
    rng = np.random.default_rng(cameras)
    grounds = _waves(rng, cameras, 32, 1.0)
    grounds = 0.8 * grounds.mean(1, keepdims=True) + 0.3 * grounds
    grounds = 120 + 40 * grounds / grounds.std((1, 2, 3), keepdims=True)
    coats = _waves(rng, COUNT, 16, 1.2)
    coats /= coats.std((1, 2, 3), keepdims=True)
    down, across = np.mgrid[:SIDE, :SIDE]
    made = []
    for i in range(COUNT):
        x = grounds[i % cameras] * (1 + 0.1 * rng.normal()) + 4 * rng.normal() * (across / SIDE - 0.5)
        y0, x0 = rng.uniform(0.15, 0.85, 2) * SIDE
        long = part * SIDE / 2 * rng.uniform(0.8, 1.2)
        wide, turn = long * rng.uniform(0.5, 0.8), rng.uniform(0, np.pi)
        u = (across - x0) * np.cos(turn) + (down - y0) * np.sin(turn)
        v = (down - y0) * np.cos(turn) - (across - x0) * np.sin(turn)
        tone = rng.uniform(20, 230) + rng.normal(0, 15, 3)[:, None, None] + 20 * coats[i]
        made.append(np.where((u / long) ** 2 + (v / wide) ** 2 < 1, tone, x) + rng.normal(0, 3, x.shape))
    return np.round(np.clip(made, 0, 255)).astype(np.uint8)


def _waves(rng: np.random.Generator, count: int, detail: int, power: float) -> np.ndarray:
    """(count, 3, SIDE, SIDE): sums of cosines, the finer the weaker."""
    wave = np.cos(np.pi * (np.arange(SIDE) + 0.5)[:, None] * np.arange(detail) / SIDE)
    weight = 1 / (1 + np.arange(detail) + np.arange(detail)[:, None]) ** power
    return np.asarray(wave @ (rng.normal(size=(count, 3, detail, detail)) * weight) @ wave.T)


def trifeature() -> np.ndarray:
    """One of ten shapes, textures and colours each, turned and placed at random."""
    rng = np.random.default_rng(4)
    lists = [list(x) for x in (trifeature_draw.SHAPES, trifeature_draw.TEXTURES, trifeature_draw.COLOURS)]
    drawn = ([one[rng.integers(10)] for one in lists] for _ in range(COUNT))
    return np.stack([trifeature_draw.draw(*own, size=SIDE, side=36, period=5.0, rng=rng) for own in drawn])


def faces() -> np.ndarray:
    """A disc of one of five colours with two eyes, open or not, and one of four mouths."""
    rng = np.random.default_rng(5)
    return np.stack([_face(rng) for _ in range(COUNT)])


def _face(rng: np.random.Generator) -> np.ndarray:
    size = FINER * SIDE
    image = Image.new("RGB", (size, size), "white")
    pen = ImageDraw.Draw(image)
    pen.ellipse((8, 8, size - 8, size - 8), fill=SKINS[rng.integers(len(SKINS))])
    y, x, r, tall = size * rng.uniform(0.3, 0.45), size * rng.uniform(0.14, 0.22), size * rng.uniform(0.04, 0.09), 1.1
    for at in (size / 2 - x, size / 2 + x):
        if rng.random() < 0.8:
            pen.ellipse((at - r, y - tall * r, at + r, y + tall * r), fill=DARK)
        else:
            pen.line((at - r, y, at + r, y), fill=DARK, width=10)
    y, wide, high = size * rng.uniform(0.55, 0.75), size * rng.uniform(0.1, 0.28), size * rng.uniform(0.03, 0.16)
    box = (size / 2 - wide, y - high, size / 2 + wide, y + high)
    mouth = rng.integers(4)
    if mouth < 2:
        pen.arc(box, *((20, 160), (200, 340))[mouth], fill=DARK, width=10)
    elif mouth == 2:
        pen.ellipse(box, fill=DARK)
    else:
        pen.chord(box, 0, 180, fill=DARK)
    return _brought(image)


def shapes() -> np.ndarray:
    """A disc, a polygon or a star of one of six colours, of any size, anywhere on a plain pale ground."""
    rng = np.random.default_rng(6)
    return np.stack([_shape(rng) for _ in range(COUNT)])


def _shape(rng: np.random.Generator) -> np.ndarray:
    size, colour = FINER * SIDE, COLOURS[rng.integers(len(COLOURS))]
    red, green, blue = (int(v) for v in rng.integers(180, 256, 3))
    image = Image.new("RGB", (size, size), (red, green, blue))
    pen, r = ImageDraw.Draw(image), size * rng.uniform(0.1, 0.3)
    x, y = rng.uniform(r, size - r, 2)
    corners, turn = (0, 3, 4, 5, 10)[rng.integers(5)], rng.uniform(0, 2 * np.pi)
    if corners:
        angle = turn + 2 * np.pi * np.arange(corners) / corners
        reach = np.where((np.arange(corners) % 2 == 1) & (corners == 10), 0.45 * r, r)
        pen.polygon([(float(a), float(b)) for a, b in zip(x + reach * np.cos(angle), y + reach * np.sin(angle), strict=True)],
                    fill=colour)  # fmt: skip
    else:
        pen.ellipse((x - r, y - r, x + r, y + r), fill=colour)
    return _brought(image)


def _brought(image: Image.Image) -> np.ndarray:
    small = image.resize((SIDE, SIDE), Image.Resampling.LANCZOS)
    return np.moveaxis(np.asarray(small), -1, 0)

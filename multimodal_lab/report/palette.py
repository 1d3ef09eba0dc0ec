"""Palette: the colours of classes, the same in every figure and map; no drawing library is needed for them."""

from __future__ import annotations

import colorsys

Colour = tuple[float, float, float]

# Okabe & Ito 2008, without black, the pale yellow last
PALETTE = ("#0072B2", "#E69F00", "#009E73", "#D55E00", "#CC79A7", "#56B4E9", "#B8A800")
_TURNS = 3


def class_colour(index: int) -> Colour:
    """Red, green and blue, 0 to 1, of class `index` where areas have no marker to tell classes apart.

    The palette, then its darker shades, then its lighter ones; beyond 21 classes, evenly spaced hues by the golden ratio in three
    lightnesses. No two of 64 classes share one.
    """
    turn, place = divmod(index, len(PALETTE))
    if turn >= _TURNS:
        return colorsys.hls_to_rgb((0.33 + index * 0.618034) % 1, (0.42, 0.6, 0.3)[index % 3], 0.75)
    red, green, blue = (int(PALETTE[place][k : k + 2], 16) / 255 for k in (1, 3, 5))
    if turn == 1:
        return red * 0.55, green * 0.55, blue * 0.55
    return (red, green, blue) if turn == 0 else (_lighter(red), _lighter(green), _lighter(blue))


def _lighter(x: float) -> float:
    return x + (1 - x) * 0.55

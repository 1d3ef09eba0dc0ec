"""The size to which an image is scaled before it is cut or padded; plain arithmetic, which a decoder's process needs too."""

import math


def scaled_size(height: int, width: int, size: int, fit: str, crop_pct: float = 1.0) -> tuple[int, int]:
    """Height and width of an image scaled for a square of `size` by a `fit` of `Resize`."""
    if fit == "pad":
        scale = size / max(height, width)
        return max(1, round(height * scale)), max(1, round(width * scale))
    if fit.startswith("crop"):
        short = math.floor(size / crop_pct)
        return int(short * height / min(height, width)), int(short * width / min(height, width))
    return size, size

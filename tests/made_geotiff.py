"""Small GeoTIFF files: `write(path, pixels, epsg, left, top, pixel)` with the tags that GDAL writes."""

import numpy as np
import tifffile


def geo_tags(epsg, left, top, pixel, point=False):
    projected = epsg != 4326
    keys = [1, 1, 0, 3, 1024, 0, 1, 1 if projected else 2, 1025, 0, 1, 2 if point else 1]
    keys += [3072 if projected else 2048, 0, 1, epsg]
    return [
        (33550, "d", 3, (pixel, pixel, 0.0), True),
        (33922, "d", 6, (0.0, 0.0, 0.0, left, top, 0.0), True),
        (34735, "H", len(keys), tuple(keys), True),
    ]


def write(path, pixels, epsg=32633, left=400_000.0, top=5_300_000.0, pixel=10.0, nodata=None, point=False, **more):
    """pixels (H, W), or (C, H, W) as planes."""
    path.parent.mkdir(parents=True, exist_ok=True)
    tags = [] if epsg is None else geo_tags(epsg, left, top, pixel, point)
    if nodata is not None:
        tags.append((42113, "s", 0, str(nodata), True))
    planes = {} if pixels.ndim == 2 else {"planarconfig": "separate"}
    tifffile.imwrite(path, pixels, photometric="minisblack", extratags=tags, metadata=None, **planes, **more)


def noise(seed, *shape, dtype=np.uint16):
    return np.random.default_rng(seed).integers(1, 4000, shape).astype(dtype)

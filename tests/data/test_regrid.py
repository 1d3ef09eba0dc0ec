"""Resampling of bands to one grid, against loops over pixels and against GDAL where rasterio is installed."""

import numpy as np
import pytest
from made_geotiff import noise

from multimodal_lab.data.readers.regrid import ratio, regrid
from multimodal_lab.data.source import DataError


def slow(x, grid, kernel, support):
    """Separable resampling in float64: sample positions at pixel centres, weights by `kernel`, edges clamped or left out."""
    for axis, out in ((1, grid[0]), (2, grid[1])):
        size = x.shape[axis]
        scale = size / out
        wide = max(scale, 1.0)
        weights = np.zeros((out, size))
        for i in range(out):
            centre = (i + 0.5) * scale - 0.5
            for j in range(int(np.floor(centre - support * wide)), int(np.ceil(centre + support * wide)) + 1):
                w = kernel((j - centre) / wide)
                if scale > 1 and not 0 <= j < size:
                    continue  # antialiased: edges are left out
                weights[i, min(max(j, 0), size - 1)] += w
        weights /= weights.sum(1, keepdims=True)
        x = np.moveaxis(np.tensordot(weights, np.moveaxis(x, axis, 0), 1), 0, axis)
    return x


def triangle(t):
    return max(0.0, 1 - abs(t))


def keys(a):
    def cubic(t):
        t = abs(t)
        if t <= 1:
            return (a + 2) * t**3 - (a + 3) * t**2 + 1
        return a * (t**3 - 5 * t**2 + 8 * t - 4) if t < 2 else 0.0

    return cubic


@pytest.mark.parametrize("grid", [(12, 18), (2, 3)])
@pytest.mark.parametrize("rule", ["bilinear", "bicubic"])
def test_between_pixels_as_a_loop_over_weights(rule, grid):
    x = noise(0, 2, 4, 6)
    kernel, support = (triangle, 1) if rule == "bilinear" else (keys(-0.75 if grid[0] > 4 else -0.5), 2)
    made, gone = regrid(x, None, grid, rule)
    assert gone is None
    assert made.dtype == np.float32
    np.testing.assert_allclose(made, slow(x.astype(float), grid, kernel, support), rtol=2e-5, atol=0.02)


def test_nearest_and_area_keep_what_they_can():
    x = noise(1, 2, 4, 6)
    grown, _ = regrid(x, None, (12, 18), "nearest")
    assert grown.dtype == x.dtype
    assert all((grown[:, i, j] == x[:, i // 3, j // 3]).all() for i in range(12) for j in range(18))
    np.testing.assert_array_equal(regrid(x, None, (12, 18), "area")[0], grown)
    np.testing.assert_array_equal(regrid(grown, None, (4, 6), "nearest")[0], x)
    mean = [[x[:, 2 * i : 2 * i + 2, 2 * j : 2 * j + 2].mean((1, 2)) for j in range(3)] for i in range(2)]
    np.testing.assert_allclose(regrid(x, None, (2, 3), "area")[0], np.moveaxis(np.array(mean), 2, 0), rtol=1e-6)


@pytest.mark.parametrize("rule", ["nearest", "bilinear", "bicubic", "area"])
@pytest.mark.parametrize("grid", [(2, 2), (24, 24)])
def test_what_is_missing_has_no_part_in_others(rule, grid):
    x = np.full((1, 8, 8), 700, dtype=np.int16)
    gone = np.zeros(x.shape, dtype=bool)
    gone[:, :3, :5] = True
    x[gone] = -9999
    made, missing = regrid(x, gone, grid, rule)
    assert missing.any()
    assert not missing.all()
    np.testing.assert_allclose(made[~missing], 700, rtol=1e-5)
    np.testing.assert_array_equal(missing, regrid(gone, None, grid, "nearest")[0])


@pytest.mark.parametrize(
    ("size", "grid", "found"),
    [
        ((20, 20), (120, 120), (6, True)),
        ((8, 4), (4, 2), (2, False)),
        ((5, 5), (5, 5), (1, True)),
        ((5, 4), (10, 9), None),
        ((7, 7), (12, 12), None),
    ],
)
def test_only_whole_ratios(size, grid, found):
    assert ratio(size, grid) == found
    if found is None:
        with pytest.raises(DataError, match=f"{size[0]} x {size[1]} pixels are no whole multiple or part of {grid[0]}"):
            regrid(noise(0, 1, *size), None, grid, "bilinear")

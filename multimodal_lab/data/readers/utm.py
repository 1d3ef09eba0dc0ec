"""Longitude and latitude of places that are given in metres of a UTM zone, on the ellipsoid WGS 84."""

from __future__ import annotations

import numpy as np

RADIUS, FLATTENING = 6378137.0, 1 / 298.257223563  # m, of WGS 84
SCALE, EAST, SOUTH = 0.9996, 500_000.0, 10_000_000.0


def lon_lat(epsg: int, x: np.ndarray | float, y: np.ndarray | float) -> tuple[np.ndarray, np.ndarray]:
    """Degrees of `x` (easting) and `y` (northing) in m of EPSG 32601 to 32660 (north) or 32701 to 32760 (south).

    Krüger's series to the third power of the third flattening (Karney 2011, J. Geodesy 85): within 1 mm inside a zone.
    """
    n = FLATTENING / (2 - FLATTENING)
    mean = RADIUS / (1 + n) * (1 + n**2 / 4 + n**4 / 64)
    back = (n / 2 - 2 * n**2 / 3 + 37 * n**3 / 96, n**2 / 48 + n**3 / 15, 17 * n**3 / 480)
    conformal = (2 * n - 2 * n**2 / 3 - 2 * n**3, 7 * n**2 / 3 - 8 * n**3 / 5, 56 * n**3 / 15)
    xi = (np.asarray(y, dtype=float) - (SOUTH if epsg > 32700 else 0)) / (SCALE * mean)
    eta = (np.asarray(x, dtype=float) - EAST) / (SCALE * mean)
    terms = [(2 * j, b) for j, b in enumerate(back, 1)]
    xi1 = xi - sum(b * np.sin(j * xi) * np.cosh(j * eta) for j, b in terms)
    eta1 = eta - sum(b * np.cos(j * xi) * np.sinh(j * eta) for j, b in terms)
    chi = np.arcsin(np.sin(xi1) / np.cosh(eta1))
    latitude = chi + sum(d * np.sin(2 * j * chi) for j, d in enumerate(conformal, 1))
    longitude = 6 * (epsg % 100) - 183 + np.degrees(np.arctan2(np.sinh(eta1), np.cos(xi1)))
    return longitude, np.degrees(latitude)

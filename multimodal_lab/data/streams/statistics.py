"""Per-band mean, standard deviation and covariance in one pass, in double precision."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from multimodal_lab.data.source import DataError


class Moments:
    """Running mean and variance per band, merged sample by sample (Welford 1962; Chan, Golub, LeVeque 1979)."""

    def __init__(self) -> None:
        self.count = np.zeros(0)
        self.mean = np.zeros(0)
        self.square = np.zeros(0)
        self.last = self.count, self.mean, self.square  # of what was taken in last

    def add(self, x: np.ndarray) -> None:
        """Take in (C, n) values, n >= 1; NaN is none."""
        x = x.astype(np.float64)
        n, mean = np.full(len(x), float(x.shape[1])), x.mean(1)
        lacking = np.isnan(mean).any()
        if lacking:
            n = (~np.isnan(x)).sum(1).astype(np.float64)
            mean = np.nansum(x, 1) / np.maximum(n, 1)
        self.last = n, mean, (np.nansum if lacking else np.sum)((x - mean[:, None]) ** 2, 1)
        self.again()

    def again(self) -> None:
        """Take in what was taken in last once more."""
        n, mean, square = self.last
        if not len(self.count):
            self.count, self.mean, self.square = n, mean, square
            return
        total, step = self.count + n, mean - self.mean
        safe = np.maximum(total, 1)
        self.square = self.square + square + step**2 * (self.count * n / safe)
        self.mean = self.mean + step * (n / safe)
        self.count = total

    def result(self, where: str, names: tuple[str, ...] = ()) -> tuple[np.ndarray, np.ndarray]:
        """(C,) mean and (C,) population standard deviation; no values, or a constant band, is a `DataError`."""
        if not self.count.any():
            raise DataError(f"{where}: no sample of the training split has it, so that it has no statistics")
        std = np.sqrt(self.square / np.maximum(self.count, 1))
        flat = np.flatnonzero(std <= 1e-12 * np.abs(self.mean))  # whatever the unit: int64 by its full scale is 1e-17
        if len(flat):
            found = f"is constant ({self.mean[flat[0]]:g})" if self.count[flat[0]] else "has no value"
            said = f"{where}: band {{}} {found} over the training split; leave it out of `bands`"
            raise BandError(said, int(flat[0])).named(names)
        return self.mean, std


class BandError(DataError):
    """An error of one band, which is known by its place alone where it arises: `said` has `{}` for its name."""

    def __init__(self, said: str, place: int, name: str | None = None) -> None:
        super().__init__(said.format(place if name is None else name))
        self.said, self.place = said, place

    def named(self, names: Sequence[str]) -> BandError:
        """The same with the band's name, of `names` in the order of the bands; itself where there are none."""
        return BandError(self.said, self.place, names[self.place]) if names else self


class Covariance:
    """Running mean and covariance between bands, for principal components."""

    def __init__(self) -> None:
        self.count = 0
        self.mean = np.zeros(0)
        self.scatter = np.zeros((0, 0))

    def add(self, x: np.ndarray) -> None:
        """Take in (C, n) values; a pixel with NaN is none."""
        x = x.astype(np.float64)
        if np.isnan(x.min()):
            x = x[:, ~np.isnan(x).any(0)]
        if not x.shape[1]:
            return
        n, mean = x.shape[1], x.mean(1)
        centred = x - mean[:, None]
        scatter = centred @ centred.T
        if not self.count:
            self.count, self.mean, self.scatter = n, mean, scatter
            return
        total, step = self.count + n, mean - self.mean
        self.scatter = self.scatter + scatter + np.outer(step, step) * (self.count * n / total)
        self.mean = self.mean + step * (n / total)
        self.count = total

    def components(self, k: int, where: str) -> tuple[np.ndarray, np.ndarray]:
        """(C,) mean and (k, C) leading directions, each one's largest entry positive; `DataError` if k is too large."""
        most = min(len(self.mean), self.count - 1)
        if k > most:
            raise DataError(
                f"{where}: {k} components of {len(self.mean)} bands and {self.count} pixels; at most {most}"
            )
        directions = np.linalg.eigh(self.scatter)[1][:, ::-1][:, :k].T
        signs = np.sign(directions[np.arange(k), np.abs(directions).argmax(1)])
        return self.mean, directions * signs[:, None]


def inside_mask(x: np.ndarray, mask: np.ndarray | None) -> np.ndarray:
    """The pixels of (C, …, H, W) inside the mask, (H, W) or (…, H, W), or all of (C,) or (C, T), as (C, n)."""
    return x.reshape(len(x), -1) if mask is None or x.ndim == 1 else x[..., mask].reshape(len(x), -1)

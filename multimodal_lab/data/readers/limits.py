"""Limits on sizes claimed by a file header, enforced before anything is decoded or allocated."""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path

from multimodal_lab.bounds import Count
from multimodal_lab.data.source import DataError

SMALL = 64 * 2**20  # decoded bytes that no ratio is asked of
ROW = 256  # bytes that a row of the sample table takes, about


@dataclass(frozen=True)
class Limits:
    """The largest sample accepted, in pixels (H x W), bands and decoded bytes; and the most samples of one set.

    ratio: decoded to stored bytes, of what is more than 64 MiB decoded; no picture or table of measured values comes
    near it, files of zeros do.
    """

    pixels: Count = 100_000_000
    bands: Count = 10_000
    bytes: Count = 4 * 2**30
    samples: Count = 50_000_000
    ratio: Count = 200

    def check(self, where: str, *, pixels: int = 1, bands: int = 1, itemsize: int = 1) -> None:
        """Refuse (`DataError`) what a header claims if it is empty or beyond a limit; `where` names the file."""
        claims = {"pixels": pixels, "bands": bands, "bytes": math.prod((pixels, bands, itemsize))}
        for name, claim in claims.items():
            most = getattr(self, name)
            if claim < 1:
                raise DataError(f"{where}: its header claims {claim} {name}, expected at least 1")
            if claim > most:
                hint = f"data.source.limits.{name} raises it"
                raise DataError(f"{where}: its header claims {claim:,} {name}, the limit is {most:,} ({hint})")

    def swell(self, where: str, decoded: int, stored: int, claim: str = "its header claims") -> None:
        """Refuse (`DataError`) what would decode to too many bytes, or to more than `ratio` times the stored ones.

        claim: who says so, as the message tells it.
        """
        for most, name in ((self.bytes, "bytes"), (max(SMALL, self.ratio * stored), "ratio")):
            if decoded > most:
                said = f"{decoded:,} bytes from {stored:,} stored ones, the limit is {most:,}"
                raise DataError(f"{where}: {claim} {said} (data.source.limits.{name} raises it)")

    def most(self, stored: int) -> int:
        """The most bytes that so many stored ones may decode to."""
        return min(self.bytes, max(SMALL, self.ratio * stored))

    def file(self, where: str, path: Path) -> None:
        """Refuse (`DataError`) a file that is to be read whole and is itself larger than `bytes`."""
        size = path.stat().st_size
        if size > self.bytes:
            hint = "data.source.limits.bytes raises it"
            raise DataError(f"{where}: a file of {size:,} bytes, the limit is {self.bytes:,} ({hint})")

    def count(self, where: str, samples: int) -> None:
        """Refuse (`DataError`) a set of no samples, or of more than the limit."""
        if not samples:
            raise DataError(f"{where}: no sample in it, expected one at least")
        if samples > self.samples:
            raise DataError(
                f"{where}: {samples:,} samples, expected at most {self.samples:,} (data.source.limits.samples raises it)"
            )

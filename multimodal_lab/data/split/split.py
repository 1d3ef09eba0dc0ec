"""Grouped, stratified train/val/test split, seeded and independent of row order."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import numpy as np
import pandas as pd

from multimodal_lab.bounds import Fraction, Natural, Positive
from multimodal_lab.data.source import DataError
from multimodal_lab.data.split import linked, spatial
from multimodal_lab.data.split.hashing import keys
from multimodal_lab.hashing import stable_id
from multimodal_lab.text import nearest, show

SplitRows = dict[str, np.ndarray]
NAMES = ("train", "val", "test")
AUTO = linked.AUTO
INSTEAD = "instead"  # of a sample table's `attrs`: {column: what to type where it is not there}
NO_STRATUM = "(missing)"  # of the samples without a value of the column that splits are stratified by
OFFICIAL = {"valid": "val", "validation": "val", "dev": "val", "training": "train", "testing": "test"}


class Split:
    """Give every group (all rows with one value of `by`; each row by itself without it) to one of train, val and test.

    Of several columns, `by=[site,individual]`, rows that share a value of any of them are of one group, see `linked.names`.
    `stratify` names a column whose values each split gets in proportion, counted in groups; it must be constant within
    a group. A `Data` settles both where they are `auto`. `column` names an official split (train, val or test): it is
    followed, and where it has no val, `val` is the share carved by group out of its train; `auto`: the column `split`, where
    there is one. `min_class_policy="train"` puts strata
    with fewer groups than splits into train, and keeps label classes of one sample, instead of refusing them. `group_policy` says
    what is held out: whole `groups`, or single `samples`, dealt anew over the splits at their sizes and strata: a random
    split, in which what a group shares leaks, made to measure how much (the leak gap, `stats.leak`). `seed` is
    the split's own: runs with different seeds share their test set unless you tie the two.
    block_km: the side of blocks of the ground, of `by=spatial_block`: samples in one block stay together, whatever projection
    they are in. buffer_km: of these, samples of train (or val) nearer than that to a held-out one are in no split.
    """

    def __init__(
        self,
        *,
        by: str | list[str] | None = None,
        stratify: str | None = None,
        train: Fraction = 0.7,
        val: Fraction = 0.1,
        test: Fraction = 0.2,
        column: str | None = None,
        min_class_policy: Literal["refuse", "train"] = "refuse",
        group_policy: Literal["groups", "samples"] = "groups",
        seed: Natural = 0,
        block_km: Positive | None = None,
        buffer_km: Positive | None = None,
    ) -> None:
        by = linked.plain(by)
        in_blocks = spatial.COLUMN in linked.columns(by)
        if in_blocks != (block_km is not None) or (buffer_km is not None and block_km is None):
            found = f"by={show(by)}, block_km={block_km or 'null'}, buffer_km={buffer_km or 'null'}"
            raise DataError(
                f"data.split: {found}; by=spatial_block and block_km, such as 10, go together, buffer_km with both"
            )
        if column in (None, AUTO) and abs(train + val + test - 1) > 1e-6:
            raise DataError(f"data.split: train, val and test must add up to 1, got {train} + {val} + {test}")
        if train == 0:
            raise DataError("data.split.train: 0 leaves nothing to train on")
        self.by: linked.By = by
        self.stratify, self.column, self.min_class_policy, self.seed = stratify, column, min_class_policy, seed
        self.group_policy, self.block_km, self.buffer_km = group_policy, block_km, buffer_km
        self.shares = {"train": train, "val": val, "test": test}

    def assign(self, samples: pd.DataFrame) -> SplitRows:
        """Row numbers of each split, ascending; a split with share 0 is left out, and by blocks a row that is in none.

        Raises `DataError` for an absent column, a missing group, a group in two official splits, an empty split, a
        stratum with fewer groups than splits, or single samples to be held out where no sample has a group.
        """
        if len(placed := self.placed(samples)) < len(samples):
            return {name: placed[rows] for name, rows in self.assign(samples.iloc[placed]).items()}
        groups = self.groups(samples)
        linked.require_apart(samples, self.by, groups, sum(share > 0 for share in self.shares.values()))
        strata = self._strata(samples, groups)
        rows = self._whole(samples, groups, strata)
        if self.buffer_km is not None and self.group_policy == "groups":
            rows = spatial.buffered(samples, rows, self.buffer_km)
        return rows if self.group_policy == "groups" else self._scattered(samples, groups, strata, rows)

    def _whole(self, samples: pd.DataFrame, groups: np.ndarray, strata: np.ndarray) -> SplitRows:
        if self.column is None:
            shares = {k: v for k, v in self.shares.items() if v > 0}
            return self._deal(np.arange(len(samples)), groups, strata, shares)
        rows = self._official(samples, groups)
        if "val" in rows or self.shares["val"] == 0:
            return rows
        carve = {"train": 1 - self.shares["val"], "val": self.shares["val"]}
        carved = self._deal(rows["train"], groups, strata, carve)
        return {**carved, **{k: v for k, v in rows.items() if k != "train"}}

    def _scattered(self, samples: pd.DataFrame, groups: np.ndarray, strata: np.ndarray, whole: SplitRows) -> SplitRows:
        """The same number of rows of each stratum in each split, whatever their group."""
        if self.column is None and len(set(groups)) == len(samples):
            raise DataError(
                "data.split.group_policy=samples: every sample is a group by itself, so that the split is random as it is; "
                "name the column that samples share in data.split.by"
            )
        home = np.full(len(samples), "", dtype=object)
        for name, rows in whole.items():
            home[rows] = name
        ids = np.array([stable_id(str(i)) for i in samples["id"]])
        order = np.argsort(keys(ids, self.seed, stable_id("hold")), kind="stable")
        dealt = home.copy()
        for stratum in set(strata):
            members = order[(strata[order] == stratum) & (home[order] != "")]
            dealt[members] = sorted(home[members])
        return {name: np.flatnonzero(dealt == name) for name in whole}

    def placed(self, samples: pd.DataFrame) -> np.ndarray:
        """The rows that are split: all, but by blocks of overlapping crops those in one; the others have pixels of two."""
        block = samples.attrs.get("overlapping")
        by_block = block in linked.columns(self.by)
        return np.flatnonzero(samples[block].notna()) if by_block else np.arange(len(samples))

    def ground(self) -> dict[str, float]:
        """What blocks of the ground are, for a record; empty without such."""
        sizes = {"block_km": self.block_km, "buffer_km": self.buffer_km}
        return {key: float(km) for key, km in sizes.items() if km is not None}

    def told(self, samples: pd.DataFrame, splits: SplitRows) -> list[str]:
        """What a run says of groups by several columns, and of blocks of the ground; nothing without such."""
        blocks = [] if self.block_km is None else [spatial.told(samples, splits, self.block_km, self.buffer_km)]
        return [*linked.told(samples, self.by), *blocks]

    @property
    def unit(self) -> str:
        """What a group is called: `individual`, `sample`, `group by site + individual`."""
        return linked.unit(self.by)

    def groups(self, samples: pd.DataFrame) -> np.ndarray:
        """(N,) str: the group of each row, see `linked.names`."""
        named = linked.columns(self.by)
        if spatial.COLUMN in named:
            spatial.require_coordinates(samples)
        there = [linked.known(_column(samples, column, "data.split.by")) for column in named]
        if there and (alone := ~np.any(there, axis=0)).any():
            row = samples["id"].iloc[int(alone.argmax())]
            raise DataError(
                f"data.split.by: sample {row!r} has no {' and no '.join(named)}; give it one, leave it out, or let it be a group "
                f"by itself: {linked.typed([*named, 'id'])}"
            )
        return linked.names(samples, self.by)

    def _strata(self, samples: pd.DataFrame, groups: np.ndarray) -> np.ndarray:
        if self.stratify is None:
            return np.full(len(samples), "", dtype=object)
        column = _column(samples, self.stratify, "data.split.stratify")
        values = column.astype(object).where(column.notna(), NO_STRATUM).map(str).to_numpy(dtype=object)
        first: dict[str, str] = {}
        for group, value in zip(groups, values, strict=True):
            if first.setdefault(group, value) != value:
                raise DataError(
                    f"data.split.stratify: {self.unit} {group!r} has {self.stratify} {first[group]!r} and {value!r}; "
                    f"stratify by a column that is constant within a {self.unit}, or set data.split.stratify=null"
                )
        return values

    def _official(self, samples: pd.DataFrame, groups: np.ndarray) -> SplitRows:
        column = _column(samples, str(self.column), "data.split.column")
        names = np.array([OFFICIAL.get(str(v).lower(), str(v).lower()) for v in column], dtype=object)
        for i, name in enumerate(names):
            if name not in NAMES:
                row = samples["id"].iloc[i]
                raise DataError(
                    f"data.split.column: sample {row!r} has {self.column} {column.iloc[i]!r}, not train, val or test"
                )
        seen: dict[str, str] = {}
        for group, name in zip(groups, names, strict=True):
            if seen.setdefault(group, name) != name:
                raise DataError(
                    f"data.split: {self.unit} {group!r} is in both {seen[group]} and {name} of column {self.column}"
                )
        rows = {name: np.flatnonzero(names == name) for name in NAMES if (names == name).any()}
        if "train" not in rows:
            raise DataError(f"data.split.column: no row has {self.column} 'train'")
        return rows

    def _deal(self, rows: np.ndarray, groups: np.ndarray, strata: np.ndarray, shares: dict[str, float]) -> SplitRows:
        members: dict[str, list[str]] = {}
        for group, stratum in sorted({(groups[i], strata[i]) for i in rows}):
            members.setdefault(stratum, []).append(group)
        home: dict[str, str] = {}
        for stratum, names in sorted(members.items()):
            if len(names) < len(shares):
                if stratum != NO_STRATUM or len(members) == 1:  # a few without a label are no class
                    self._refuse(stratum, names, shares)
                home.update(dict.fromkeys(names, "train"))
                continue
            order = np.argsort(keys(np.array([stable_id(n) for n in names]), self.seed), kind="stable")
            ends = np.cumsum(_quotas(len(names), list(shares.values())))
            for place, i in enumerate(order):
                home[names[i]] = list(shares)[int(np.searchsorted(ends, place, side="right"))]
        where = np.array([home[groups[i]] for i in rows], dtype=object)
        result = {name: rows[where == name] for name in shares}
        for name, found in result.items():
            if not len(found):
                raise DataError(
                    f"data.split: {name} is empty; {len(members)} strata were all put into train by min_class_policy=train"
                )
        return result

    def _refuse(self, stratum: str, names: Sequence[str], shares: dict[str, float]) -> None:
        if self.min_class_policy == "train" and self.stratify:
            return
        what = f"{self.stratify} {stratum!r}" if self.stratify else "the data set"
        choices = (
            "set data.split.min_class_policy=train, data.split.stratify=null, or leave it out"
            if self.stratify
            else "set a share to 0"
        )
        there = linked.counted(len(names), self.by)
        raise DataError(
            f"data.split: {what} has {there} ({names[0]!r}{', …' if len(names) > 1 else ''}), too few for "
            f"{', '.join(shares)}: at least {len(shares)}; {choices}"
        )


def _quotas(count: int, shares: Sequence[float]) -> list[int]:
    """Whole numbers that add up to `count` in proportion to `shares`, each at least 1 (largest remainders)."""
    exact = np.array(shares) / sum(shares) * count
    quotas = np.maximum(np.floor(exact + 1e-9).astype(int), 1)
    while quotas.sum() != count:
        gap = exact - quotas
        if quotas.sum() < count:
            quotas[int(gap.argmax())] += 1
        else:
            quotas[int(np.where(quotas > 1, gap, np.inf).argmin())] -= 1
    return [int(q) for q in quotas]


def _column(samples: pd.DataFrame, name: str, where: str) -> pd.Series:
    if name not in samples:
        near = samples.attrs.get(INSTEAD, {}).get(name)
        hint = f" (nearest: {near or nearest(name, map(str, samples.columns))[0]})"
        raise DataError(f"{where}: no column {name!r}; there are {', '.join(map(str, samples.columns))}{hint}")
    return samples[name]

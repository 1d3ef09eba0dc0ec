"""Individuals are known by what their rows share, whatever their column is called; innocent columns stay silent."""

import numpy as np
import pandas as pd
import pytest

from multimodal_lab.data.audit import groups
from multimodal_lab.data.audit.membership import parts
from multimodal_lab.data.audit.spelling import key, series

NAMES = [
    "ring", "tag", "ID", "tree", "colony", "family", "oiseau", "Tier", "subject", "animal_id", "plant", "Vogel", "code",
    "nummer", "X", "ring_no", "who", "brood", "pair", "matricule", "chick", "unit", "pájaro", "kuikuko", "b", "鳥", "owner",
]  # fmt: skip
N = 240


def dealt(seed, each=3, classes=2, n=N):
    """who (n,), kind (n,) of each of who, and a split of single rows."""
    rng = np.random.default_rng(seed)
    who = rng.permutation(np.arange(n) // each) if each else rng.integers(0, n // 4, n)
    kind = rng.integers(0, classes, n)[who]
    home = rng.permutation(n)
    return rng, who, kind, {"train": home[: n // 2], "val": home[n // 2 : 2 * n // 3], "test": home[2 * n // 3 :]}


def found(values, kind, splits, name="x", by=None):
    table = pd.DataFrame({"id": [f"q{i}" for i in range(len(kind))], name: values})
    own = parts(splits, table, np.arange(len(kind)) if by is None else by, None)
    return [*groups.leaks(table, own, [name], {"kind": kind})]


@pytest.mark.parametrize("each", [2, 8, 0], ids=["2 rows", "8 rows", "1 to 10 rows"])
@pytest.mark.parametrize("name", NAMES)
def test_individuals_of_any_name_are_found(name, each):
    _, who, kind, splits = dealt(NAMES.index(name), each)
    (finding,) = found([f"n{w:03d}" for w in who], kind, splits, name)
    assert (finding.kind, finding.where) == ("group leak", name)
    if name in ("ring", "tag", "ID", "tree", "colony", "family", "oiseau", "Tier", "subject"):
        assert finding.void
    if name in ("who", "X", "unit", "鳥"):
        assert not finding.void
        assert "share their kind (100% of pairs, of any two rows 5" in finding.sentence


INNOCENT = {
    "class": lambda rng, kind, n: kind,
    "class of two and a half": lambda rng, kind, n: np.where(rng.random(n) < 0.2, "c", kind.astype(str)),
    "fine class": lambda rng, kind, n: kind * 2 + rng.integers(0, 2, n),
    "constant": lambda rng, kind, n: np.full(n, 7),
    "unique": lambda rng, kind, n: [f"u{i}" for i in range(n)],
    "nearly unique": lambda rng, kind, n: rng.integers(0, 4 * n, n),
    "size": lambda rng, kind, n: rng.normal(60, 12, n).round().astype(int),
    "size that goes with the kind": lambda rng, kind, n: (50 + 20 * kind + rng.normal(0, 8, n)).round().astype(int),
    "size that tells the kind": lambda rng, kind, n: (50 + 100 * kind + rng.normal(0, 8, n)).round().astype(int),
    "count": lambda rng, kind, n: rng.poisson(6, n),
    "year": lambda rng, kind, n: rng.integers(1900, 2000, n),
    "hour": lambda rng, kind, n: rng.integers(0, 24, n),
    "day": lambda rng, kind, n: [f"2021-05-{1 + d:02d}" for d in rng.integers(0, 12, n)],
    "day of the year": lambda rng, kind, n: rng.integers(1, 366, n),
    "clock": lambda rng, kind, n: [f"{h:02d}:{m:02d}" for h, m in zip(rng.integers(6, 20, n), 5 * rng.integers(0, 12, n))],
    "box": lambda rng, kind, n: [f"box {b}" for b in rng.integers(0, 40, n)],
    "boxes of four": lambda rng, kind, n: [f"box {b}" for b in rng.permutation(np.arange(n) // 4)],
    "town": lambda rng, kind, n: rng.choice(list("abcdefghijklmnopq"), n),
    "caption": lambda rng, kind, n: [f"a {'bird' if k else 'moth'} of brood {b}" for k, b in zip(kind, rng.integers(0, 40, n))],
    "truth": lambda rng, kind, n: rng.random(n) < 0.5,
    "rank": lambda rng, kind, n: rng.permutation(n) // 5,
    "grid": lambda rng, kind, n: rng.integers(0, 12, n) * 100,
    "note": lambda rng, kind, n: rng.choice(["", "ok", "blurred", "flash", "dark", "wet", "torn", "old", "dirty"], n),
    "mostly missing": lambda rng, kind, n: np.where(rng.random(n) < 0.9, None, rng.integers(0, 9, n).astype(str)),
}  # fmt: skip


def test_innocent_columns_are_silent():
    """24 shapes, 12 sets each: at most one alarm in a hundred."""
    alarms = []
    for shape, make in INNOCENT.items():
        for seed in range(12):
            rng, _, kind, splits = dealt(seed, each=1, classes=2 + seed % 3)
            alarms += [(shape, seed, f.sentence) for f in found(make(rng, kind, N), kind, splits)]
    assert len(alarms) <= len(INNOCENT) * 12 // 100, alarms


def test_what_images_of_one_individual_share_says_nothing_of_others():
    """Split by individual, of which each has one size, one day, …: equal ones of two individuals are chance."""
    alarms = []
    for shape, make in INNOCENT.items():
        for seed in range(6):
            rng, who, kind, _ = dealt(seed, each=4)
            first = np.unique(who, return_index=True)[1]
            own = rng.permutation(len(first))[who] % 10
            splits = {"train": np.flatnonzero(own < 6), "test": np.flatnonzero(own >= 6)}
            values = np.array(make(rng, kind[first], len(first)), dtype=object)[who]
            alarms += [
                (shape, seed, f.sentence) for f in found(pd.Series(values).infer_objects(), kind, splits, by=who)
            ]
    assert len(alarms) <= len(INNOCENT) * 6 // 100, alarms


SAME = [
    ("B007", "B7"), ("é12", "e12"), ("José", "Jose\u0301"), ("12/A", "12-A"), ("12A", "12-a"), ("AMNH-12", "AMNH12"),
    ("Ring 77", "ring_77"), ("#12", "12"), ("0012", "12"),
]  # fmt: skip
OTHER = [
    ("B7", "B17"),
    ("12A", "12B"),
    ("1-2", "12"),
    ("1.05", "1.5"),
    ("B70", "B7"),
    ("A+", "A-"),
    ("m12", "n12"),
    ("か", "が"),
]


@pytest.mark.parametrize(("a", "b"), [*SAME, *OTHER])
def test_spellings_of_one_individual(a, b):
    assert (key(a) == key(b)) is ((a, b) in SAME)
    _, who, kind, splits = dealt(0)
    home = np.full(N, 2)
    home[splits["train"]], home[splits["val"]] = 0, 1
    names = np.array([f"z{100 + w}-{'abc'[h]}" for w, h in zip(who, home)], dtype=object)
    names[splits["train"][:3]], names[splits["test"][:3]] = a, b
    said = found(names, kind, splits, "subject")
    assert [f.void for f in said] == ([False] if (a, b) in SAME else [])
    if said:
        assert repr(a) in said[0].sentence


def test_a_last_number_counts_within_one_individual_only_where_rows_share_a_label():
    assert series("owl012_1") == series("owl012_2") == key("owl012")
    assert series("nest_1") != series("nest_2")
    for seed in range(6):
        rng, who, kind, splits = dealt(seed, each=4)
        turn = np.zeros(N, dtype=int)
        for w in np.unique(who):
            turn[who == w] = np.arange(4)
        owls = [f"owl{w:03d}_{t + 1}" for w, t in zip(who, turn)]
        assert [f.void for f in found(owls, kind, splits, "subject")] == [False]
        anew = rng.integers(0, 2, N)
        assert not found(owls, anew, splits, "subject")  # plots, and one of each plant
        years = [f"{2000 + i % 5}_{i // 5}" for i in range(N)]
        assert not found(years, kind, splits, "subject")
        table = pd.DataFrame({"id": [f"{o}.png" for o in owls]})
        (one,) = groups.alike(parts(splits, table, np.arange(N), None), {"kind": kind})
        assert one.kind == "id"
        assert not [*groups.alike(parts(splits, table, np.arange(N), None), {"kind": anew})]

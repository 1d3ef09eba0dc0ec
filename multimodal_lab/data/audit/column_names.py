"""Guess the role of a sample table's columns (subject, acquisition) from their names."""

from __future__ import annotations

import re
from collections.abc import Collection

import numpy as np
import pandas as pd

IDENTITY = frozenset(
    [
        "individual",
        "individuals",
        "specimen",
        "subject",
        "patient",
        "participant",
        "person",
        "animal",
        "bird",
        "fish",
        "mouse",
        "rat",
        "donor",
        "speaker",
        "actor",
        "video",
        "clip",
        "recording",
        "film",
        "radiograph",
        "scan",
        "exam",
        "slide",
        "nest",
        "litter",
        "twin",
        "clone",
        "voucher",
    ]
)
NUMBERED = frozenset(
    [
        "id",
        "ids",
        "no",
        "nr",
        "num",
        "number",
        "name",
        "code",
        "key",
        "uid",
        "index",
        "museum",
        "catalog",
        "catalogue",
        "ring",
        "band",
        "tag",
    ]
)
HOW = frozenset(
    [
        "batch",
        "plate",
        "run",
        "session",
        "site",
        "locality",
        "locale",
        "location",
        "place",
        "island",
        "station",
        "plot",
        "transect",
        "country",
        "region",
        "camera",
        "device",
        "sensor",
        "scanner",
        "instrument",
        "spectrometer",
        "spectrograph",
        "machine",
        "detector",
        "lens",
        "lamp",
        "illuminant",
        "observer",
        "operator",
        "photographer",
        "annotator",
        "rater",
        "technician",
        "author",
        "institution",
        "museum",
        "hospital",
        "centre",
        "center",
        "lab",
        "clinic",
        "collection",
        "source",
        "folder",
        "day",
        "date",
        "month",
        "year",
        "season",
        "tray",
        "drawer",
        "rack",
        "well",
        "lot",
        "chip",
        "lane",
        "flight",
        "orbit",
        "scene",
        "tile",
        "visit",
    ]
)
NOT_HOW = frozenset(["type", "class", "kind", "species", "sex", "label"])
# who or what a sample may be of, where its rows say so too: see `individuals`
MAYBE_WHO = frozenset(
    re.findall(
        r"\w+",
        "ring band tag id ids colony family tree plant brood clutch pair herd flock hive pup chick host parent mother "
        "tier vogel individuum tiernummer ringnummer baum pflanze proband oiseau individu sujet bague arbre plante matricule "
        "ave pájaro pajaro individuo sujeto anillo árbol arbol planta animale uccello albero fugl fågel lintu",
    )
)
# names of classes, which several individuals share
CLASS = frozenset(
    ["class", "label", "category", "target", "kind", "type", "species", "subspecies", "genus", "taxon", "sex"]
)
RANKS = frozenset(["kingdom", "phylum", "class", "order", "family", "tribe", "genus", "species", "subspecies", "taxon"])


def words(column: str) -> list[str]:
    """`museum_no`, `MuseumNo` and `museum no` are museum and no."""
    spaced = re.sub(r"(?<=[a-z0-9])(?=[A-Z])", " ", column)
    return [w for w in re.split(r"[\W_]+", spaced.lower()) if w]


def is_identity(column: str) -> bool:
    """Whether a column's name says of whom or what a sample is."""
    found = set(words(column))
    return bool(found & IDENTITY) and found <= IDENTITY | NUMBERED


def is_how(column: str) -> bool:
    """Whether a column's name says where, when or with what a sample was taken."""
    found = words(column)
    return not HOW.isdisjoint(found) and found[-1] not in NOT_HOW


def may_be_identity(column: str) -> bool:
    """Whether a column's name may say of whom or what a sample is: `ring`, `ID`, `oiseau`."""
    found = set(words(column))
    return bool(found & (IDENTITY | MAYBE_WHO)) and found <= IDENTITY | MAYBE_WHO | NUMBERED


def is_class(column: str) -> bool:
    """Whether a column's name says that its values are classes."""
    return not CLASS.isdisjoint(words(column))


def same_meaning(label: str, column: str) -> bool:
    """Whether a column's name says that it names a label's classes anew, finer or coarser: `kind` and `kind_id`, ranks."""
    a, b = set(words(label)), set(words(column))
    return bool(a & b) or bool(b & CLASS and b <= CLASS | NUMBERED) or bool(a & RANKS and b & RANKS)


def classes(table: pd.DataFrame, skip: Collection[str]) -> list[str]:
    """The columns that sort samples: with two values at least, and one of them in two rows; no lists, no fractions."""
    return [str(c) for c in table.columns if str(c) not in skip and _sorts(table[c])]


def _sorts(column: pd.Series) -> bool:
    known = column.dropna()
    if pd.api.types.is_float_dtype(column) and (known % 1 != 0).any():
        return False
    if known.map(lambda v: isinstance(v, list | tuple | set | dict | np.ndarray)).any():
        return False
    return 2 <= known.nunique() < len(known)

"""Guess the role of a sample table's columns (subject, acquisition) from their names."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Collection

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
VIEWS = "left|right|dorsal|ventral|lateral|front|back|top|bottom"
MADE = r"copy|kopie|copie|dup|duplicate|aug(?:mented)?\d*|flip(?:ped)?|rot(?:ated)?\d*|crop(?:ped)?\d*"
# each run of marks is looked at once, from its beginning, so that the time is linear whatever stands there
_TAIL = re.compile(rf"(?:(?<![\s_.-])[\s_.-]++(?:{VIEWS}|{MADE})|(?<!\s)\s*+\(\d++\))$")
_LONGEST = 1000  # letters at the end of a name that are looked at for tails
_SUFFIX = re.compile(r"\.(?:tiff?|png|jpe?g|npy|bil|bip|bsq|img|wav|flac|ogg|mp4)$")


def words(column: str) -> list[str]:
    """`museum_no`, `MuseumNo` and `museum no` are museum and no."""
    spaced = re.sub(r"(?<=[a-z0-9])(?=[A-Z])", " ", column)
    return [w for w in re.split(r"[^a-z0-9]+", spaced.lower()) if w]


def is_identity(column: str) -> bool:
    """Whether a column's name says of whom or what a sample is."""
    found = set(words(column))
    return bool(found & IDENTITY) and found <= IDENTITY | NUMBERED


def is_how(column: str) -> bool:
    """Whether a column's name says where, when or with what a sample was taken."""
    found = words(column)
    return not HOW.isdisjoint(found) and found[-1] not in NOT_HOW


def plain(name: str) -> str:
    """A name without case, accents' encoding, spaces and punctuation: two spellings of one thing are equal."""
    return re.sub(r"[\s_.,;:()\[\]-]+", " ", unicodedata.normalize("NFKC", name).casefold()).strip()


def stem(name: str) -> str:
    """A sample's name without what tells views, copies and augmented versions of one thing apart."""
    found = _SUFFIX.sub("", unicodedata.normalize("NFKC", name).casefold().strip())
    head, found = found[:-_LONGEST], found[-_LONGEST:]
    while (shorter := _TAIL.sub("", found)) != found and shorter:
        found = shorter
    return plain(head + found)


def classes(table: pd.DataFrame, skip: Collection[str]) -> list[str]:
    """The columns that sort samples: with two values at least, and one of them in two rows; no lists, no fractions."""
    return [str(c) for c in table.columns if str(c) not in skip and _sorts(table[c])]


def _sorts(column: pd.Series) -> bool:
    known = column.dropna()
    if pd.api.types.is_float_dtype(column) and (known % 1 != 0).any():
        return False
    if known.map(lambda v: isinstance(v, list | tuple | set | dict)).any():
        return False
    return 2 <= known.nunique() < len(known)

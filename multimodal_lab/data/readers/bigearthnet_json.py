"""Labels, pairs and places of BigEarthNet's first version: a JSON file in the folder of each patch."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pandas as pd

from multimodal_lab.data.readers.bigearthnet_facts import DROPPED, NINETEEN, RENAMED
from multimodal_lab.data.readers.folder import readable
from multimodal_lab.data.source import DataError
from multimodal_lab.text import some

ENDING = "_labels_metadata.json"
EPSG = re.compile(r'AUTHORITY\["EPSG","(\d+)"\]\]$')
# Published lists of names, one a line: of patches to leave out, and of the official splits.
FLAGGED = {"contains_seasonal_snow": "patches_with_seasonal_snow.csv",
           "contains_cloud_or_shadow": "patches_with_cloud_and_shadow.csv"}  # fmt: skip
SPLITS = {"train": "train.csv", "val": "val.csv", "test": "test.csv"}


def from_json(root: Path, folders: Mapping[str, Mapping[str, str]], metadata: str) -> tuple[pd.DataFrame, list[str]]:
    """One row a Sentinel-2 patch: patch_id, s1_name, labels (of the nineteen), crs and bounds, and, where their lists are in
    `root`, the flags and `split`; what to tell of them.

    A Sentinel-1 patch names its pair by `corresponding_s2_patch`. Patches whose labels were all left out of the nineteen are
    left out, as in the published splits; a label that is none of the 43 is a `DataError`.
    """
    first = next(iter(folders["s2"].values()))
    if not (root / _json(first)).is_file():
        raise DataError(
            f"{root}: neither {metadata}, as of version 2, nor {_json(first)}, as of version 1; one has the labels"
        )
    pairs = {str(_read(root, f)["corresponding_s2_patch"]): name for name, f in folders["s1"].items()}
    rows, without = [], []
    for name, folder in folders["s2"].items():
        facts = _read(root, folder)
        labels = _nineteen(facts.get("labels", []), name)
        if not labels:
            without.append(name)
            continue
        rows.append({"patch_id": name, "s1_name": pairs.get(name), "labels": labels, **_place(facts, name)})
    if not rows:
        raise DataError(f"{root}: none of {len(without)} patches has a label of the nineteen")
    said = f"{len(without)} patches have none of the nineteen labels and are left out: {some(without)}"
    table, notes = pd.DataFrame(rows), [said] if without else []
    for column, file in FLAGGED.items():
        names = _listed(root / file)
        table[column] = table["patch_id"].isin(names or set())
        notes += [f"{root.name}: no list {file}; all of its patches are taken to be without"] if names is None else []
    splits = {split: names for split, file in SPLITS.items() if (names := _listed(root / file)) is not None}
    if splits:
        home = {name: split for split, names in splits.items() for name in names}
        table["split"] = table["patch_id"].map(home)
        inside = table["split"].notna()
        if not inside.all():
            gone = some(list(table["patch_id"][~inside]))
            notes.append(f"{(~inside).sum()} patches stand in no list of a split and are left out: {gone}")
        table = table[inside].reset_index(drop=True)
    return table, notes


def _read(root: Path, folder: str) -> dict[str, Any]:
    name = _json(folder)
    with readable(name, "JSON file"):
        found: dict[str, Any] = json.loads((root / name).read_text(encoding="utf-8"))
    return found


def _json(folder: str) -> str:
    return f"{folder}/{folder.rpartition('/')[2]}{ENDING}"


def _nineteen(labels: list[str], patch: str) -> list[str]:
    """The classes of the second nomenclature, in its order; `DataError` for a name of neither."""
    known = {*NINETEEN, *RENAMED, *DROPPED}
    if unknown := [name for name in labels if name not in known]:
        raise DataError(
            f"{patch}: label {unknown[0]!r} is none of the 43 of BigEarthNet's first version, nor of the nineteen"
        )
    return sorted({RENAMED.get(name, name) for name in labels} - DROPPED)


def _place(facts: dict[str, Any], patch: str) -> dict[str, Any]:
    """crs, left, bottom, right, top, as the file has them."""
    with readable(f"{patch}{ENDING}", "place (coordinates and projection)"):
        at, code = facts["coordinates"], EPSG.search(facts["projection"])
        bounds = {"left": at["ulx"], "bottom": at["lry"], "right": at["lrx"], "top": at["uly"]}
        return {"crs": f"EPSG:{code[1]}" if code else None, **{k: float(v) for k, v in bounds.items()}}


def _listed(file: Path) -> set[str] | None:
    """The names in a list, one a line; None where there is no such file."""
    if not file.is_file():
        return None
    with readable(file.name, "list of patches"):
        return {line.split(",")[0].strip() for line in file.read_text(encoding="utf-8").splitlines()} - {""}

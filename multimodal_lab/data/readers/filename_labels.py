"""Labels parsed from file and folder names, only where the pattern is unambiguous."""

from __future__ import annotations

import re
from collections import Counter
from pathlib import PurePosixPath

import pandas as pd

from multimodal_lab.data.readers.folder import some
from multimodal_lab.data.split.split import NAMES, OFFICIAL

# An individual's number is unique within its species only, so `individual` takes the species in.
PRESETS = {
    "birds": r"(?P<individual>(?P<species>[^_]+_[^_]+)_[^_]+)_(?P<sex>[MFU])(?:_(?P<view>[^_]+))?(?:_.*)?",
    "lepidoptera": r"(?P<individual>(?P<species>.+)_\d+)(?P<view>[A-Za-z])_(?P<date>\d{6})",
}
FOLDER = "folder"
HOW = (
    "give them with data.source.labels.pattern=birds (or lepidoptera, or a regular expression with named groups), "
    "data.source.labels.folders=[species] or data.source.labels.table=FILE"
)


def infer(samples: pd.DataFrame) -> tuple[pd.DataFrame, str]:
    """Label columns of a table of files (`id`, `path`), none where the files don't say, and the sentence that tells.

    A preset is taken if every file name matches it and no other; else the column `folder` if every file stands in
    exactly one folder below the root, with at least two folders of at least two files, none called like a split.
    """
    names = [PurePosixPath(i).name for i in samples["id"]]
    matches = {p: [re.fullmatch(regex, n) for n in names] for p, regex in PRESETS.items()}
    whole = [p for p, found in matches.items() if all(found)]
    if len(whole) == 1:
        rows = [m.groupdict() for m in matches[whole[0]] if m]
        made = pd.DataFrame(rows, columns=list(re.compile(PRESETS[whole[0]]).groupindex))
        told = f"labels from file names: all {len(names)} match data.source.labels.pattern={whole[0]}"
        return made, f"{told} ({', '.join(made.columns)})"
    doubt = f"every file name matches {' and '.join(whole)}" if whole else _partly(names, matches)
    folders, reason = _folders(list(samples["path"]))
    if folders is not None and not whole:
        said = f"labels from folders: each of the {len(set(folders))} folders is taken for a class of `{FOLDER}`"
        hint = "if they are something else, say what: data.source.labels.folders=[individual]"
        return pd.DataFrame({FOLDER: folders}), f"{said}; {hint}"
    return pd.DataFrame(index=samples.index), f"no labels from file names: {doubt}; {reason}; {HOW}"


def _partly(names: list[str], matches: dict[str, list[re.Match[str] | None]]) -> str:
    counts = {p: sum(m is not None for m in found) for p, found in matches.items()}
    best = max(counts, key=lambda p: counts[p])
    if not counts[best]:
        return f"none matches a preset ({', '.join(PRESETS)})"
    rest = [n for n, m in zip(names, matches[best], strict=True) if m is None]
    return f"{counts[best]} of {len(names)} match {best}, but not {some(rest)}"


def _folders(paths: list[str]) -> tuple[list[str] | None, str]:
    """The folder of each file if folders are classes, and why they aren't."""
    parents = [PurePosixPath(p).parts[:-1] for p in paths]
    if not all(len(p) == 1 for p in parents):
        flat = not any(parents)
        return None, "all lie in one folder" if flat else "not every file lies in exactly one folder below the root"
    folders = [p[0] for p in parents]
    counts = Counter(folders)
    splits = sorted(f for f in counts if f.lower() in {*NAMES, *OFFICIAL})
    if splits:
        said = "data.source.labels.folders=[split] data.split.column=split follows them"
        return None, f"folder {some(splits)} is called like a split ({said})"
    alone = sorted(f for f, n in counts.items() if n < 2)
    if len(counts) < 2 or alone:
        return None, f"folder {some(alone)} holds one file" if alone else "all lie in one folder"
    return folders, ""

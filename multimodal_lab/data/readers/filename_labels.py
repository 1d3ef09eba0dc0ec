"""Labels parsed from file and folder names, only where the pattern is unambiguous."""

from __future__ import annotations

import re
from collections import Counter
from pathlib import PurePosixPath

import pandas as pd

from multimodal_lab.data.source import DataError
from multimodal_lab.data.split.split import NAMES, OFFICIAL
from multimodal_lab.text import Pattern, some

# An individual's number is unique within its species only, so `individual` takes the species in.
PRESETS = {
    "birds": r"(?P<individual>(?P<species>[^_]+_[^_]+)_[^_]+)_"
    r"(?P<sex>(?i:[MFU]|male|female|unknown))(?:_(?P<view>[^_]+))?(?:_.*)?",
    "lepidoptera": r"(?P<individual>(?P<species>.+)_\d+)(?P<view>[A-Za-z])_(?P<date>\d{6})",
}
MOST = 0.9  # share of the names that must match a preset
FIELD = re.compile(r"\{([A-Za-z_]\w*)\}")
FOLDER, GROUP = "folder", "individual"
KEY = "data.source.labels.pattern"
HOW = (
    "give them with data.source.labels.pattern=birds (or lepidoptera, a template such as '{species}_{individual}', or a "
    "regular expression with named groups), data.source.labels.folders=[species] or data.source.labels.table=FILE"
)


def compiled(pattern: str) -> Pattern:
    """A preset, a template or a regular expression, compiled; `DataError` for what is none or names no label."""
    regex = Pattern(PRESETS.get(pattern) or _template(pattern) or pattern, KEY, DataError)
    if not regex.groups:
        raise DataError(
            f"data.source.labels.pattern: {pattern!r} names no label; presets: {', '.join(PRESETS)}; or use {{name}}, (?P<name>…)"
        )
    return regex


def parsed(regex: Pattern, samples: pd.DataFrame, whole_path: bool = False) -> tuple[pd.DataFrame, list[str]]:
    """The groups of every file's name without suffix (whole_path: with its folders), and the paths that don't match.

    Those have no labels, and where `individual` is one, each counts as an individual by itself, called by its name.
    """
    names = [str(i) if whole_path else PurePosixPath(i).name for i in samples["id"]]
    found = [regex.fullmatch(n) for n in names]
    made = pd.DataFrame([m.groupdict() if m else {} for m in found], columns=regex.groups, index=samples.index)
    if GROUP in made:
        made[GROUP] = made[GROUP].where(made[GROUP].notna(), samples["id"])
    return made, [path for path, m in zip(samples["path"], found) if m is None]


def infer(samples: pd.DataFrame) -> tuple[pd.DataFrame, str]:
    """Label columns of a table of files (`id`, `path`), none where the files don't say, and the sentence that tells.

    A preset is taken if it alone matches nine of ten file names, the others being unlabelled; else the column `folder`
    if every file stands in exactly one folder below the root, with at least two folders of at least two files, none
    called like a split.
    """
    names = [PurePosixPath(i).name for i in samples["id"]]
    rest = {p: parsed(Pattern(regex, KEY, DataError), samples) for p, regex in PRESETS.items()}
    taken = [p for p, (_, left) in rest.items() if len(left) <= (1 - MOST) * len(names)]
    if len(taken) == 1:
        made, left = rest[taken[0]]
        count = f"all {len(names)} match" if not left else f"{len(names) - len(left)} of {len(names)} match"
        told = f"labels from file names: {count} data.source.labels.pattern={taken[0]} ({', '.join(made.columns)})"
        others = f"; unlabelled, each an individual by itself: {some(left)}" if left else ""
        return made, told + others
    doubt = f"every file name matches {' and '.join(taken)}" if taken else _partly(rest, len(names))
    folders, reason = _folders(list(samples["path"]))
    if folders is not None and not taken:
        said = f"labels from folders: each of the {len(set(folders))} folders is taken for a class of `{FOLDER}`"
        hint = "if they are something else, say what: data.source.labels.folders=[individual]"
        return pd.DataFrame({FOLDER: folders}), f"{said}; {hint}"
    return pd.DataFrame(index=samples.index), f"no labels from file names: {doubt}; {reason}; {HOW}"


def _template(pattern: str) -> str | None:
    """`{species}_{sex}` as a regular expression; a field holds none of the marks that separate the fields."""
    pieces = FIELD.split(pattern)
    if len(pieces) == 1 or "(?P<" in pattern:
        return None
    if "" in pieces[2:-1:2]:
        raise DataError(f"data.source.labels.pattern: {pattern!r} has two fields with nothing between them")
    marks = "".join(sorted({c for text in pieces[::2] for c in text if not c.isalnum()} - {"/"}))
    field = f"[^{re.escape(marks)}/]+"
    return "".join(f"(?P<{p}>{field})" if i % 2 else re.escape(p) for i, p in enumerate(pieces))


def _partly(rest: dict[str, tuple[pd.DataFrame, list[str]]], total: int) -> str:
    best = min(rest, key=lambda p: len(rest[p][1]))
    left = rest[best][1]
    if len(left) == total:
        return f"none matches a preset ({', '.join(PRESETS)})"
    return f"{total - len(left)} of {total} match {best}, but not {some(left)}"


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

"""Splits as folders: the words that data sets of Hugging Face and others call them by."""

from __future__ import annotations

from pathlib import PurePosixPath

from multimodal_lab.data.split.split import NAMES, OFFICIAL

# The words that the library `datasets` takes for splits in names of folders: those of a column, and two more.
SPLITS = {**dict(zip(NAMES, NAMES)), **OFFICIAL, "eval": "test", "evaluation": "test"}


def split_of(path: str) -> str | None:
    """The split that the first folder of its name on the way to a file says; None where there is no such folder."""
    folders = PurePosixPath(path.replace("\\", "/")).parts[:-1]
    return next((SPLITS[name.lower()] for name in folders if name.lower() in SPLITS), None)

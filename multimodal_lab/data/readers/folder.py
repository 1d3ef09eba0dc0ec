"""List the files of a data set, and confine referenced paths to its folder."""

from __future__ import annotations

import os
import re
import unicodedata
from collections.abc import Collection, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path, PurePosixPath, PureWindowsPath
from typing import NamedTuple

import pandas as pd

from multimodal_lab.data.readers.name_match import look_up
from multimodal_lab.data.source import DataError
from multimodal_lab.files import read_failure
from multimodal_lab.text import some

LINKED: set[Path] = set()  # folders of links that this process has made, to files that its user named
PICTURES = {f".{s}" for s in re.findall(r"\w+", """png jpg jpeg jpe jfif tif tiff webp bmp dib gif ppm pgm pnm jp2 avif
                heic heif psd ico tga exr svg nef cr2 cr3 arw dng orf raf rw2""")}  # fmt: skip


class NoFile(DataError):
    """A file that a table names is not there."""


def existing(root: str) -> Path:
    """`root` as an absolute path without links; `DataError` if it is not a folder."""
    path = Path(root).expanduser().resolve()
    if not path.is_dir():
        raise DataError(f"data.root: {path} is {'a file, not a folder' if path.exists() else 'not there'}")
    return path


def placed(root: Path, places: Sequence[str], name: str) -> str | None:
    """The path below `root` of the file `name` in the first of these folders that has it ("" is `root` itself)."""
    return next((f"{place}/{name}".lstrip("/") for place in places if os.path.isfile(root / place / name)), None)


def find(root: Path, suffixes: Sequence[str]) -> list[str]:
    """Paths relative to `root`, sorted, of the files below it that end in one of `suffixes`, hidden ones left out.

    Raises `DataError` naming the folder and the suffixes if there is none, and what there is instead.
    """
    endings = tuple(s.lower() for s in suffixes)
    _seen[root] = _listed(root)
    paths = sorted(p for p, entry in _seen[root].files if p.lower().endswith(endings) and entry.is_file())
    if not paths:
        instead = "; ".join(left_out(root, (), endings))
        said = f"; {instead}" if instead else ""
        raise DataError(f"{root}: no file that ends in {', '.join(suffixes)}, there or in its subfolders{said}")
    return paths


def left_out(root: Path, taken: Collection[str], endings: Collection[str] = ()) -> list[str]:
    """What stands below `root` among the files `taken` and looks like a sample but isn't read, in sentences.

    What `find` listed just before is not listed again. That are links whose file is not there, pointers of DVC, what is no
    file (a pipe, a socket, a device), folders that are links or can't be opened, and pictures in formats that the reader
    doesn't take.
    """
    own = {os.path.splitext(p)[1].lower() for p in taken} | {*endings}
    have, found = set(taken), dict[str, list[str]]()
    listing = _seen.pop(root, None) or _listed(root)  # taken away: what is asked later is looked up anew
    for path, entry in listing.files:
        suffix = os.path.splitext(path)[1].lower()
        if entry.is_symlink() and entry.is_dir():
            found.setdefault("links to folders, which are not followed", []).append(path)
        elif path.endswith(".dvc") and not os.path.lexists(root / path[:-4]):
            found.setdefault("pointers of DVC without their files (dvc pull fetches them)", []).append(path)
        elif suffix not in own | PICTURES or path in have:
            continue
        elif not os.path.exists(entry.path):
            cure = "git annex get" if "annex" in os.readlink(entry.path) else "copy the files too"
            found.setdefault(f"links to files that are not there ({cure})", []).append(path)
        elif not entry.is_file():
            found.setdefault("pipes, sockets or devices, which are no files", []).append(path)
        elif suffix not in own and (own & PICTURES or not taken):  # beside other data, pictures are previews
            found.setdefault(f"files that end in {suffix}, which this reader does not take", []).append(path)
    if listing.closed:
        found["folders that can't be opened"] = listing.closed
    return [f"warning: left out: {len(paths)} {what}: {some(sorted(paths))}" for what, paths in found.items()]


class _Listing(NamedTuple):
    """Everything below a folder by its relative path, and the folders that can't be opened."""

    files: list[tuple[str, os.DirEntry[str]]]
    closed: list[str]


_seen: dict[Path, _Listing] = {}  # by the last `find`: a folder on a network is listed once a start


def _listed(root: Path) -> _Listing:
    closed: list[str] = []
    return _Listing(list(_walk(root, closed)), closed)


def _walk(root: Path, closed: list[str]) -> Iterator[tuple[str, os.DirEntry[str]]]:
    """Everything below `root` but folders that are no links, with its relative path; hidden ones are left out."""
    waiting = [""]
    while waiting:
        folder = waiting.pop()
        try:
            entries = list(os.scandir(root / folder))
        except OSError:
            closed.append(folder)
            continue
        for entry in entries:
            path = f"{folder}/{entry.name}" if folder else entry.name
            if entry.name.startswith("."):
                continue
            if entry.is_dir(follow_symlinks=False):
                waiting.append(path)
            else:
                yield path, entry


def inside(root: Path, name: object, where: str) -> Path:
    """The file below `root` that `name`, read from a file, means, also as another system writes it, see `look_up`;
    `DataError` naming `where` if it is elsewhere."""
    if not isinstance(name, str) or not name:
        raise DataError(f"{where}: expected a path relative to {root}, found {name!r}")
    elsewhere = PurePosixPath(name).is_absolute() or bool(PureWindowsPath(name).anchor) or "\0" in name
    if ".." in PurePosixPath(name.replace("\\", "/")).parts:
        raise DataError(f"{where}: {name!r} leaves {root} by '..'")
    known = name if not elsewhere and os.path.isfile(root / name) else None if "\0" in name else look_up(root, name)
    if known is None and elsewhere:
        raise DataError(f"{where}: {name!r} is an absolute path, expected one relative to {root}")
    path = root / (known or name)
    if root not in LINKED and not Path(os.path.realpath(path)).is_relative_to(root):
        raise DataError(f"{where}: {name!r} is a link that leaves {root}")
    if not os.path.isfile(path):
        raise NoFile(f"{where}: no file {name!r} in {root}")
    return path


def given(root: Path, name: str, key: str) -> Path:
    """The existing file that the config names, absolute or relative to `root`; `DataError` names the config's `key`."""
    path = root / Path(name).expanduser()
    if not os.path.isfile(path) and not Path(name).expanduser().is_absolute():
        path = root / (look_up(root, name) or name)
    if not os.path.isfile(path):
        link = " (a link to a file that is not there)" if os.path.islink(path) else ""
        raise DataError(f"{key}: no file {path}{link}")
    return path


@contextmanager
def readable(name: str, what: str) -> Iterator[None]:
    """Make a `DataError` that names the file of whatever a parser raises; on damaged files that can be anything."""
    try:
        yield
    except DataError:
        raise
    except Exception as error:
        if failure := read_failure(error):  # which says nothing of what the file holds
            raise DataError(f"{name}: can't be read: {failure.strerror or failure}") from error
        raise DataError(f"{name}: not a whole, readable {what}: {type(error).__name__}: {error}") from error


def counted(bad: int, total: int, what: str) -> str:
    """How many can't be read, and the key that goes on without them."""
    return f"{bad} of {total} {what} can't be read; data.on_error=skip goes on without, up to the share data.max_bad"


def table(paths: Sequence[str], suffixes: Sequence[str]) -> pd.DataFrame:
    """A table of samples with `id`, the path without its suffix, and `path`; two files of one name are refused."""
    # In one Unicode form: the same name has another on a disk of a Mac, and a split goes by these names.
    ids = [unicodedata.normalize("NFC", _without_suffix(p, suffixes)) for p in paths]
    samples = pd.DataFrame({"id": ids, "path": list(paths)})
    twice = samples[samples.id.duplicated(keep=False)].path.tolist()
    if twice:
        raise DataError(f"{some(twice)}: the same name with two suffixes, expected one file per sample")
    return samples


def _without_suffix(path: str, suffixes: Sequence[str]) -> str:
    return next(path[: len(path) - len(s)] for s in suffixes if path.lower().endswith(s.lower()))

"""What a command line asks by: the stream, and the queries; nothing is guessed where two fit."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from pathlib import Path

from multimodal_lab.data import kinds
from multimodal_lab.data.readers.audio_file import SUFFIXES as SOUNDS
from multimodal_lab.data.readers.images import SUFFIXES
from multimodal_lab.data.readers.video_file import SUFFIXES as VIDEOS
from multimodal_lab.data.source import DataError
from multimodal_lab.predict.expected import Expected
from multimodal_lab.text import beside, expected_one_of, is_blank

PATHS = ("/", "./", "../", "~/")
MOST = 1 << 24  # bytes of a file of queries


def asked(words: Mapping[str, str], named: Sequence[str], expected: Mapping[str, Expected]) -> tuple[str, list[str]]:
    """The stream, and its queries: of STREAM=QUERY (`named`), query=… or queries=FILE; `DataError` where it isn't clear."""
    if named:
        name, _, value = named[0].partition("=")
        if name not in expected:
            raise DataError(f"no stream {name!r} in this run; {expected_one_of(name, expected)}")
        return name, [_there("query", value)]
    if "query" in words:
        query = _there("query", words["query"])
        return stream_of(query, expected, "query"), [query]
    queries = _lines(Path(words["queries"]).expanduser())
    streams = {stream_of(query, expected, words["queries"]) for query in queries}
    if len(streams) > 1:
        raise DataError(f"{words['queries']}: queries of {' and '.join(sorted(streams))}, expected those of one stream")
    return streams.pop(), queries


def stream_of(query: str, expected: Mapping[str, Expected], where: str) -> str:
    """The only text stream, or for the path of a picture, a sound or a video the only stream of such."""
    texts = [name for name, one in expected.items() if one.is_text]
    images = [name for name, one in expected.items() if kinds.get(one.kind).spatial and one.steps is None]
    path = Path(query).expanduser()
    is_file, called = _is_file(path), path.suffix.lower() in SUFFIXES
    no_file = not is_file and (called or query.startswith(PATHS))
    if no_file and os.path.isdir(path):
        raise DataError(f"{where}={query}: a folder, expected words, or one file")
    if no_file and images:
        said = f"; as words: {texts[0]}={query}" if texts else ""
        raise DataError(f"{where}={query}: no such file{said}{beside(path)}")
    sounds = [name for name, one in expected.items() if one.is_sound]
    videos = [name for name, one in expected.items() if one.is_video]
    for suffixes, streams in ((SOUNDS, sounds), (VIDEOS, videos)):
        if path.suffix.lower() in suffixes and streams:
            if not is_file:
                raise DataError(f"{where}={query}: no such file")
            images, called = streams, True
    fit = [*(images if is_file else []), *([] if called and is_file else texts)]
    if len(fit) == 1:
        return fit[0]
    if not fit:
        has = ", ".join(expected)
        raise DataError(
            f"{where}={query}: this run has no stream of words, expected the path of a picture or a sound (it has {has})"
        )
    what = "a file and words" if is_file and not called else "what is of several streams"
    raise DataError(f"{where}={query}: {what}; say which: {' or '.join(f'{name}=…' for name in fit)}")


def _is_file(path: Path) -> bool:
    try:
        return path.is_file()
    except (OSError, ValueError):  # too long for a name, or with a zero byte: words
        return False


def _there(where: str, query: str) -> str:
    if is_blank(query):
        raise DataError(f"{where}: empty, expected words or the path of a picture")
    return query.strip()


def _lines(path: Path) -> list[str]:
    if not path.is_file():
        raise DataError(f"queries={path}: no such file")
    if path.stat().st_size > MOST:
        raise DataError(f"queries={path}: {path.stat().st_size:,} bytes, expected at most {MOST:,}")
    try:
        lines = path.read_text(encoding="utf-8-sig").splitlines()
    except UnicodeDecodeError as error:
        raise DataError(f"queries={path}: no text in UTF-8 ({error.reason} at byte {error.start})") from error
    if all(map(is_blank, lines)):
        raise DataError(f"queries={path}: empty, expected a query a line")
    return [_there(f"queries={path}: line {number}", line) for number, line in enumerate(lines, 1)]

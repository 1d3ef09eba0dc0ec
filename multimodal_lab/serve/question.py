"""What a request asks of the model: values by stream and options, of JSON, or of a picture as it is."""

from __future__ import annotations

import base64
import binascii
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from http import HTTPStatus
from pathlib import Path
from typing import Any

import numpy as np

from multimodal_lab.data import kinds
from multimodal_lab.files import parse_json
from multimodal_lab.predict.expected import Expected
from multimodal_lab.serve import media, numbers, uploads
from multimodal_lab.serve.limits import Limits
from multimodal_lab.serve.problem import RequestError, malformed, unusable
from multimodal_lab.serve.reply import Asked
from multimodal_lab.serve.uploads import Wanted
from multimodal_lab.text import expected_one_of, is_blank, show

FILE = "file"  # beside the streams: one file that holds all bands of a sample


@dataclass(frozen=True)
class Question:
    """streams: {stream: what is given}, a text, base64 or bytes of a picture, numbers. options: the other keys. mask: (H, W)."""

    streams: dict[str, Any]
    options: dict[str, Any] = field(default_factory=dict)
    mask: Any = None


@dataclass(frozen=True)
class Given:
    """What a predictor takes: `streams` by name, or, where it is one file of all, `sample`; `notes`: what was done to it."""

    streams: dict[str, Any]
    sample: Path | None = None
    mask: np.ndarray | None = None
    notes: list[str] = field(default_factory=list)


def is_pictured(one: Expected) -> bool:
    """Whether a stream may be given as a picture."""
    return kinds.get(one.kind).spatial and one.steps is None


def file_kind(one: Expected) -> str | None:
    """The sort of file that a stream may be given as: a picture, a sound or a video; None where it is of none."""
    return "picture" if is_pictured(one) else "sound" if one.is_sound else "video" if one.is_video else None


def file_kinds(one: Expected) -> list[str]:
    """All sorts of files that a stream may be given as, its own first: a sound may be that of a video."""
    sort = file_kind(one)
    return [] if sort is None else ["sound", "video"] if sort == "sound" else [sort]


def parsed(asked: Asked, options: Mapping[str, type], streams: Mapping[str, Expected]) -> Question:
    """The question of a request. options: {key: its type} of this endpoint."""
    if (sort := uploads.sort_of(asked.content_type)) is not None:
        return _of_file(asked, sort, options, streams)
    if asked.content_type != "application/json":
        able = [
            t
            for sort in uploads.SORTS
            if any(sort in file_kinds(s) for s in streams.values())
            for t in uploads.SORTS[sort]
        ]
        raise RequestError(
            HTTPStatus.UNSUPPORTED_MEDIA_TYPE,
            f"Content-Type {show(asked.content_type or 'missing')}: expected application/json"
            + (f", or that of a file: {', '.join(able)}" if able else ""),
        )
    try:
        found = parse_json(asked.body)
    except ValueError as error:
        raise malformed(f"the body is no JSON: {error}") from None
    if not isinstance(found, dict):
        raise malformed(f"the body is a {type(found).__name__}, expected an object with the key streams")
    keys = ["streams", "mask", *options]
    if unknown := [key for key in found if key not in keys]:
        raise malformed(f"{show(unknown[0])}: {expected_one_of(unknown[0], keys)}")
    given = found.get("streams")
    if not isinstance(given, dict):
        raise malformed("streams is missing: expected an object {stream: value}")
    own = {key: _typed(key, found[key], kind) for key, kind in options.items() if found.get(key) is not None}
    return Question({k: v for k, v in given.items() if v is not None}, own, found.get("mask"))


def _of_file(asked: Asked, sort: str, options: Mapping[str, type], streams: Mapping[str, Expected]) -> Question:
    """A body that is a picture, a sound or a video; `?stream=` says whose, and options stand there, too.

    Without, a video is of the stream of frames, and, where the run took sound and frames from one video, of both; where it reads
    no frames, its sound is asked about. What is found is found by one stream.
    """
    if asked.content_type not in uploads.SORTS[sort]:
        what = f"Content-Type {show(asked.content_type)}: {expected_one_of(asked.content_type, uploads.SORTS[sort])}"
        raise RequestError(HTTPStatus.UNSUPPORTED_MEDIA_TYPE, what)
    own_sort = [name for name, one in streams.items() if file_kind(one) == sort]
    pictured = own_sort or [name for name, one in streams.items() if sort in file_kinds(one)]
    keys = ["stream", *(key for key, kind in options.items() if kind is not list)]
    if unknown := [key for key in asked.query if key not in keys]:
        raise malformed(f"?{show(unknown[0])}=: {expected_one_of(unknown[0], keys)}")
    name = asked.query.get("stream", pictured[0] if len(pictured) == 1 else "")
    if not name:
        raise malformed(
            f"?stream=: {expected_one_of('', pictured)}" if pictured else f"no stream of this run is a {sort}"
        )
    own = {
        key: _typed(key, _number(key, text, options[key]), options[key])
        for key, text in asked.query.items()
        if key != "stream"
    }
    both = sort == "video" and "stream" not in asked.query and "top_k" not in options
    heard = [n for n, one in streams.items() if both and name in own_sort and one.is_sound and one.frames]
    return Question(dict.fromkeys([name, *heard], asked.body), own)


def _number(key: str, text: str, kind: type) -> Any:
    if kind is str:
        return text
    try:
        return kind(text)
    except ValueError:
        raise malformed(f"{key}={show(text)}: expected a {'whole number' if kind is int else 'number'}") from None


def _typed(key: str, value: Any, kind: type) -> Any:
    names = {int: "a whole number", float: "a number", str: "a text", list: "a list of texts"}
    right = isinstance(value, int | float if kind is float else kind) and not isinstance(value, bool)
    if kind is list and right:
        right = all(isinstance(x, str) for x in value)
    if not right:
        raise malformed(f"{key}: expected {names[kind]}, found {show(value)}")
    return value


@contextmanager
def given(
    question: Question, streams: Mapping[str, Expected], wanted: Mapping[str, Wanted], limits: Limits
) -> Iterator[Given]:
    """What a predictor takes of a question, while the files of it are there; what can't be used is a `RequestError`."""
    names = [*streams, *([FILE] if FILE in wanted else [])]
    if unknown := [name for name in question.streams if name not in names]:
        raise unusable(f"streams.{show(unknown[0])}: {expected_one_of(unknown[0], names)}")
    if not question.streams:
        raise unusable(f"nothing is given: every stream is missing; expected one of {', '.join(names)}")
    if FILE in question.streams and len(question.streams) > 1:
        raise unusable(f"streams.{FILE} holds all streams; expected no other beside it")
    mask = None if question.mask is None else numbers.mask(question.mask)
    with tempfile.TemporaryDirectory(prefix="multimodal_lab_") as folder:
        found: dict[str, Any] = {}
        notes: list[str] = []
        for name, value in question.streams.items():
            one = streams.get(name)
            if one is not None and one.is_text:
                found[name] = _text(value, name, limits)
            elif isinstance(value, str | bytes):
                sort = "picture" if one is None else file_kind(one)
                if sort is None:
                    raise unusable(f"{name}: expected numbers in lists, found {show(value)}")
                content = _bytes(value, name, sort)
                if sort == "picture":
                    made = uploads.laid(content, name, Path(folder), wanted[name], limits)
                else:
                    made = media.laid(content, name, Path(folder), sort, limits)
                found[name], notes = made.value, notes + made.notes
            elif one is not None and isinstance(value, list | dict):
                found[name] = numbers.of_stream(value, one)
            else:
                sort = "picture" if one is None else file_kind(one)
                raise unusable(f"{name}: expected {f'base64 of a {sort}, or ' if sort else ''}numbers in lists")
        sample = found.pop(FILE, None)
        yield Given(found, sample, mask, notes)


def _text(value: Any, name: str, limits: Limits) -> str:
    if not isinstance(value, str):
        raise unusable(f"{name}: {type(value).__name__}, expected a text")
    if is_blank(value):
        raise unusable(f"{name}: an empty text; expected some words")
    if len(value) > limits.letters:
        raise unusable(f"{name}: a text of {len(value):,} letters; the limit is {limits.letters:,}")
    return value


def _bytes(value: str | bytes, name: str, sort: str) -> bytes:
    if isinstance(value, bytes):
        return value
    head, comma, rest = value.partition(",")
    try:
        return base64.b64decode(rest if comma and head.startswith("data:") else value, validate=True)
    except (binascii.Error, ValueError):
        raise unusable(f"{name}: no base64; expected that of a file of a {sort}, or numbers in lists") from None

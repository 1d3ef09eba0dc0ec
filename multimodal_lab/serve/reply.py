"""What is asked for, and what is answered."""

from __future__ import annotations

from dataclasses import dataclass, field
from http import HTTPStatus
from typing import Any

from multimodal_lab.files import as_json

JSON = "application/json; charset=utf-8"
HTML = "text/html; charset=utf-8"


@dataclass(frozen=True)
class Asked:
    """A request: its method, its path and the words behind it, the type of its body, in small letters, and the body."""

    method: str
    path: str
    query: dict[str, str]
    content_type: str = ""
    body: bytes = b""


@dataclass(frozen=True)
class Reply:
    """An answer: status, type, bytes."""

    body: bytes
    content_type: str = JSON
    status: HTTPStatus = HTTPStatus.OK
    headers: dict[str, str] = field(default_factory=dict)


def of_json(content: Any, status: HTTPStatus = HTTPStatus.OK, **headers: str) -> Reply:
    """Strict JSON: a number that is not finite is null."""
    return Reply(as_json(content, separators=(",", ":")).encode(), JSON, status, headers)


def of_text(content: str, content_type: str) -> Reply:
    """A text in UTF-8; half a letter, which a file name may hold, is a question mark."""
    return Reply(content.encode(errors="replace"), content_type)


def of_error(status: HTTPStatus, message: str, headers: dict[str, str] | None = None) -> Reply:
    """The one form in which all that goes wrong is told."""
    made = of_json({"error": {"status": int(status), "message": message}}, status)
    return Reply(made.body, JSON, status, dict(headers or {}))

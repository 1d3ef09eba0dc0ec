"""A problem of a request that can't be answered: its HTTP status and one sentence."""

from __future__ import annotations

from http import HTTPStatus


class RequestError(Exception):
    """Answered as `{"error": {"status": …, "message": …}}`; headers go along, such as `Allow`."""

    def __init__(self, status: HTTPStatus, message: str, **headers: str) -> None:
        super().__init__(message)
        self.status = status
        self.headers = {name.replace("_", "-"): value for name, value in headers.items()}


def unusable(message: str) -> RequestError:
    """What is understood and can't be used."""
    return RequestError(HTTPStatus.UNPROCESSABLE_ENTITY, message)


def malformed(message: str) -> RequestError:
    """What is no request of this API."""
    return RequestError(HTTPStatus.BAD_REQUEST, message)


def too_large(message: str) -> RequestError:
    """What is beyond a limit."""
    return RequestError(HTTPStatus.REQUEST_ENTITY_TOO_LARGE, message)

"""The web app: what is answered at each address."""

from __future__ import annotations

import re
from collections.abc import Callable
from http import HTTPStatus
from typing import Any

from multimodal_lab.data.source import DataError
from multimodal_lab.serve import facts, openapi, page
from multimodal_lab.serve.api import Api
from multimodal_lab.serve.gallery import Gallery
from multimodal_lab.serve.limits import Limits
from multimodal_lab.serve.model import Model
from multimodal_lab.serve.problem import RequestError, unusable
from multimodal_lab.serve.reply import HTML, Asked, Reply, of_json, of_text
from multimodal_lab.text import expected_one_of, show

UPLOADS, WORD = "multimodal_lab_", re.compile(r"\w++")
SHOWN = re.compile(r"/(pictures|media)/([A-Za-z_]\w{0,99})/(\d{1,9})", re.ASCII)
JPEG = "image/jpeg"


class App:
    """Answers requests: a fixed table of addresses, and pictures, sounds and videos by stream and number.

    where: its address, for people.
    """

    def __init__(self, model: Model, gallery: Gallery, limits: Limits, where: str) -> None:
        self.model, self.gallery = model, gallery
        api = Api(model, gallery, limits)
        self.run = facts.of_run(model)
        described = openapi.described(self.run)
        texts = {
            "/": (page.html(self.run), HTML),
            "/docs": (page.docs(described, where), HTML),
            "/page.css": (page.style(), "text/css; charset=utf-8"),
            "/page.js": (page.script(), "text/javascript; charset=utf-8"),
        }
        self.gets: dict[str, Callable[[], Reply]] = {
            **{path: lambda own=own: of_text(*own) for path, own in texts.items()},  # type: ignore[misc]
            "/openapi.json": lambda: of_json(described),
            "/api/run": lambda: of_json({**self.run, "gallery": gallery.told()}),
            "/api/health": lambda: of_json({"status": "ok", "checkpoint": model.checkpoint, "gallery": gallery.told()}),
            "/favicon.ico": lambda: Reply(b"", "image/x-icon", HTTPStatus.NO_CONTENT),
        }
        self.posts: dict[str, Callable[[Asked], dict[str, Any]]] = {
            "/api/retrieve": api.retrieve,
            "/api/predict": api.predict,
            "/api/embed": api.embed,
        }

    def answer(self, asked: Asked) -> Reply:
        """The reply to a request; `RequestError` where there is none."""
        shown = SHOWN.fullmatch(asked.path)
        allowed = "POST" if asked.path in self.posts else "GET, HEAD" if asked.path in self.gets or shown else ""
        if not allowed:
            known = [*self.gets, *self.posts, "/pictures/STREAM/NUMBER", "/media/STREAM/NUMBER"]
            raise RequestError(HTTPStatus.NOT_FOUND, f"{show(asked.path)}: {expected_one_of(asked.path, known)}")
        if asked.method not in allowed.split(", "):
            raise RequestError(
                HTTPStatus.METHOD_NOT_ALLOWED, f"{asked.method} {asked.path}: expected {allowed}", Allow=allowed
            )
        if asked.path in self.gets:
            return self.gets[asked.path]()
        try:
            if shown:
                return self._shown(shown[1], shown[2], int(shown[3]))
            return of_json(self.posts[asked.path](asked))
        except DataError as error:
            raise unusable(plainly(str(error))) from error

    def _shown(self, what: str, stream: str, number: int) -> Reply:
        contents = self.gallery.ready()
        if what == "pictures" and (found := contents.picture(number, stream)) is not None:
            return Reply(found, JPEG)
        if what == "media" and (played := contents.media(number, stream)) is not None:
            return Reply(*played)
        raise RequestError(
            HTTPStatus.NOT_FOUND, f"no {'picture' if what == 'pictures' else 'sound or video'} {number} of {stream}"
        )


def plainly(message: str) -> str:
    """A reader's sentence without the folder that an upload lay in, and without the keys of a config."""
    said = "".join(_below(word) if UPLOADS in word else word for word in re.split(r"(\s++)", message))
    return re.sub(r" \(data\.source\.\S+ raises it\)", "", said)


def _below(path: str) -> str:
    """A path below the last folder of uploads that it names, less further folders; by hand, as a message may be of any length."""
    own, *parts = path.rpartition(UPLOADS)[2].split("/")
    at = next((i for i, part in enumerate(parts[:-1]) if not WORD.fullmatch(part)), len(parts) - 1)
    whole = parts and WORD.fullmatch(own) and WORD.match(parts[at])
    return "/".join(parts[at:]) if whole else path

"""Servers of tiny trained runs on real sockets, and clients that ask them."""

import base64
import http.client
import io
import json
import shutil
import threading
from contextlib import contextmanager

import numpy as np
from PIL import Image

from multimodal_lab.embed import configured
from multimodal_lab.serve import sources
from multimodal_lab.serve.__main__ import address
from multimodal_lab.serve.app import App
from multimodal_lab.serve.gallery import Gallery
from multimodal_lab.serve.limits import Limits
from multimodal_lab.serve.model import Model
from multimodal_lab.serve.server import Server

QUICK = ["log=none", "figures=[]", "train.validate_every=0", "data.batch_size=8"]
COLOURS = {"red": (220, 30, 30), "green": (20, 160, 40), "blue": (30, 60, 220), "yellow": (235, 205, 40)}
HOSTILE = "<img src=x onerror=window.hit=1>"


def drawn(colour, i):
    """A picture of one colour, (16, 16, 3) uint8, no two alike."""
    x = np.random.default_rng(i).integers(-12, 13, (16, 16, 3)) + np.array(COLOURS[colour])
    return x.clip(0, 255).astype(np.uint8)


def png(x, **options):
    """A picture as the bytes of a file."""
    out = io.BytesIO()
    (x if isinstance(x, Image.Image) else Image.fromarray(x)).save(out, options.pop("format", "PNG"), **options)
    return out.getvalue()


def base(content):
    return base64.b64encode(content).decode()


class Client:
    """Asks a server, as a program does."""

    def __init__(self, server):
        self.server, self.port = server, server.server_port

    def ask(self, method, path, body=None, headers=()):
        """(status, headers, body) of one request on a connection of its own; JSON is parsed."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=60)
        try:
            connection.request(method, path, body, dict(headers))
            reply = connection.getresponse()
            content = reply.read()
        finally:
            connection.close()
        if reply.headers.get_content_type() == "application/json" and content:
            content = json.loads(content)
        return reply.status, reply.headers, content

    def get(self, path, **headers):
        return self.ask("GET", path, None, {k.replace("_", "-"): v for k, v in headers.items()})

    def post(self, path, content, **headers):
        """A question as JSON; (status, answer)."""
        status, _, found = self.ask("POST", path, json.dumps(content), {"Content-Type": "application/json", **headers})
        return status, found

    def wrong(self, path, content, status, said):
        """What is refused so, with such words; and the server lives on."""
        found = self.post(path, content)
        assert found[0] == status, found
        assert said in found[1]["error"]["message"], found
        assert found[1]["error"]["status"] == status
        assert self.get("/api/health")[0] == 200


@contextmanager
def served(folder, words=(), limits=None):
    """A client of a server of the run in `folder`, ready to be searched."""
    limits = limits or Limits()
    server = Server("127.0.0.1", 0, limits)
    model = Model(folder, "cpu", limits)
    gallery = Gallery(" ".join(words) or "the run's own samples")
    server.answer = App(model, gallery, limits, address(server)).answer
    cfg = configured(folder, [*words])
    thread = threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True)
    thread.start()
    if words:
        gallery.start(sources.of_data(cfg, [*words], folder, model))
    else:
        gallery.start(lambda _: sources.of_run(folder), lambda made: sources.show_stored(made, cfg, folder))
    client = Client(server)
    client.gallery, client.model = gallery, model
    gallery._thread.join(60)
    try:
        yield client
    finally:
        server.shutdown()
        server.server_close()
        gallery.stop()
        thread.join(10)


def moved(folder, where):
    """A copy of a run without its data."""
    return shutil.copytree(folder / "run", where / "moved")

"""Try a trained run in a browser: `python -m multimodal_lab.serve run=DIR`."""

from __future__ import annotations

import errno
import signal
import socket
import sys
from pathlib import Path
from typing import Any

from omegaconf import DictConfig
from omegaconf.errors import OmegaConfBaseException

from multimodal_lab import stage
from multimodal_lab.config import redact, resolvers
from multimodal_lab.config.problem import ConfigError
from multimodal_lab.embed import asked, configured, opened
from multimodal_lab.runs.records import require_readable
from multimodal_lab.serve.guard import is_loopback
from multimodal_lab.serve.limits import MIB, Limits
from multimodal_lab.serve.server import Server
from multimodal_lab.text import plain_output, printable

USAGE = """usage: python -m multimodal_lab.serve run=DIR [data.root=/folder] [data=CHOICE] [data.KEY=VALUE …] [port=7860]
                                     [host=127.0.0.1] [device=auto] [max_mb=20] [max_megapixels=50]

A page to try a trained run: type words and get pictures, drop a picture and get words and classes, give numbers where a run
reads them. The same as a JSON API: /docs, /openapi.json. Ctrl-C ends it.

run             the directory of a finished run; it may have been moved
data            the files to search in, embedded when the server starts: data.root=/folder of files as the run's own, or
                another data set (data=images data.root=/photos). Without, the samples that the run embedded
port            0 takes any that is free
host            who may ask: 127.0.0.1 is this machine alone. There is no password: on another host whoever reaches it may
device          auto, cpu, cuda or cuda:N
max_mb          the largest request, in MiB
max_megapixels  the largest picture, by its header, before it is decoded"""
WORDS = {"port", "host", "device", "max_mb", "max_megapixels"}
TRIED = 100  # ports that are looked at for a free one


def listening(words: dict[str, str]) -> Server:
    """A server that holds its port and does not answer yet; `ConfigError` for a host or port that can't be had."""
    host, port = words.get("host", "127.0.0.1"), _whole(words, "port", 7860, 0, 65_535)
    limits = Limits(
        bytes=_whole(words, "max_mb", 20, 1, 1024) * MIB,
        pixels=_whole(words, "max_megapixels", 50, 1, 1000) * 1_000_000,
    )
    try:
        return Server(host, port, limits)
    except socket.gaierror as error:
        raise ConfigError(f"host={host}: no address of this machine ({error.strerror}); expected 127.0.0.1") from error
    except PermissionError as error:
        raise ConfigError(f"port={port}: not allowed here; expected 1024 or more, such as port=7860") from error
    except OSError as error:
        if error.errno == errno.EADDRINUSE:
            free = _next_free(host, port, limits)
            near = f"; the next free one: port={free}" if free else ""
            raise ConfigError(f"port={port}: in use on {host}{near}") from error
        if error.errno == errno.EADDRNOTAVAIL:
            raise ConfigError(
                f"host={host}: no address of this machine; expected 127.0.0.1, or 0.0.0.0 for all"
            ) from error
        raise


def _next_free(host: str, port: int, limits: Limits) -> int | None:
    for other in range(port + 1, min(port + 1 + TRIED, 65_536)):
        try:
            Server(host, other, limits).server_close()
        except OSError:
            continue
        return other
    return None


def _whole(words: dict[str, str], key: str, otherwise: int, low: int, high: int) -> int:
    text = words.get(key, str(otherwise))
    if not (text.isascii() and text.isdigit() and len(text) < 10 and low <= int(text) <= high):
        raise ConfigError(f"{key}={text}: expected a whole number from {low} to {high}, such as {key}={otherwise}")
    return int(text)


def serve(server: Server, words: dict[str, str], folder: Path, cfg: DictConfig, rest: list[str]) -> None:
    """Answer until Ctrl-C. rest: the words of the data to search in, none for the run's own."""
    from multimodal_lab.serve import sources
    from multimodal_lab.serve.app import App
    from multimodal_lab.serve.gallery import Gallery
    from multimodal_lab.serve.model import Model

    model = Model(folder, words.get("device", "auto"), server.limits)
    gallery = Gallery(" ".join(printable(word, one_line=True) for word in rest) or "the run's own samples")
    server.answer = App(model, gallery, server.limits, address(server)).answer
    host = words.get("host", "127.0.0.1")
    print(f"{folder} by {model.predictor.checkpoint} on {model.predictor.device}")
    if not is_loopback(host):
        print(
            f"warning: host={host}: whoever reaches this machine may use the page; there is no password",
            file=sys.stderr,
        )
    print(f"open {address(server)} (API: {address(server)}docs); Ctrl-C ends it", flush=True)
    try:
        if rest:
            gallery.start(sources.of_data(cfg, rest, folder, model))
        else:
            gallery.start(lambda _: sources.of_run(folder), lambda made: sources.show_stored(made, cfg, folder))
        server.serve_forever()
    except KeyboardInterrupt:
        print("\nended", flush=True)
    finally:
        server.server_close()
        gallery.stop()


def address(server: Server) -> str:
    """Where a browser finds it."""
    host = server.server_name
    shown = {"0.0.0.0": "127.0.0.1", "::": "[::1]"}.get(host, f"[{host}]" if ":" in host else host)
    return f"http://{shown}:{server.server_port}/"


def _ended(signum: int, frame: Any) -> None:
    raise KeyboardInterrupt


def main() -> None:
    """The command line."""
    plain_output()
    resolvers.register()
    words, folder, rest = asked(USAGE, WORDS)
    signal.signal(signal.SIGTERM, _ended)
    try:
        require_readable(folder)
        cfg = opened(folder, rest) if rest else configured(folder, [])  # the run's own data may be gone
        server = listening(words)  # before what takes seconds
        serve(server, words, folder, cfg, rest)
    except OmegaConfBaseException as error:
        sys.exit(redact.text(f"error: {error}"))
    except KeyboardInterrupt:
        sys.exit(130)
    except Exception as error:
        stage.leave(error, redact.text)


if __name__ == "__main__":
    main()

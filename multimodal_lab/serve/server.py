"""The HTTP server: a thread a connection, limits on all that is read, the same headers on all that is sent."""

from __future__ import annotations

import contextlib
import socket
import sys
import threading
import time
import traceback
from collections.abc import Callable
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qsl, urlsplit

from multimodal_lab import stage
from multimodal_lab.config import redact
from multimodal_lab.serve import reply
from multimodal_lab.serve.guard import Guard
from multimodal_lab.serve.limits import MIB, Limits
from multimodal_lab.serve.problem import RequestError, malformed, too_large
from multimodal_lab.serve.reply import Asked, Reply
from multimodal_lab.text import printable, show

# Nothing inline, nothing of elsewhere, no frame around the page.
POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' blob: data:; media-src blob:; connect-src 'self'; "
    "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
HEADERS = {
    "Content-Security-Policy": POLICY,
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Cache-Control": "no-store",
}
SAFE = ("GET", "HEAD")
FIELDS = 20  # words behind a path


class Server(ThreadingHTTPServer):
    """Listens at once; answers by `answer` once `serve_forever` runs."""

    daemon_threads = True  # a connection that is kept open does not keep the server from its end
    block_on_close = False
    request_queue_size = 128

    def __init__(self, host: str, port: int, limits: Limits) -> None:
        self.limits, self.guard = limits, Guard(host)
        self.answer: Callable[[Asked], Reply] = lambda asked: reply.of_error(HTTPStatus.NOT_FOUND, "nothing is here")
        self.waiting = threading.BoundedSemaphore(limits.waiting)
        self._open = threading.BoundedSemaphore(limits.connections)
        self._connections: set[socket.socket] = set()
        # looked up here, so that a name of an IPv6 address is bound as such
        family, _, _, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)[0]
        self.address_family = family
        super().__init__(address[:2], Handler)  # type: ignore[arg-type]

    def server_bind(self) -> None:
        """Without the base class's look-up of this machine's name, which may ask a network."""
        if self.address_family == socket.AF_INET6:
            self.socket.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        self.socket.bind(self.server_address)
        self.server_address = self.socket.getsockname()
        self.server_name, self.server_port = str(self.server_address[0]), int(self.server_address[1])

    def process_request(self, request: Any, client_address: Any) -> None:
        """In a thread; a connection beyond the limit is closed."""
        if not self._open.acquire(blocking=False):
            self.shutdown_request(request)
            return
        super().process_request(request, client_address)

    def process_request_thread(self, request: Any, client_address: Any) -> None:
        """One connection from its first request to its last."""
        self._connections.add(request)
        try:
            super().process_request_thread(request, client_address)
        finally:
            self._connections.discard(request)
            self._open.release()

    def server_close(self) -> None:
        """The port is free, and connections that clients keep open are closed."""
        super().server_close()
        for request in [*self._connections]:
            with contextlib.suppress(OSError):
                request.shutdown(socket.SHUT_RDWR)

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A client that went away is no error; any other is told on the terminal."""
        error = sys.exc_info()[1]
        if not isinstance(error, ConnectionError | TimeoutError):
            tell(error)


class Handler(BaseHTTPRequestHandler):
    """Reads a request within the limits, lets `Server.answer` answer it, tells errors as JSON."""

    server: Server
    protocol_version = "HTTP/1.1"
    server_version, sys_version = "multimodal_lab", ""
    disable_nagle_algorithm = True  # head and body are two writes: the second would wait 40 ms
    wbufsize = -1

    def setup(self) -> None:
        """A connection that is silent for too long is closed."""
        super().setup()
        self.connection.settimeout(self.server.limits.seconds)

    def log_message(self, format: str, *args: Any) -> None:
        """No line a request: the terminal is for what went wrong."""

    def handle_expect_100(self) -> bool:
        """The client is told to go on where its body is read, once its size is known to be within the limit."""
        return True

    def __getattr__(self, name: str) -> Any:
        """Every method is answered: `do_PATCH` as any other."""
        if name.startswith("do_"):
            return self._answer
        raise AttributeError(name)

    def send_error(self, code: int, message: str | None = None, explain: str | None = None) -> None:
        """What the base class refuses (a line that is no request, too many headers), told as all errors are."""
        self.close_connection = True
        status = HTTPStatus(code)
        self._send(reply.of_error(status, printable(message or status.phrase, one_line=True)))

    def _answer(self) -> None:
        unread = True
        try:
            safe = self.command in SAFE
            self.server.guard.check(self.headers.get_all("Host") or [], self.headers, safe)  # type: ignore[arg-type]
            length = self._length()
            address = urlsplit(self.path)
            query = dict(parse_qsl(address.query, keep_blank_values=True, max_num_fields=FIELDS))
            kind = self.headers.get("Content-Type", "").partition(";")[0].strip().lower()
            method = "GET" if self.command == "HEAD" else self.command
            if not length:
                unread = False
                self._send(self.server.answer(Asked(method, address.path, query, kind)))
                return
            if not self.server.waiting.acquire(blocking=False):
                what = f"{self.server.limits.waiting} requests are waiting already; try again in a second"
                raise RequestError(HTTPStatus.SERVICE_UNAVAILABLE, what, Retry_After="1")
            try:
                body = self._body(length)
                unread = False
                made = self.server.answer(Asked(method, address.path, query, kind, body))
            finally:
                self.server.waiting.release()
            self._send(made)
        except RequestError as error:
            self._refuse(reply.of_error(error.status, printable(error, one_line=True), error.headers), unread)
        except (ConnectionError, TimeoutError):
            self.close_connection = True
        except ValueError as error:  # of an address that is none
            self._refuse(reply.of_error(HTTPStatus.BAD_REQUEST, printable(error, one_line=True)), unread)
        except Exception as error:
            tell(error)
            told = redact.text(stage.sentence(error, "the server's terminal"))
            self._refuse(reply.of_error(HTTPStatus.INTERNAL_SERVER_ERROR, told), unread)

    def _length(self) -> int:
        if "Transfer-Encoding" in self.headers:
            raise RequestError(HTTPStatus.LENGTH_REQUIRED, "Transfer-Encoding: not taken; expected Content-Length")
        lengths = self.headers.get_all("Content-Length") or []
        if not lengths:
            if self.command not in SAFE:
                raise RequestError(HTTPStatus.LENGTH_REQUIRED, "Content-Length is missing")
            return 0
        if len(set(lengths)) != 1 or not (lengths[0].isascii() and lengths[0].isdigit() and len(lengths[0]) < 20):
            raise malformed(f"Content-Length {show(', '.join(lengths))}: expected a whole number")
        if (length := int(lengths[0])) > (most := self.server.limits.bytes):
            raise too_large(f"a body of {length / MIB:,.1f} MiB; the limit is {most / MIB:,.1f} MiB")
        return length

    def _body(self, length: int) -> bytes:
        if self.headers.get("Expect", "").lower() == "100-continue":
            self.wfile.write(b"HTTP/1.1 100 Continue\r\n\r\n")
            self.wfile.flush()
        end = time.monotonic() + self.server.limits.seconds
        found = bytearray()
        while len(found) < length:
            part = self.rfile.read1(min(65_536, length - len(found)))
            if not part:
                raise malformed(f"the body ended after {len(found):,} of {length:,} bytes")
            found += part
            if time.monotonic() > end:
                raise RequestError(
                    HTTPStatus.REQUEST_TIMEOUT, f"the body took more than {self.server.limits.seconds:.0f} s"
                )
        return bytes(found)

    def _refuse(self, made: Reply, unread: bool) -> None:
        """Send an error; a body that was not read is no next request."""
        self.close_connection = self.close_connection or unread
        try:
            self._send(made)
            if unread:
                self._drain()
        except OSError:  # the client is gone
            self.close_connection = True

    def _drain(self) -> None:
        """Take what the client still sends, for a second: a connection closed on it would lose the answer."""
        self.wfile.flush()
        self.connection.shutdown(socket.SHUT_WR)
        self.connection.settimeout(0.2)
        end = time.monotonic() + 1
        while time.monotonic() < end and self.connection.recv(65_536):
            pass

    def _send(self, made: Reply) -> None:
        self.send_response(made.status)
        for name, value in {**HEADERS, **made.headers, "Content-Type": made.content_type}.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(made.body)))
        if self.close_connection:
            self.send_header("Connection", "close")
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(made.body)


def tell(error: BaseException | None) -> None:
    """An error that nobody foresaw, on the terminal."""
    if error is not None:
        text = "".join(traceback.format_exception(error))
        print(printable(redact.text(text)), end="", file=sys.stderr, flush=True)

"""Refuse what another page in the user's browser sends: by its Host, its Origin and its fetch metadata.

A page of another site can send requests to a server on the loopback interface. The browser keeps it from reading the answers,
unless its own name was made to lead here (DNS rebinding): then `Host` holds that name. What changes nothing may be asked from
anywhere by a link; all else must come from this page itself, or from a program, which sends no `Origin`.
"""

from __future__ import annotations

import ipaddress
import re
import socket
from collections.abc import Collection, Mapping
from http import HTTPStatus

from multimodal_lab.serve.problem import RequestError
from multimodal_lab.text import show

_HOST = re.compile(r"(\[[0-9A-Fa-f:.]+\]|[A-Za-z0-9._-]+)(?::\d{1,5})?")
SAME = ("same-origin", "none")  # of Sec-Fetch-Site; none: typed by the user


class Guard:
    """host: what the server is bound to. On a loopback address it is asked by that or by `localhost`; else by any number address,
    by `host` or by the machine's own names. Any port: a tunnel may have another."""

    def __init__(self, host: str) -> None:
        self.loopback = is_loopback(host)
        self.names = {"localhost", host.lower()} | (set() if self.loopback else own_names())

    def check(self, hosts: Collection[str], headers: Mapping[str, str], safe: bool) -> None:
        """Raise 403 for a request that comes from elsewhere. hosts: every Host header; safe: the method changes nothing."""
        host = next(iter(hosts), "")
        found = _HOST.fullmatch(host)
        if len(hosts) != 1 or found is None or not self.knows(found[1].lower()):
            expected = " or ".join(sorted(self.names))
            raise _forbidden(f"Host {show(', '.join(hosts))}: not a name of this server; expected {expected}")
        origin = headers.get("Origin")
        if origin is not None and origin.lower() not in {f"{scheme}://{host.lower()}" for scheme in ("http", "https")}:
            raise _forbidden(f"Origin {show(origin)}: another page's; expected http://{host}")
        linked = safe and headers.get("Sec-Fetch-Mode") == "navigate"
        site = headers.get("Sec-Fetch-Site", "none")
        if site not in SAME and not linked:
            raise _forbidden(f"Sec-Fetch-Site {show(site)}: asked for by another page; expected same-origin")

    def knows(self, name: str) -> bool:
        """Whether a name, or an address as `[::1]`, leads here and nowhere else."""
        if name.strip("[]") in self.names:
            return True
        try:
            address = ipaddress.ip_address(name.strip("[]"))
        except ValueError:
            return False
        return address.is_loopback or not self.loopback


def is_loopback(host: str) -> bool:
    """Whether a host is this machine alone."""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host.lower() == "localhost"


def own_names() -> set[str]:
    """What this machine calls itself; nothing is looked up."""
    name = socket.gethostname().lower()
    return {name, f"{name}.local"} - {"", ".local"}


def _forbidden(message: str) -> RequestError:
    return RequestError(HTTPStatus.FORBIDDEN, message)

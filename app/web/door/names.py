"""Which names the app answers to, and whose pages may ask it.

A page of another site can have its own name lead to this computer ("rebinding"); the Host header then still holds that
name. And any page may send requests here; the browser then says whose it is in Origin or Sec-Fetch-Site.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from urllib.parse import urlsplit

from training.errors import BadInput

LOCAL = ("localhost", "127.0.0.1", "::1")
EVERYWHERE = ("0.0.0.0", "::", "")  # as --host: all addresses of this computer
HOST = re.compile(r"(\[[0-9a-fA-F:.]+\]|[A-Za-z0-9._-]+)(?::(\d{1,5}))?")
USUAL_PORTS = {"http": 80, "https": 443}


class Names:
    """The names of one app.

    Args:
        host: what it listens on; all addresses of this computer are names then, if it is 0.0.0.0 or ::.
        allowed: further names, NAME or NAME:PORT, under which it is reached: behind a proxy, or of the network.

    Raises BadInput for a name that is none.
    """

    def __init__(self, host: str = "127.0.0.1", allowed: Sequence[str] = ()):
        self.everywhere = host in EVERYWHERE
        self.allowed = [_allowed(name) for name in allowed]
        given = () if self.everywhere else (host.lower(),)
        self.known = {*LOCAL, *given, *(name for name, _ in self.allowed)}

    def answers(self, host: str, reached: str = "") -> bool:
        """Whether a Host header names this app, on any port.

        reached: the address of this computer that the request came to.
        """
        name, _ = split(host)
        return bool(name) and (name in self.known or (self.everywhere and name == reached.lower()))

    def own_page(self, origin: str, hosts: Iterable[str], scheme: str = "http") -> bool:
        """Whether an Origin is a page of this app: of the very host and port of `hosts`, or one of --allow-host.

        scheme: by which the browser reached `hosts`; a proxy of --allow-host may not say it.
        """
        try:
            parts = urlsplit(origin)
            port = parts.port or USUAL_PORTS.get(parts.scheme)
        except ValueError:
            return False
        page = ((parts.hostname or "").lower(), port)
        if parts.scheme not in USUAL_PORTS or not page[0]:
            return False
        asked = [(name, port or USUAL_PORTS[parts.scheme]) for name, port in map(split, hosts)]
        named = [(name, port or USUAL_PORTS[parts.scheme]) for name, port in self.allowed]
        return (page in asked and parts.scheme == scheme) or page in named


def split(host: str) -> tuple[str, int | None]:
    """A Host header's name in small letters, without brackets, and its port; ("", None) for what is none."""
    found = HOST.fullmatch(host.strip(" \t"))
    if not found:
        return "", None
    return found[1].strip("[]").lower().removesuffix("."), int(found[2]) if found[2] else None


def _allowed(given: str) -> tuple[str, int | None]:
    name, port = split(given)
    if not name:
        raise BadInput(
            f"--allow-host {given!r} is no name.",
            "Write only the name that the browser shows, such as studio.example.org, or studio.example.org:8443.",
            field="allow_host",
        )
    return name, port

"""`delora app`: starts the worker and the pages, and ends both.

The pages only show run folders and put jobs into the queue. So a server that is killed takes nothing along, and the
next one finds worker and training as they are; Ctrl-C has the training save and stop first.
"""

from __future__ import annotations

import contextlib
import logging
import signal
import socket
import sys
import threading
import webbrowser
from collections.abc import Iterator, Sequence
from pathlib import Path

from app.web.door.names import Names
from app.web.keeper import WorkerKeeper
from app.web.studio import Studio
from training.base import modelref
from training.errors import BadInput

LOCAL = ("127.0.0.1", "localhost", "::1")
PORTS_TRIED = 20


def serve(
    data: Path,
    *,
    host: str,
    port: int,
    auth: list[str],
    browser: bool,
    allow_hosts: Sequence[str] = (),
    root_path: str = "",
    models_folders: Sequence[Path] = (),
) -> None:
    """Show the pages until Ctrl-C.

    Args:
        allow_hosts, root_path: see `app.web.door.names.Names` and `app.web.door.front.Front`.
        models_folders: with `auth`, where else than among the added models base models may lie.

    Raises BadInput for an address of the network without `auth`, a port that is taken, a login that is none, and a name
    or path that is none.
    """
    from app.web.door.front import clean_root_path
    from app.web.ui import application

    users, names, root_path = logins(auth), Names(host, allow_hosts), clean_root_path(root_path)
    if host not in LOCAL and not users:
        raise BadInput(
            f"--host {host} lets others on the network in.", "Give --auth NAME:PASSWORD as well.", field="host"
        )
    if allow_hosts and not users:
        print("Note: who comes by a name of --allow-host can do everything here without --auth.", file=sys.stderr)
    data.mkdir(parents=True, exist_ok=True)
    listening = bind(host, port)
    studio = Studio(data)
    if users:
        modelref.confine(data, models_folders)
    with _leaves_in_order(signal.SIGTERM), contextlib.closing(studio.uploads), WorkerKeeper(data) as keeper:
        studio.hold_worker, studio.worker_words = keeper.hold, keeper.words
        with _leaves_in_order(signal.SIGHUP):  # later a closed terminal takes the pages and leaves the training
            pages = application(studio, users, names=names, root_path=root_path)  # while the worker starts
        server = _server(pages)
        address = f"http://{'localhost' if host in LOCAL else host}:{listening.getsockname()[1]}{root_path}"
        print(f"DeLoRA Studio: {address}  (data in {data}; Ctrl-C saves and stops)", file=sys.stderr, flush=True)
        if browser:
            threading.Timer(0.5, webbrowser.open, [address]).start()
        server.run(sockets=[listening])


def logins(auth: list[str]) -> dict[str, str]:
    """Name -> password. Raises BadInput for what is not NAME:PASSWORD."""
    users = {}
    for line in auth:
        name, colon, word = line.partition(":")
        if not (name and colon and word):
            raise BadInput("--auth is not NAME:PASSWORD.", "Write it like --auth anna:secret.", field="auth")
        users[name] = word
    return users


def bind(host: str, port: int) -> socket.socket:
    """A socket on `port` or one of the next ones. Raises BadInput where none is free."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        host.encode("idna")
    except UnicodeError as error:
        raise BadInput(f"--host {host!r} is no name or address.", "Write it like 127.0.0.1.", field="host") from error
    for number in range(port, port + PORTS_TRIED):
        listening = socket.socket(family, socket.SOCK_STREAM)
        listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            listening.bind((host, number))
            listening.listen()  # who comes before the pages are built waits, and is not refused
            return listening
        except OSError as error:
            listening.close()
            last = error
            if port == 0 or isinstance(error, socket.gaierror):
                break
    raise BadInput(f"--port {port} on {host} cannot be used: {last.strerror}.", "Choose another one.", field="port")


@contextlib.contextmanager
def _leaves_in_order(number: int) -> Iterator[None]:
    """While inside, a signal that would kill this process raises SystemExit; an ignored one (nohup) stays ignored."""

    def leave(*_) -> None:
        raise SystemExit(128 + number)

    if (before := signal.getsignal(number)) is not signal.SIG_DFL:
        yield
        return
    signal.signal(number, leave)
    try:
        yield
    finally:
        signal.signal(number, before)


def _server(pages):
    """uvicorn without its last act: it raises the signal anew, which would end us before we are done."""
    import uvicorn

    class Server(uvicorn.Server):
        async def shutdown(self, sockets=None):
            logging.getLogger("uvicorn.error").setLevel(logging.CRITICAL)  # open pages are cut off, which is no error
            await super().shutdown(sockets)

        @contextlib.contextmanager
        def capture_signals(self):
            before = {number: signal.signal(number, self.handle_exit) for number in (signal.SIGINT, signal.SIGTERM)}
            try:
                yield
            finally:
                for number, handler in before.items():
                    signal.signal(number, handler)

    return Server(uvicorn.Config(pages, log_level="warning", timeout_graceful_shutdown=1, server_header=False))

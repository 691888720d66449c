"""Runs the receiver on a socket until it is told to stop; then what has begun is answered first."""

import asyncio
import gc
import resource
import signal
import socket
from collections.abc import Callable

import uvicorn
from starlette.types import ASGIApp

from etl.receive.connections import KEEP_ALIVE_SECONDS, Connection, close_overdue

GRACE_SECONDS = 5
"""How long requests that have begun may take when the receiver stops."""

FILES = 8192
"""Files that may be open: more than the backlog and all connections together."""

SECURITY_HEADERS = [
    ("X-Content-Type-Options", "nosniff"),
    ("Content-Security-Policy", "default-src 'none'; frame-ancestors 'none'"),
    ("Referrer-Policy", "no-referrer"),
    ("Cache-Control", "no-store"),
]


def listen(host: str, port: int) -> socket.socket:
    """A socket that already queues connections; port 0 takes any free one.

    Raises:
        OSError: the port is taken, or the host is not ours.
    """
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    return socket.create_server((host, port), family=family, backlog=2048)


def url_of(listener: socket.socket) -> str:
    """The base URL behind a listening socket."""
    host, port = listener.getsockname()[:2]
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"


def serve(app: ASGIApp, listener: socket.socket, *, on_ready: Callable[[], None] = lambda: None) -> None:
    """Serve in the main thread until SIGINT or SIGTERM.

    Args:
        app: what to serve.
        listener: from :func:`listen`; closed at the end.
        on_ready: called once, when connections are queued and signals are heeded.
    """
    server = _Server(configuration(app))

    # In place before anybody is told that it is ready, and still there when uvicorn, at its end, raises the signal
    # again: being stopped is the normal end here.
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda _number, _frame: setattr(server, "should_exit", True))
    _allow_many_files()
    on_ready()
    # What was imported stays; without this the collector would walk over all of it again and again, and each time the
    # senders would wait.
    gc.collect()
    gc.freeze()
    with listener:
        server.run(sockets=[listener])


def _allow_many_files() -> None:
    """A burst of connections is accepted before the superfluous ones can be refused, and each is an open file."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = FILES if hard == resource.RLIM_INFINITY else min(hard, FILES)
    if soft != resource.RLIM_INFINITY and soft < wanted:
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))


class _Server(uvicorn.Server):
    """Looks for slow clients now and then."""

    async def on_tick(self, counter: int) -> bool:
        """Called ten times a second."""
        if counter % 10 == 0:
            close_overdue(self.server_state.connections, asyncio.get_running_loop().time())
        return await super().on_tick(counter)


def configuration(app: ASGIApp) -> uvicorn.Config:
    """How uvicorn is run: no banner, no log lines of its own but errors, our limits."""
    return uvicorn.Config(
        app,
        http=Connection,
        ws="none",
        lifespan="on",
        access_log=False,
        log_config=None,
        log_level="error",
        server_header=False,
        proxy_headers=False,
        headers=SECURITY_HEADERS,
        timeout_keep_alive=KEEP_ALIVE_SECONDS,
        timeout_graceful_shutdown=GRACE_SECONDS,
    )

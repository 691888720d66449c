"""Runs the receiver on a socket until it is told to stop; then what has begun is answered first."""

import signal
import socket
from collections.abc import Callable

import uvicorn
from starlette.types import ASGIApp

GRACE_SECONDS = 5
"""How long requests that have begun may take when the receiver stops."""

KEEP_ALIVE_SECONDS = 75
"""How long a connection may idle: longer than a proxy keeps it, so that the proxy never posts into a closing one."""
MAX_HEADER_BYTES = 16 * 1024
"""Bytes of request line and headers together, until they are complete."""
MAX_CONNECTIONS = 1000
"""Connections and requests, beyond which uvicorn answers 503 by itself; below the 1,024 open files that a process
commonly may have. A proxy keeps its own number below that."""

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
    server = uvicorn.Server(configuration(app))

    # In place before anybody is told that it is ready, and still there when uvicorn, at its end, raises the signal
    # again: being stopped is the normal end here.
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda _number, _frame: setattr(server, "should_exit", True))
    on_ready()
    with listener:
        server.run(sockets=[listener])


def configuration(app: ASGIApp) -> uvicorn.Config:
    """How uvicorn is run: no banner, no log lines of its own but errors, our limits."""
    return uvicorn.Config(
        app,
        # The parser that bounds what it gathers of a header without an end.
        http="h11",
        h11_max_incomplete_event_size=MAX_HEADER_BYTES,
        limit_concurrency=MAX_CONNECTIONS,
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

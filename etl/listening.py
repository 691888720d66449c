"""A socket to serve on, and serving on it until a signal: a leaf that the receiver and the sandbox share."""

import signal
import socket
from collections.abc import Callable
from contextlib import ExitStack

import uvicorn


def listen(host: str = "127.0.0.1", port: int = 0) -> socket.socket:
    """Return a socket that already queues connections; port 0 takes any free one.

    Raises:
        OSError: the port is taken, or the host is not ours.
    """
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    listener = socket.create_server((host, port), family=family, backlog=2048)
    # Accepted connections inherit it. asyncio sets it only on sockets that name their protocol, which these do not; and
    # without it the body waits for the client to acknowledge the headers, 40 ms for each answer.
    listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return listener


def url_of(listener: socket.socket) -> str:
    """Return the base URL behind a listening socket."""
    host, port = listener.getsockname()[:2]
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"


def serve(server: uvicorn.Server, *listeners: socket.socket, on_ready: Callable[[], None] = lambda: None) -> None:
    """Serve in the main thread until SIGINT or SIGTERM.

    Args:
        server: what serves.
        listeners: from :func:`listen`; closed at the end.
        on_ready: called once, when connections are queued and signals are heeded.
    """
    # In place before on_ready, and still there when uvicorn, at its end, raises the signal again: being stopped is the
    # normal end here.
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda _number, _frame: setattr(server, "should_exit", True))
    on_ready()
    with ExitStack() as opened:
        for listener in listeners:
            opened.enter_context(listener)
        server.run(sockets=list(listeners))

"""Configures uvicorn for the receiver: its limits and its shutdown."""

import asyncio
import resource
from collections import deque
from functools import partial
from typing import Any

import h11
import uvicorn
from starlette.types import ASGIApp
from uvicorn.protocols.http.h11_impl import H11Protocol

GRACE_SECONDS = 5
"""How long requests that have begun may take when the receiver stops."""

HEADER_SECONDS = 10
"""How long a new connection may take to send request line and headers."""
KEEP_ALIVE_SECONDS = 75
"""How long a connection may take from an answer to the next whole header: longer than a proxy keeps it idle, so that
the proxy never posts into a closing one."""
MAX_CONNECTIONS = 4096
"""Connections at once; one more closes one that idles."""
TURN_CONNECTIONS = 10
"""Connections that read in one turn of the event loop: a few milliseconds."""
MAX_HEADER_BYTES = 16 * 1024
"""Bytes of request line and headers together, until they are complete."""

SECURITY_HEADERS = [
    ("X-Content-Type-Options", "nosniff"),
    ("Referrer-Policy", "no-referrer"),
    ("Cache-Control", "no-store"),
]


class Turns:
    """Lets few connections read in one turn of the event loop, in the order in which something arrived.

    Otherwise thousands of posts at once would all be read and verified before an answer of Postgres is read, and none
    would be stored in time.
    """

    def __init__(self) -> None:
        self._waiting: deque[Connection] = deque()

    def ask(self, connection: "Connection") -> None:
        """Let a connection read when it is its turn."""
        if not self._waiting:
            connection.loop.call_soon(self._next)
        self._waiting.append(connection)

    def _next(self) -> None:
        for _ in range(min(TURN_CONNECTIONS, len(self._waiting))):
            connection = self._waiting.popleft()
            # Each by itself: an error of one ends no other.
            connection.loop.call_soon(connection.read)
        if self._waiting:
            connection.loop.call_soon(self._next)


class Connection(H11Protocol):
    """uvicorn's, which bounds neither the time of a header nor how many connections idle, and reads at once.

    uvicorn ends its timer at the first byte of a request and again when the header is whole; here only the latter does.
    """

    def __init__(self, *given: Any, turns: Turns, **named: Any) -> None:
        super().__init__(*given, **named)
        self._turns = turns
        self._asks = False

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override] # as in uvicorn
        """Wait for the first header."""
        super().connection_made(transport)
        self.timeout_keep_alive_task = self.loop.call_later(HEADER_SECONDS, self.timeout_keep_alive_handler)
        if len(self.connections) > most_connections():
            others = (each for each in self.connections if isinstance(each, Connection) and each is not self)
            next((each for each in others if each.idles), self).transport.abort()

    def data_received(self, data: bytes) -> None:
        """Buffer what arrived, and receive no more until it is this connection's turn."""
        self.conn.receive_data(data)
        self.flow.pause_reading()
        self._asks = True
        self._turns.ask(self)

    def read(self) -> None:
        """Read what arrived."""
        self._asks = False
        self.flow.resume_reading()
        if self.transport.is_closing():
            return
        try:
            self.handle_events()
        except h11.ProtocolError:
            # Something that is no HTTP, after the answer: uvicorn cannot say 400.
            self.transport.abort()

    @property
    def idles(self) -> bool:
        """Return whether the connection waits for the rest of a header and is open."""
        return self.timeout_keep_alive_task is not None and not self._asks and not self.transport.is_closing()


def server_of(app: ASGIApp) -> uvicorn.Server:
    """Return a server without banner, without log lines of its own but errors, with our limits."""
    config = uvicorn.Config(
        app,
        # Not uvicorn's limit_concurrency: beyond it every post is answered 503, which HighLevel may never send again.
        http=partial(Connection, turns=Turns()),  # type: ignore[arg-type] # only called
        h11_max_incomplete_event_size=MAX_HEADER_BYTES,
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
    return uvicorn.Server(config)


def most_connections() -> int:
    """Return how many there may be. Half of the open files are spare: asyncio accepts many before it closes any."""
    files, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    return MAX_CONNECTIONS if files == resource.RLIM_INFINITY else min(MAX_CONNECTIONS, files // 2)


def allow_connections() -> None:
    """Raise this process's limit of open files, commonly 1,024, as far as the system lets it and it is needed."""
    files, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = 2 * MAX_CONNECTIONS if hard == resource.RLIM_INFINITY else min(2 * MAX_CONNECTIONS, hard)
    if files != resource.RLIM_INFINITY and files < wanted:
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))

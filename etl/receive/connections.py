"""What a connection may cost: limits on headers, on time and on number, which uvicorn's httptools protocol lacks.

httptools gathers a header that has no end until memory is full, and waits for ever for a client that stops half-way.
"""

import asyncio
from collections.abc import Iterable
from typing import Any

import structlog
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

log = structlog.get_logger("etl.receive")

MOST_CONNECTIONS = 768
"""Below the 1,024 open files that a process commonly may have."""
MOST_HEADERS = 100
MOST_PIPELINED = 32
"""Requests of one connection that wait for the answer to the one before."""
MOST_HEADER_BYTES = 16 * 1024
"""Bytes of request line and headers together."""
REQUEST_SECONDS = 15.0
"""How long a request may take to arrive, and a new connection to begin one."""
KEEP_ALIVE_SECONDS = 75
"""How long a connection may idle: longer than a proxy keeps it, so that the proxy never posts into a closing one."""
RETRY_AFTER = 5
"""Seconds a sender is asked to wait; HighLevel keeps its own schedule."""

HEADERS_TOO_LARGE = b"431 Request Header Fields Too Large"
TOO_MANY = b"429 Too Many Requests"
TOO_SLOW = b"408 Request Timeout"


class _RefusedError(Exception):
    """Raised through the parser, which then stops."""


class Connection(HttpToolsProtocol):
    """One client."""

    # A moment to compare with, because starting and cancelling a timer for each request costs more than parsing it.
    due: float | None = None
    in_headers = True
    begun_in_chunk = False
    ended_in_chunk = False
    pending_bytes = 0
    in_request = False
    stuck_since: float | None = None
    refusal: bytes | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override] # as the base class
        """Take a client, unless there are too many: then an idle one makes room, or the new one is refused."""
        super().connection_made(transport)
        self.due = self.loop.time() + REQUEST_SECONDS
        if len(self.connections) > MOST_CONNECTIONS and not self._make_room():
            log.warning("connection_refused", connections=len(self.connections))
            self._refuse(TOO_MANY)

    def data_received(self, data: bytes) -> None:
        """Feed the parser, and count what it gathers of a header that is not complete."""
        self.begun_in_chunk = self.ended_in_chunk = False
        super().data_received(data)
        # Behind the end of another request, what there is of a header is the smaller part of a read.
        if self.in_headers and not (self.begun_in_chunk and self.ended_in_chunk):
            self.pending_bytes += len(data)
            if self.pending_bytes > MOST_HEADER_BYTES:
                self._refuse(HEADERS_TOO_LARGE)

    def close_if_overdue(self, now: float) -> None:
        """Part with a client that takes too long to send what it has begun."""
        if self.stuck_since is not None and now > self.stuck_since + REQUEST_SECONDS:
            self.transport.abort()
        if self.due is None or now < self.due:
            return
        self.due = None
        if self.in_headers:
            self.transport.close()
        else:
            self._refuse(TOO_SLOW)

    def on_message_begin(self) -> None:
        """The first byte of a request is here."""
        super().on_message_begin()
        self.in_request = self.in_headers = self.begun_in_chunk = True
        self.pending_bytes = 0
        self.due = self.loop.time() + REQUEST_SECONDS

    def on_headers_complete(self) -> None:
        """The body follows."""
        size = len(self.url) + sum(len(name) + len(value) for name, value in self.headers)
        if size > MOST_HEADER_BYTES or len(self.headers) > MOST_HEADERS:
            self.refusal = HEADERS_TOO_LARGE
            raise _RefusedError
        self.in_headers = False
        super().on_headers_complete()
        if len(self.pipeline) > MOST_PIPELINED:
            self.refusal = TOO_MANY
            raise _RefusedError

    def on_header(self, name: bytes, value: bytes) -> None:
        """A header is complete. Those that follow a body are dropped: they would be gathered without a limit."""
        if self.in_headers:
            super().on_header(name, value)

    def on_message_complete(self) -> None:
        """The request is here."""
        self.due = None
        self.in_request = False
        self.ended_in_chunk = True
        super().on_message_complete()

    def send_400_response(self, msg: str) -> None:
        """Refuse what is not HTTP, or has too much of it."""
        if self.refusal is not None:
            self._refuse(self.refusal)
        else:
            super().send_400_response(msg)

    def pause_writing(self) -> None:
        """The client does not read its answers."""
        super().pause_writing()
        self.stuck_since = self.loop.time()

    def resume_writing(self) -> None:
        """It does again."""
        super().resume_writing()
        self.stuck_since = None

    def _make_room(self) -> bool:
        """Close a connection that is between two requests, or else one that never began any; False: there is none."""
        others: Any = self.connections
        idle = [each for each in others if each is not self and not each.in_request and not each.transport.is_closing()]
        answered = (each for each in idle if each.cycle is not None and each.cycle.response_complete)
        silent = (each for each in idle if each.cycle is None)
        chosen = next(answered, None) or next(silent, None)
        if chosen is None:
            return False
        chosen.transport.close()
        return True

    def _refuse(self, status: bytes) -> None:
        if self.transport.is_closing():
            return
        lines = [b"HTTP/1.1 " + status, b"content-length: 0", b"connection: close"]
        lines += [name + b": " + value for name, value in self.server_state.default_headers]
        if status == TOO_MANY:
            lines.append(b"retry-after: %d" % RETRY_AFTER)
        self.transport.write(b"\r\n".join([*lines, b"", b""]))
        self.transport.close()


def close_overdue(connections: Iterable[Any], now: float) -> None:
    """Part with the clients that are too slow; to be called every second or so, with the event loop's time."""
    for connection in list(connections):
        connection.close_if_overdue(now)

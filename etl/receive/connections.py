"""What a connection may cost: limits on headers, on time and on number, which uvicorn's httptools protocol lacks.

httptools gathers a header that has no end until memory is full, and waits for ever for a client that stops half-way.
"""

import asyncio
from typing import Any

import structlog
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

log = structlog.get_logger("etl.receive")

MOST_CONNECTIONS = 768
"""Below the 1,024 open files that a process commonly may have."""
MOST_HEADERS = 100
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


class _TooLargeError(Exception):
    """The headers are; raised through the parser, which then stops."""


class Connection(HttpToolsProtocol):
    """One client."""

    timer: asyncio.TimerHandle | None = None
    in_headers = True
    begun_in_chunk = False
    header_bytes = 0
    pending_bytes = 0
    too_large = False

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override] # as the base class
        """Take a client, unless there are too many: then an idle one makes room, or the new one is refused."""
        super().connection_made(transport)
        self._expect_request()
        if len(self.connections) > MOST_CONNECTIONS and not self._make_room():
            log.warning("connection_refused", connections=len(self.connections))
            self._refuse(TOO_MANY)

    def connection_lost(self, exc: Exception | None) -> None:
        """The client is gone."""
        self._request_arrived()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        """Feed the parser, and count what it gathers of a header that is not complete."""
        self.begun_in_chunk = False
        super().data_received(data)
        if self.in_headers and not self.begun_in_chunk:
            self.pending_bytes += len(data)
            if self.pending_bytes > MOST_HEADER_BYTES:
                self._refuse(HEADERS_TOO_LARGE)

    def on_message_begin(self) -> None:
        """The first byte of a request is here."""
        super().on_message_begin()
        self.in_headers, self.begun_in_chunk = True, True
        self.header_bytes = self.pending_bytes = 0
        self._expect_request()

    def on_url(self, url: bytes) -> None:
        """A part of the request line is here."""
        self._count_header(len(url))
        super().on_url(url)

    def on_header(self, name: bytes, value: bytes) -> None:
        """A header is complete."""
        self._count_header(len(name) + len(value))
        super().on_header(name, value)

    def on_headers_complete(self) -> None:
        """The body follows."""
        self.in_headers = False
        super().on_headers_complete()

    def on_message_complete(self) -> None:
        """The request is here."""
        self._request_arrived()
        super().on_message_complete()

    def send_400_response(self, msg: str) -> None:
        """Refuse what is not HTTP, or has too much of it."""
        if self.too_large:
            self._refuse(HEADERS_TOO_LARGE)
        else:
            super().send_400_response(msg)

    def _count_header(self, size: int) -> None:
        self.header_bytes += size
        if self.header_bytes > MOST_HEADER_BYTES or len(self.headers) >= MOST_HEADERS:
            self.too_large = True
            raise _TooLargeError

    def _expect_request(self) -> None:
        self._request_arrived()
        self.timer = self.loop.call_later(REQUEST_SECONDS, self.transport.close)

    def _request_arrived(self) -> None:
        if self.timer is not None:
            self.timer.cancel()
            self.timer = None

    def _make_room(self) -> bool:
        """Close a connection that is between two requests; False when there is none."""
        others: Any = self.connections
        for other in others:
            if other is not self and (other.cycle is None or other.cycle.response_complete):
                other.transport.close()
                return True
        return False

    def _refuse(self, status: bytes) -> None:
        if self.transport.is_closing():
            return
        lines = [b"HTTP/1.1 " + status, b"content-length: 0", b"connection: close"]
        lines += [name + b": " + value for name, value in self.server_state.default_headers]
        if status == TOO_MANY:
            lines.append(b"retry-after: %d" % RETRY_AFTER)
        self.transport.write(b"\r\n".join([*lines, b"", b""]))
        self.transport.close()

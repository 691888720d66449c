"""An answer as its bytes come: the head, and the body in chunks. Knows no host and opens nothing."""

import http.client
import io
import re
import socket
import time
import zlib
from collections.abc import Iterable, Iterator
from functools import partial
from itertools import islice
from typing import Any, Protocol

STATUS = re.compile(rb"HTTP/1\.(\d) +(\d{3})((?: .*)?)")
MOST_HEADERS, LONGEST_LINE = 200, 65_536
CHUNK = 64 * 1024
"""Bytes of a body that are read, or inflated, at once."""
GZIP = zlib.MAX_WBITS | 16
"""zlib's name of gzip."""


class Line(Protocol):
    """The connection that an answer comes on.

    Attributes:
        heard_at: when the last bytes came.
    """

    heard_at: float

    def patience(self) -> float:
        """Return the seconds that the next byte may take."""

    def keep(self) -> None:
        """Leave the connection to the next request."""

    def close(self) -> None:
        """Close the connection."""


class Headers(dict[str, str]):
    """Headers by their names in lower case; :meth:`get` takes them in any."""

    def get(self, name: str, default: str = "") -> str:  # type: ignore[override] # of str alone
        """Return the value of a header; ``default`` when it is missing."""
        return super().get(name.lower(), default)

    def add(self, name: str, value: str) -> None:
        """Add a header; the values of one that is repeated are joined: RFC 9110, 5.3."""
        name = name.lower()
        self[name] = f"{self[name]}, {value}" if name in self else value


class HttpAnswer(http.client.HTTPResponse):
    """An answer whose head is read line by line: http.client has a parser of e-mail read it, a tenth of a run."""

    headers: Headers  # type: ignore[assignment] # http.client's are an e-mail's
    version_string, length_remaining = "HTTP/1.1", None
    """For the log of urllib3."""
    connection: Line | None = None
    """What it came on, until it was read to its end; None: a proxy's own answer."""

    def __init__(self, received: socket.socket, line: Line, **options: Any) -> None:
        super().__init__(_Incoming(received, line), **options)  # type: ignore[arg-type] # it only calls makefile

    def chunks(self) -> Iterator[bytes]:
        """Yield the body, inflated; then the connection is free for the next request.

        Raises:
            OSError: the connection broke off.
            http.client.HTTPException: the same, or what comes is no HTTP.
            zlib.error: the body is not compressed as the headers say.
        """
        pieces: Iterable[bytes] = iter(partial(self.read, CHUNK), b"")
        yield from _inflated(pieces) if self.headers.get("Content-Encoding").lower() in ("gzip", "x-gzip") else pieces
        if self.length:
            raise http.client.IncompleteRead(b"", self.length)
        if self.connection is not None and not self.will_close:
            connection, self.connection = self.connection, None
            connection.keep()

    def close(self) -> None:
        """Close the connection, unless the answer was read to its end."""
        super().close()
        if self.connection is not None:
            self.connection.close()

    def begin(self) -> None:
        """Read the status and the headers of the final answer.

        Raises:
            OSError: the connection broke off.
            http.client.HTTPException: that is no HTTP.
        """
        status = b"1"
        while status.startswith(b"1"):
            line = self._line()
            found = STATUS.fullmatch(line)
            if found is None:
                raise http.client.BadStatusLine(repr(line[:100]))
            minor, status, reason = found.groups()
            lines = list(islice(iter(self._line, b""), MOST_HEADERS))
            if len(lines) == MOST_HEADERS:
                raise http.client.HTTPException(f"an answer has {MOST_HEADERS} headers or more")
        self.version = 10 if minor == b"0" else 11
        self.status = self.code = int(status)
        self.reason = reason.decode("iso-8859-1").strip()
        self.headers = Headers()
        for line in lines:
            name, _, value = line.decode("iso-8859-1").partition(":")
            self.headers.add(name, value.strip())
        self._frame()

    def _line(self) -> bytes:
        line = self.fp.readline(LONGEST_LINE)
        if not line.endswith(b"\n"):
            raise http.client.RemoteDisconnected("the answer broke off, or a line of its head is too long")
        return line.rstrip(b"\r\n")

    def _frame(self) -> None:
        """Note how long the body is, and whether the connection may be used again: RFC 9112, 6.3 and 9.3."""
        self.chunked = self.headers.get("Transfer-Encoding").lower().endswith("chunked")
        self.chunk_left = None
        length, *others = {each.strip() for each in self.headers.get("Content-Length").split(",")}
        if others:
            raise http.client.HTTPException("an answer states several lengths")
        self.length = int(length) if length.isdecimal() and not self.chunked else None
        if self.status in (204, 304):
            self.length = 0
        connection = self.headers.get("Connection").lower()
        is_kept = "keep-alive" in connection if self.version == 10 else "close" not in connection
        self.will_close = not is_kept or (self.length is None and not self.chunked)


def _inflated(pieces: Iterable[bytes]) -> Iterator[bytes]:
    """Inflate gzip, also of several members; never more than a chunk at once, however well it was compressed."""
    inflater = zlib.decompressobj(GZIP)
    for piece in pieces:
        data = piece
        while data:
            if inflater.eof:
                inflater = zlib.decompressobj(GZIP)
            yield inflater.decompress(data, CHUNK)
            data = inflater.unconsumed_tail or inflater.unused_data
    yield inflater.flush()


class _Incoming(io.RawIOBase):
    """The bytes of an answer."""

    def __init__(self, received: socket.socket, connection: Line) -> None:
        self._socket = received
        self._bytes = received.makefile("rb", buffering=0)
        self._connection = connection

    def makefile(self, _mode: str) -> io.BufferedReader:
        return io.BufferedReader(self)

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int | None:
        patience = self._connection.patience()
        # Setting it lets other threads take Python's lock; mostly it is the same as before.
        if self._socket.gettimeout() != patience:
            self._socket.settimeout(patience)
        count = self._bytes.readinto(buffer)
        if count:
            self._connection.heard_at = time.monotonic()
        return count

    def close(self) -> None:
        self._bytes.close()
        super().close()

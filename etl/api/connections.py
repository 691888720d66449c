"""The connections of the transport: requests' own, held to the time that one request may take, and dropped when idle.

urllib3 does neither. Its timeouts begin anew with each byte that comes, of headers as of a body (its reference,
``urllib3.util.Timeout``), and it keeps an idle connection for as long as that seems open (its issues 2498 and 3184).
"""

import http.client
import io
import math
import socket
import time
from typing import Any

from requests.adapters import HTTPAdapter
from urllib3.connection import HTTPConnection
from urllib3.response import HTTPResponse

SILENCE_SECONDS = 30.0
"""How long the next byte of an answer may take."""
IDLE_SECONDS = 20.0
"""How long a connection may be idle and still be used again. Gateways and proxies forget one without a word after a
minute or more; what is sent on it then is answered by a reset, or by nothing."""


class DiedIdleError(Exception):
    """A connection that was kept from an earlier request broke, and not a byte of the answer had come."""


class Adapter(HTTPAdapter):
    """Sends a request that requests has prepared.

    Attributes:
        latest: the ``time.monotonic()`` at which every GET ends.
    """

    latest = math.inf

    def get_connection_with_tls_context(self, *request: Any, **settings: Any) -> Any:
        """Return the pool that requests chooses, with connections of our own."""
        pool: Any = super().get_connection_with_tls_context(*request, **settings)
        if not issubclass(pool.ConnectionCls, _Connection):
            # Made of the pool's own class: there is one for HTTP, one for HTTPS, and one for each kind of proxy.
            pool.ConnectionCls = type("Connection", (_Connection, pool.ConnectionCls), {"adapter": self})
        return pool


class _Connection(HTTPConnection):
    """A connection that knows when its request has to be over, and when it heard the last byte."""

    adapter: Adapter
    heard_at = 0.0
    _asked_at = 0.0
    _deadline = 0.0
    _is_get = False
    _is_kept = False
    """Whether a request was answered on it before."""

    @property
    def is_connected(self) -> bool:
        """Whether the pool may use it again."""
        return super().is_connected and time.monotonic() - self.heard_at < IDLE_SECONDS

    def connect(self) -> None:
        self._is_kept = False
        self._deadline = time.monotonic() + (self.timeout or 0.0)  # for a proxy, which answers as well
        super().connect()

    def request(self, method: str, *request: Any, **content: Any) -> None:
        self._asked_at, self._is_get = time.monotonic(), method == "GET"
        try:
            super().request(method, *request, **content)
        except OSError as error:
            self._require_alive(error)
            raise

    def getresponse(self) -> HTTPResponse:  # type: ignore[override] # as urllib3 does
        # urllib3 has set the timeout to what is left of the request's total time.
        self._deadline = time.monotonic() + (self.timeout or 0.0)
        try:
            response = super().getresponse()
        except OSError as error:
            self._require_alive(error)
            raise
        self._is_kept = True
        return response

    def _require_alive(self, error: OSError) -> None:
        if self._is_kept and self.heard_at <= self._asked_at and not isinstance(error, TimeoutError):
            raise DiedIdleError from error

    def response_class(self, received: socket.socket, **options: Any) -> http.client.HTTPResponse:  # type: ignore[override] # called, not read
        """Return the answer that comes on a socket: http.client asks that for a file, and for nothing else."""
        return http.client.HTTPResponse(_Incoming(received, self), **options)  # type: ignore[arg-type] # see above

    def patience(self) -> float:
        """How many seconds the next byte may take.

        Raises:
            TimeoutError: the time of the request is over.
        """
        deadline = min(self._deadline, self.adapter.latest) if self._is_get else self._deadline
        left = deadline - time.monotonic()
        if left <= 0.0:
            raise TimeoutError
        return min(left, SILENCE_SECONDS)


class _Incoming(io.RawIOBase):
    """The bytes of an answer."""

    def __init__(self, received: socket.socket, connection: _Connection) -> None:
        self._socket = received
        self._bytes = received.makefile("rb", buffering=0)
        self._connection = connection

    def makefile(self, _mode: str) -> io.BufferedReader:
        return io.BufferedReader(self)

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int | None:
        self._socket.settimeout(self._connection.patience())
        count = self._bytes.readinto(buffer)
        if count:
            self._connection.heard_at = time.monotonic()
        return count

    def close(self) -> None:
        self._bytes.close()
        super().close()

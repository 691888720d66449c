"""The connections of the transport: urllib3's, held to the time that one request may take, and dropped when idle.

urllib3 does neither. Its timeouts start again with each byte, in headers and in bodies (its reference,
``urllib3.util.Timeout``), and it keeps an idle connection as long as that seems open (its issues 2498 and 3184).
"""

import http.client
import io
import math
import re
import socket
import time
from collections.abc import Mapping
from itertools import islice
from typing import Any
from urllib.parse import urlsplit

import requests
from requests.adapters import HTTPAdapter
from urllib3 import HTTPHeaderDict
from urllib3.connection import HTTPConnection
from urllib3.response import BaseHTTPResponse, HTTPResponse
from urllib3.util import Retry, Timeout

CONNECT_TIMEOUT = 5.0
"""Seconds to connect, for each address that the host's name has."""
ONCE = Retry(total=False, redirect=False)
"""A request is sent once, and its errors are urllib3's own."""

SILENCE_SECONDS = 30.0
"""Seconds until the next byte of an answer."""
SURE_SECONDS = 1.0
"""Seconds in which a connection is used again without asking the system whether it is still open: each such question
lets other threads take Python's lock, which costs more than the answer."""
IDLE_SECONDS = 20.0
"""Seconds after which an idle connection is not used again. Gateways and proxies drop one silently after a
minute or more; a request on it is then answered by a reset, or by nothing."""
STATUS = re.compile(rb"HTTP/1\.(\d) +(\d{3})((?: .*)?)")
CONTROL = re.compile(r"[\x00-\x1f\x7f]")
"""What would begin another header, or another request."""
MOST_HEADERS, LONGEST_LINE = 200, 65_536


class DiedIdleError(Exception):
    """A reused connection broke before the first byte of the answer."""


class Adapter(HTTPAdapter):
    """One pool of connections a host, with the proxies and certificates that the environment names.

    requests reads the environment and chooses a host's pool; urllib3 sends, at half the cost.

    Attributes:
        latest: the ``time.monotonic()`` at which every GET ends.
        is_trusting: whether a connection that was just used counts as open; not after one had died.
    """

    latest = math.inf
    is_trusting = True

    def __init__(self, *, pool_size: int) -> None:
        super().__init__(pool_connections=4, pool_maxsize=pool_size, max_retries=0)
        self._routes: dict[tuple[str, str], tuple[Any, str, str]] = {}

    def ask(
        self, method: str, url: str, *, body: str | None, headers: Mapping[str, str], seconds: float
    ) -> BaseHTTPResponse:
        """Send one request; the caller reads the body of its answer.

        Raises:
            requests.RequestException: the host cannot be reached.
            urllib3.exceptions.HTTPError: there was no answer.
            ValueError: the request cannot be sent.
        """
        parts = urlsplit(url)
        pool, prefix, host = self._route(url, (parts.scheme, parts.netloc))
        answer: BaseHTTPResponse = pool.urlopen(
            method,
            prefix + (parts.path or "/") + (f"?{parts.query}" if parts.query else ""),
            body=body,
            headers={"Host": host, **headers},
            retries=ONCE,
            redirect=False,
            assert_same_host=False,
            timeout=Timeout(connect=CONNECT_TIMEOUT, total=seconds),
            preload_content=False,
            decode_content=False,
        )
        return answer

    def _route(self, url: str, host: tuple[str, str]) -> tuple[Any, str, str]:
        """Return a host's pool, the prefix of its paths (a proxy for plain HTTP needs the whole URL), and its name."""
        route = self._routes.get(host)
        if route is None:
            request = requests.Request("GET", url).prepare()
            # Neither ~/.netrc nor a cookie is ever sent.
            found = requests.Session().merge_environment_settings(url, {}, None, None, None)
            verify, proxies = True if found["verify"] is None else found["verify"], found["proxies"]
            pool: Any = self.get_connection_with_tls_context(request, verify, proxies=proxies)
            self.cert_verify(pool, request.url, verify, None)  # type: ignore[no-untyped-call] # of requests
            if not issubclass(pool.ConnectionCls, _Connection):
                # Made of the pool's own class: there is one for HTTP, one for HTTPS, and one for each kind of proxy.
                pool.ConnectionCls = type("Connection", (_Connection, pool.ConnectionCls), {"adapter": self})
            wants_whole = self.request_url(request, proxies) == request.url
            name = urlsplit(request.url or url).netloc.rpartition("@")[2]
            route = self._routes[host] = pool, f"{host[0]}://{host[1]}" if wants_whole else "", name
        return route

    def close(self) -> None:
        """Drop all connections; the next request opens a new one."""
        self._routes.clear()
        super().close()


class _Connection(HTTPConnection):
    """A connection that knows the deadline of its request and the time of the last byte received."""

    adapter: Adapter
    heard_at = 0.0
    _asked_at = 0.0
    _deadline = 0.0
    _asked_method = ""
    _is_kept = False
    """Whether the connection has answered a request before."""

    @property
    def is_connected(self) -> bool:
        """Whether the pool may reuse the connection."""
        idle = time.monotonic() - self.heard_at
        if self.sock is None or idle >= IDLE_SECONDS:
            return False
        return (idle < SURE_SECONDS and self.adapter.is_trusting) or super().is_connected

    def connect(self) -> None:
        self._is_kept = False
        self._deadline = time.monotonic() + (self.timeout or 0.0)  # for a proxy, which answers as well
        super().connect()

    def request(  # type: ignore[override] # as urllib3 does
        self, method: str, url: str, body: str | None = None, headers: Mapping[str, str] | None = None, **_: Any
    ) -> None:
        """Send a request at once: http.client writes, checks and joins it piece by piece, at ten times the cost."""
        self._asked_at, self._asked_method = time.monotonic(), method
        content = (body or "").encode()
        lines = [f"{method} {url} HTTP/1.1", *(f"{name}: {value}" for name, value in (headers or {}).items())]
        if method != "GET":
            lines.append(f"Content-Length: {len(content)}")
        if any(map(CONTROL.search, lines)):
            raise ValueError("a request holds a control character")
        request = "\r\n".join((*lines, "", "")).encode("iso-8859-1") + content
        try:
            if self.sock is None:
                self.connect()
            self.sock.sendall(request)
        except OSError as error:
            self._require_alive(error)
            raise

    def getresponse(self) -> HTTPResponse:  # type: ignore[override] # as urllib3 does
        """Read the head of the answer."""
        # urllib3 has set the timeout to what is left of the request's total time.
        self._deadline = time.monotonic() + (self.timeout or 0.0)
        answer = self.response_class(self.sock, method=self._asked_method)
        try:
            answer.begin()
        except Exception as error:
            answer.close()
            self._require_alive(error)
            raise
        if answer.will_close:
            self.close()
        self._is_kept = True
        return HTTPResponse(
            body=answer,
            headers=answer.fields,
            status=answer.status,
            version=answer.version,
            reason=answer.reason,
            preload_content=False,
            original_response=answer,
        )

    def _require_alive(self, error: Exception) -> None:
        has_died = isinstance(error, OSError) and not isinstance(error, TimeoutError)
        if has_died and self._is_kept and self.heard_at <= self._asked_at:
            self.adapter.is_trusting = False
            raise DiedIdleError from error

    def response_class(self, received: socket.socket, **options: Any) -> "_Answer":  # type: ignore[override] # called, not read
        """Return the answer on a socket, of which http.client only calls ``makefile``; for a proxy's answer, too."""
        return _Answer(_Incoming(received, self), **options)  # type: ignore[arg-type] # see above

    def patience(self) -> float:
        """Return the seconds that the next byte may take.

        Raises:
            TimeoutError: the time of the request is over.
        """
        deadline = min(self._deadline, self.adapter.latest) if self._asked_method == "GET" else self._deadline
        left = deadline - time.monotonic()
        if left <= 0.0:
            raise TimeoutError
        return min(left, SILENCE_SECONDS)


class _Answer(http.client.HTTPResponse):
    """An answer whose head is read line by line: http.client has a parser of e-mail read it, a tenth of a run.

    Attributes:
        fields: the headers.
    """

    fields: HTTPHeaderDict

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
        pairs = (line.decode("iso-8859-1").partition(":") for line in lines)
        self.fields = HTTPHeaderDict([(name, value.strip()) for name, _, value in pairs])
        self._frame()

    def _line(self) -> bytes:
        line = self.fp.readline(LONGEST_LINE)
        if not line.endswith(b"\n"):
            raise http.client.RemoteDisconnected("the answer broke off, or a line of its head is too long")
        return line.rstrip(b"\r\n")

    def _frame(self) -> None:
        """Note how long the body is, and whether the connection may be used again: RFC 9112, 6.3 and 9.3."""
        self.chunked = self.fields.get("Transfer-Encoding", "").lower() == "chunked"
        self.chunk_left = None
        length = self.fields.get("Content-Length", "")
        self.length = int(length) if length.isdecimal() and not self.chunked else None
        if self.status in (204, 304):
            self.length = 0
        connection = self.fields.get("Connection", "").lower()
        is_kept = "keep-alive" in connection if self.version == 10 else "close" not in connection
        self.will_close = not is_kept or (self.length is None and not self.chunked)


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
        patience = self._connection.patience()
        # Setting it lets other threads take Python's lock: see SURE_SECONDS.
        if patience < SILENCE_SECONDS or self._socket.gettimeout() != SILENCE_SECONDS:
            self._socket.settimeout(patience)
        count = self._bytes.readinto(buffer)
        if count:
            self._connection.heard_at = time.monotonic()
        return count

    def close(self) -> None:
        self._bytes.close()
        super().close()

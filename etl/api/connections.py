"""The connections of the transport: opened by urllib3, held to the time that one request may take, dropped when idle.

urllib3 does neither of the last two. Its timeouts start again with each byte, in headers and in bodies (its reference,
``urllib3.util.Timeout``), and it keeps an idle connection as long as that seems open (its issues 2498 and 3184).

Why: docs/decisions, "requests chooses the connection, urllib3 opens it, and we speak HTTP on it".
"""

import math
import re
import socket
import time
from collections.abc import Mapping
from contextlib import suppress
from threading import Lock
from typing import Any, ClassVar, TypeAlias
from urllib.parse import urlsplit

import requests
from requests.adapters import HTTPAdapter
from requests.utils import requote_uri
from urllib3.connection import HTTPConnection
from urllib3.util import Retry, Timeout

from etl.api.answers import HttpAnswer

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
CONTROL = re.compile(r"[\x00-\x1f\x7f]")
"""What would begin another header, or another request."""
PRINTABLE = re.compile(r"[!-~]+")
_Route: TypeAlias = tuple[Any, str, dict[str, str]]
"""A host's pool, the prefix of its paths, and its own headers: a proxy for plain HTTP needs the whole URL, and its own
authorization."""


class DiedIdleError(Exception):
    """A reused connection broke before the first byte of the answer."""


class Adapter(HTTPAdapter):
    """One pool of connections a host, with the proxies and certificates that the environment names.

    requests reads the environment and chooses a host's pool; urllib3 opens a connection with its first request. Later
    ones go straight to it, at a third of the cost.

    Attributes:
        latest: the ``time.monotonic()`` at which every GET ends.
        is_trusting: whether a connection that was just used counts as open; not after one had died.
        has_ended: whether no connection is kept any more: a thread that is late, as one that renews a token, may still
            open some.
    """

    latest = math.inf
    is_trusting = True
    has_ended = False

    def __init__(self, *, pool_size: int) -> None:
        super().__init__(pool_connections=4, pool_maxsize=pool_size, max_retries=0)
        self._routes: dict[tuple[str, str], _Route] = {}
        self._finding = Lock()

    def ask(self, method: str, url: str, *, body: str | None, headers: Mapping[str, str], seconds: float) -> HttpAnswer:
        """Send one request; the caller reads and closes its answer.

        Raises:
            DiedIdleError: the connection had died.
            OSError: the host cannot be reached, or the connection broke.
            http.client.HTTPException: the answer is no HTTP.
            urllib3.exceptions.HTTPError: as the two before, of a new connection.
            ValueError: the request cannot be sent.
        """
        parts = urlsplit(url)
        pool, prefix, own = self._route(url, (parts.scheme, parts.netloc))
        target = prefix + (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
        if not PRINTABLE.fullmatch(target):
            target = requote_uri(target)
        headers = {**own, **headers}
        connection = _idle(pool.ConnectionCls)
        if connection is not None:
            return connection.ask(method, target, body, headers, seconds=seconds)
        answer: HttpAnswer = pool.urlopen(
            method,
            target,
            body=body,
            headers=headers,
            retries=ONCE,
            redirect=False,
            assert_same_host=False,
            timeout=Timeout(connect=CONNECT_TIMEOUT, total=seconds),
            preload_content=False,
        )
        return answer

    def _route(self, url: str, host: tuple[str, str]) -> _Route:
        route = self._routes.get(host)
        if route is None:
            with self._finding:
                route = self._routes.get(host) or self._routes.setdefault(host, self._found(url, host))
        return route

    def _found(self, url: str, host: tuple[str, str]) -> _Route:
        request = requests.Request("GET", url).prepare()
        # Neither ~/.netrc nor a cookie is ever sent.
        found = requests.Session().merge_environment_settings(url, {}, None, None, None)
        verify, proxies = True if found["verify"] is None else found["verify"], found["proxies"]
        pool: Any = self.get_connection_with_tls_context(request, verify, proxies=proxies)
        self.cert_verify(pool, request.url, verify, None)  # type: ignore[no-untyped-call] # of requests
        if not issubclass(pool.ConnectionCls, _Connection):
            # Made of the pool's own class: there is one for HTTP, one for HTTPS, and one for each kind of proxy.
            own = {"adapter": self, "idle": []}
            pool.ConnectionCls = type("Connection", (_Connection, pool.ConnectionCls), own)
        headers = {"Host": urlsplit(request.url or url).netloc.rpartition("@")[2]}
        if self.request_url(request, proxies) == request.url:
            return pool, f"{host[0]}://{host[1]}", headers | dict(pool.proxy_headers)
        return pool, "", headers

    def end(self) -> None:
        """Drop all connections, and each later one after its request."""
        self.has_ended = True
        self.close()

    def close(self) -> None:
        """Drop all connections; the next request opens a new one."""
        with self._finding:
            for pool, _, _ in self._routes.values():
                pool.ConnectionCls.is_dropped = True
                _drop(pool.ConnectionCls)
            self._routes = {}
            super().close()


def _idle(connections: type["_Connection"]) -> "_Connection | None":
    """Take an idle connection of a pool that may be used again; None: there is none. Close the others."""
    with suppress(IndexError):
        while True:
            connection = connections.idle.pop()
            if connection.is_connected:
                return connection
            connection.close()
    return None


def _drop(connections: type["_Connection"]) -> None:
    """Close the idle connections of a pool."""
    with suppress(IndexError):
        while True:
            connections.idle.pop().close()


class _Connection(HTTPConnection):
    """A connection that knows the deadline of its request and the time of the last byte received.

    urllib3 opens it, and calls :meth:`request` and :meth:`getresponse` once; later requests are :meth:`ask`.
    """

    adapter: ClassVar[Adapter]
    idle: ClassVar[list["_Connection"]]
    """Those of the same pool that wait for the next request."""
    is_dropped: ClassVar[bool] = False
    """Whether none of the pool is used again."""
    heard_at = 0.0
    _asked_at = 0.0
    _deadline = 0.0
    _asked_method = ""
    _is_kept = False
    """Whether the connection has answered a request before."""

    @property
    def is_connected(self) -> bool:
        """Whether the connection may be used again."""
        idle = time.monotonic() - self.heard_at
        if self.sock is None or idle >= IDLE_SECONDS:
            return False
        return (idle < SURE_SECONDS and self.adapter.is_trusting) or super().is_connected

    def connect(self) -> None:
        self._is_kept = False
        self._deadline = time.monotonic() + (self.timeout or 0.0)  # for a proxy, which answers as well
        super().connect()

    def ask(
        self, method: str, target: str, body: str | None, headers: Mapping[str, str], *, seconds: float
    ) -> HttpAnswer:
        """Send a request and read the head of its answer, as urllib3 does it on a new connection."""
        self.timeout = seconds
        try:
            self.request(method, target, body, headers)
            return self.getresponse()
        except BaseException:
            self.close()
            raise

    def keep(self) -> None:
        """Leave the connection to the next request."""
        self.idle.append(self)
        # Asked last, so that none is left that comes while others are dropped.
        if self.is_dropped or self.adapter.has_ended:
            _drop(type(self))

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

    def getresponse(self) -> HttpAnswer:  # type: ignore[override] # urllib3 only looks at its status and headers
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
        answer.connection, self._is_kept = self, True
        return answer

    def _require_alive(self, error: Exception) -> None:
        has_died = isinstance(error, OSError) and not isinstance(error, TimeoutError)
        if has_died and self._is_kept and self.heard_at <= self._asked_at:
            self.adapter.is_trusting = False
            raise DiedIdleError from error

    def response_class(self, received: socket.socket, **options: Any) -> HttpAnswer:  # type: ignore[override] # called, not read
        """Return the answer on a socket; http.client calls this for a proxy's own."""
        return HttpAnswer(received, self, **options)

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

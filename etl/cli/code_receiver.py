"""Receives an OAuth authorization code on this machine. Prints and logs nothing: the code is a secret."""

import queue
import secrets
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qs, urlsplit

from etl.errors import ConfigurationError

LOCAL_HOSTS = ("localhost", "127.0.0.1")


def is_local(redirect_uri: str) -> bool:
    """Return whether a browser on this machine reaches us at this URL."""
    parts = urlsplit(redirect_uri)
    return parts.scheme == "http" and parts.hostname in LOCAL_HOSTS


def code_in(address: str, *, state: str) -> str:
    """Return the code in the redirected address.

    Raises:
        ValueError: there is none, or it does not belong to our request: somebody else's code would connect somebody
            else's location.
    """
    query = parse_qs(urlsplit(address).query)
    given = query.get("state", [""])[0]
    if not secrets.compare_digest(given.encode(), state.encode()):
        raise ValueError("the answer belongs to another request; start again")
    code = query.get("code", [""])[0]
    if not code:
        raise ValueError("the answer holds no code: the app was not installed")
    return code


class CodeReceiver:
    """Listens at a local redirect URI from the moment it is built, until :meth:`wait` returns."""

    def __init__(self, redirect_uri: str, *, state: str) -> None:
        """Start to listen.

        Raises:
            ConfigurationError: the port is taken.
        """
        parts = urlsplit(redirect_uri)
        received: queue.SimpleQueue[str] = queue.SimpleQueue()

        class Handler(BaseHTTPRequestHandler):
            timeout = 10

            def do_GET(self) -> None:
                if urlsplit(self.path).path != (parts.path or "/"):
                    self._answer(404, "There is nothing here.")
                    return
                try:
                    received.put(code_in(self.path, state=state))
                except ValueError as error:
                    self._answer(400, f"Not connected: {error}.")
                else:
                    self._answer(200, "Received. You can close this page and go back to the terminal.")

            def _answer(self, status: int, text: str) -> None:
                body = text.encode()
                self.send_response(status)
                self.send_header("Content-Type", "text/plain; charset=utf-8")
                self.send_header("Content-Length", str(len(body)))
                self.send_header("Cache-Control", "no-store")
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *_: object) -> None:
                """Log nothing: the request line holds the code."""

        try:
            self._server = ThreadingHTTPServer(("127.0.0.1", parts.port or 80), Handler)
        except OSError as error:
            raise ConfigurationError(
                f"Cannot listen at {redirect_uri} ({error.strerror}). Give another --redirect-uri that the app knows, "
                "or use --paste"
            ) from error
        self._server.timeout = 0.2
        self._received = received

    def wait(self, seconds: float) -> str | None:
        """Return the code, or None when it does not come in time. Stops listening."""
        deadline = time.monotonic() + seconds
        try:
            while time.monotonic() < deadline:
                self._server.handle_request()
                if not self._received.empty():
                    return self._received.get()
        finally:
            self._server.server_close()
        return None

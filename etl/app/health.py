"""Answers ``/healthz`` and ``/metrics`` over HTTP, beside runs."""

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from prometheus_client import CONTENT_TYPE_LATEST

from etl.errors import ConfigurationError


@contextmanager
def serving_health(address: str, metrics: Callable[[], bytes]) -> Iterator[str]:
    """Serve at ``[HOST:]PORT`` during the block; yield the URL.

    Raises:
        ConfigurationError: nothing can listen there.
    """

    class Handler(BaseHTTPRequestHandler):
        timeout = 10.0

        def do_GET(self) -> None:
            """Answer."""
            path = self.path.partition("?")[0]
            status, kind, body = 404, "text/plain; charset=utf-8", b""
            if path == "/healthz":
                status, body = 200, b"alive\n"
            elif path == "/metrics":
                status, kind, body = 200, CONTENT_TYPE_LATEST, metrics()
            self.send_response(status)
            self.send_header("Content-Type", kind)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            """Log no request."""

    host, _, port = address.rpartition(":")
    try:
        server = ThreadingHTTPServer((host.strip("[]") or "127.0.0.1", int(port)), Handler)
    except (OSError, OverflowError, ValueError) as error:
        raise ConfigurationError(f"--health-port {address}: nothing can listen there ({error}).") from error
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever, name="health", daemon=True)
    thread.start()
    try:
        yield f"http://{host or '127.0.0.1'}:{server.server_port}"
    finally:
        server.shutdown()
        server.server_close()

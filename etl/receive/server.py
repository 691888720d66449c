"""How uvicorn serves the receiver: its bounds, and what it answers first when it is told to stop."""

import uvicorn
from starlette.types import ASGIApp

GRACE_SECONDS = 5
"""How long requests that have begun may take when the receiver stops."""

KEEP_ALIVE_SECONDS = 75
"""How long a connection may idle: longer than a proxy keeps it, so that the proxy never posts into a closing one."""
MAX_HEADER_BYTES = 16 * 1024
"""Bytes of request line and headers together, until they are complete."""
MAX_CONNECTIONS = 1000
"""Connections and requests, beyond which uvicorn answers 503 by itself; below the 1,024 open files that a process
commonly may have. A proxy keeps its own number below that."""

SECURITY_HEADERS = [
    ("X-Content-Type-Options", "nosniff"),
    ("Content-Security-Policy", "default-src 'none'; frame-ancestors 'none'"),
    ("Referrer-Policy", "no-referrer"),
    ("Cache-Control", "no-store"),
]


def server_of(app: ASGIApp) -> uvicorn.Server:
    """A server without banner, without log lines of its own but errors, with our limits."""
    config = uvicorn.Config(
        app,
        # The parser that bounds what it gathers of a header without an end.
        http="h11",
        h11_max_incomplete_event_size=MAX_HEADER_BYTES,
        limit_concurrency=MAX_CONNECTIONS,
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

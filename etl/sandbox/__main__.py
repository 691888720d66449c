"""The process behind :class:`etl.sandbox.server.SandboxProcess`; the only place that reads its arguments.

``python -m etl.sandbox CONFIG`` serves what the JSON says on a free port, prints ``{"url": ...}`` and stops when its
standard input ends.
"""

import json
import sys
from threading import Thread

import uvicorn

from etl.sandbox.config import SandboxConfig
from etl.sandbox.server import listen, serve, url_of


def main(config: str) -> None:
    """Serve until standard input ends or a signal comes."""
    listener = listen()

    def announce(server: uvicorn.Server) -> None:
        def watch() -> None:
            sys.stdin.read()
            server.should_exit = True

        Thread(target=watch, daemon=True).start()
        sys.stdout.write(json.dumps({"url": url_of(listener)}) + "\n")
        sys.stdout.flush()

    serve(SandboxConfig.from_json(config), listener, on_ready=announce)


if __name__ == "__main__":
    main(sys.argv[1])

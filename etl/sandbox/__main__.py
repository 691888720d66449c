"""The process behind :class:`etl.sandbox.server.SandboxProcess`: ``python -m etl.sandbox CONFIG``.

Prints its URL when it serves, and stops when its standard input ends.
"""

import os
import signal
import sys
from threading import Thread

from etl.sandbox.config import SandboxConfig
from etl.sandbox.server import listen, serve, url_of


def main() -> None:
    """Serve until standard input ends or a signal comes."""
    listener = listen()

    def announce() -> None:
        Thread(target=_watch, daemon=True).start()
        sys.stdout.write(f"{url_of(listener)}\n")
        sys.stdout.flush()

    serve(SandboxConfig.model_validate_json(sys.argv[1]), listener, announce)


def _watch() -> None:
    sys.stdin.read()
    os.kill(os.getpid(), signal.SIGTERM)


if __name__ == "__main__":
    main()

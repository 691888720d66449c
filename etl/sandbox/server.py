"""Runs the sandbox on a socket: in this thread, in a thread beside it, or in a process of its own."""

import os
import signal
import socket
import subprocess
import sys
from threading import Thread

import uvicorn

from etl.listening import listen, serve, url_of
from etl.sandbox.app import SandboxApp
from etl.sandbox.config import SandboxConfig
from etl.sandbox.remote import Sandbox


def main() -> None:
    """Serve in a process of its own until standard input ends, that is, until the process that started it has ended."""
    Thread(target=_end_with_standard_input, daemon=True).start()
    serve(server_of(SandboxConfig.model_validate_json(sys.argv[1])), socket.socket(fileno=int(sys.argv[2])))


def _end_with_standard_input() -> None:
    sys.stdin.read()
    os.kill(os.getpid(), signal.SIGTERM)


def server_of(config: SandboxConfig) -> uvicorn.Server:
    """Return a server of a new sandbox, without log lines of its own."""
    app = SandboxApp(config)
    settings = uvicorn.Config(
        app,
        http="httptools",
        ws="none",
        lifespan="off",
        access_log=False,
        log_config=None,
        log_level="critical",  # an answer cut on purpose would be reported as a broken application
        server_header=False,
        proxy_headers=False,
        timeout_keep_alive=600,  # closing an idle connection as a client uses it again would be a fault nobody set
        timeout_graceful_shutdown=0,  # answers that are late on purpose are not waited for
    )
    server = uvicorn.Server(settings)
    app.connections = server.server_state.connections
    return server


class RunningSandbox(Sandbox):
    """A sandbox in a thread of this process, on a free port; a context manager.

    Good for tests. Its requests share this process's interpreter lock: measure with :class:`SandboxProcess`.
    """

    def __init__(self, config: SandboxConfig | None = None) -> None:
        config = config or SandboxConfig()
        self._server = server_of(config)
        self._listener = listen()
        super().__init__(url_of(self._listener), config)
        self._thread = Thread(target=self._server.run, args=([self._listener],), name="sandbox", daemon=True)
        self._thread.start()

    def close(self) -> None:
        """Stop it and wait until it has stopped."""
        super().close()
        self._server.should_exit = True
        self._thread.join()
        self._listener.close()


class SandboxProcess(Sandbox):
    """A sandbox in a process of its own, on a free port; a context manager.

    It ends when its standard input does, so it does not outlive this process however that one ends.
    """

    def __init__(self, config: SandboxConfig | None = None) -> None:
        config = config or SandboxConfig()
        with listen() as listener:
            script, handle = "from etl.sandbox import server; server.main()", listener.fileno()
            command = [sys.executable, "-c", script, config.model_dump_json(), str(handle)]
            self._process = subprocess.Popen(command, stdin=subprocess.PIPE, pass_fds=[handle])
            super().__init__(url_of(listener), config)
        self.stats()  # answered as soon as it serves

    def close(self) -> None:
        """Stop it and wait until it has stopped."""
        super().close()
        self._process.terminate()
        self._process.communicate()

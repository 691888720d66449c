"""Runs the sandbox on a socket: in this thread, in a thread beside it, or in a process of its own."""

import os
import signal
import socket
import subprocess
import sys
from collections.abc import Callable
from threading import Thread

import uvicorn

from etl.sandbox.app import SandboxApp
from etl.sandbox.config import SandboxConfig
from etl.sandbox.remote import Sandbox


def listen(host: str = "127.0.0.1", port: int = 0) -> socket.socket:
    """A socket that already queues connections; port 0 takes any free one.

    Raises:
        OSError: the port is taken, or the host is not ours.
    """
    listener = socket.create_server((host, port), backlog=2048)
    # Accepted connections inherit it. asyncio sets it only on sockets that name their protocol, which these do not; and
    # without it the body waits for the client to acknowledge the headers, 40 ms for each answer.
    listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return listener


def url_of(listener: socket.socket) -> str:
    """The base URL behind a listening socket."""
    host, port = listener.getsockname()[:2]
    return f"http://{host}:{port}"


def serve(config: SandboxConfig, listener: socket.socket, on_ready: Callable[[], None] = lambda: None) -> None:
    """Serve in the main thread until SIGINT or SIGTERM.

    Args:
        config: what to serve.
        listener: from :func:`listen`; closed at the end.
        on_ready: called once, when signals are heeded.
    """
    server = _server(config)
    # In place before anybody is told that it is ready, and still there when uvicorn, at its end, raises the signal
    # again: being stopped is the normal end here.
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda _number, _frame: setattr(server, "should_exit", True))
    on_ready()
    with listener:
        server.run(sockets=[listener])


def main() -> None:
    """A process of its own: serves until standard input ends, which is when whoever started it has ended."""
    Thread(target=_end_with_standard_input, daemon=True).start()
    serve(SandboxConfig.model_validate_json(sys.argv[1]), socket.socket(fileno=int(sys.argv[2])))


def _end_with_standard_input() -> None:
    sys.stdin.read()
    os.kill(os.getpid(), signal.SIGTERM)


def _server(config: SandboxConfig) -> uvicorn.Server:
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
        self._server = _server(config)
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

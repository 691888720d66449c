"""Runs the sandbox on a socket: in this thread, in a thread beside it, or in a process of its own."""

import json
import signal
import socket
import subprocess
import sys
from collections.abc import Callable
from threading import Thread

import uvicorn
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from etl.sandbox.app import TRANSPORT, SandboxApp
from etl.sandbox.config import SandboxConfig
from etl.sandbox.remote import Sandbox

LOCALHOST = "127.0.0.1"


class _Protocol(HttpToolsProtocol):
    """Hands the transport to the application: dropping a connection before any byte cannot be said in ASGI."""

    def on_message_begin(self) -> None:
        super().on_message_begin()
        self.scope[TRANSPORT] = self.transport  # type: ignore[literal-required]


def listen(host: str = LOCALHOST, port: int = 0) -> socket.socket:
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


def serve(
    config: SandboxConfig, listener: socket.socket, *, on_ready: Callable[[uvicorn.Server], None] = lambda _server: None
) -> None:
    """Serve in the main thread until SIGINT or SIGTERM, or until ``should_exit`` of the server is set.

    Args:
        config: what to serve.
        listener: from :func:`listen`; closed at the end.
        on_ready: called once, when connections are queued and signals are heeded.

    Raises:
        ValueError: the configuration makes no sense.
    """
    server = _server(config)
    # In place before anybody is told that it is ready, and still there when uvicorn, at its end, raises the signal
    # again: being stopped is the normal end here.
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda _number, _frame: setattr(server, "should_exit", True))
    on_ready(server)
    with listener:
        server.run(sockets=[listener])


class _Server(uvicorn.Server):
    """Does not wait for answers that are late on purpose."""

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        app: SandboxApp = self.config.app  # type: ignore[assignment]
        app.hurry()
        await super().shutdown(sockets)


def _server(config: SandboxConfig) -> uvicorn.Server:
    settings = uvicorn.Config(
        SandboxApp(config),
        http=_Protocol,
        ws="none",
        lifespan="off",
        access_log=False,
        log_config=None,
        log_level=None,
        server_header=False,
        proxy_headers=False,
        timeout_graceful_shutdown=1,
    )
    return _Server(settings)


class RunningSandbox(Sandbox):
    """A sandbox in a thread of this process, on a free port; a context manager.

    Good for tests. Its requests share this process's interpreter lock: measure with :class:`SandboxProcess`.
    """

    def __init__(self, config: SandboxConfig | None = None) -> None:
        config = config or SandboxConfig()
        self._server = _server(config)
        self._listener = listen()
        super().__init__(url_of(self._listener), config)
        self._thread = Thread(
            target=self._server.run, kwargs={"sockets": [self._listener]}, name="sandbox", daemon=True
        )
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
        self._process = subprocess.Popen(
            [sys.executable, "-m", "etl.sandbox", config.to_json()],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        assert self._process.stdout is not None  # noqa: S101 - for the type checker: both ends are pipes
        ready = self._process.stdout.readline()
        if not ready:
            raise RuntimeError(f"the sandbox did not start: exit {self._process.wait()}")
        super().__init__(json.loads(ready)["url"], config)

    @property
    def pid(self) -> int:
        """The process id, for those who measure."""
        return self._process.pid

    def close(self) -> None:
        """Stop it and wait until it has stopped."""
        super().close()
        self._process.terminate()
        self._process.communicate()

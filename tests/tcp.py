"""A TCP server whose every byte is the test's."""

import socket
from collections.abc import Callable
from contextlib import suppress
from threading import Event, Thread

Serve = Callable[[socket.socket, int], None]
"""Serves the connection of that number, the first one being 0, until it returns."""


class Server:
    """Counts its connections, and serves each in a thread."""

    def __init__(self) -> None:
        self.serve: Serve = answering
        self.connections = 0
        self.ended = Event()
        """Set when the test is over."""
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.url = f"http://127.0.0.1:{self._listener.getsockname()[1]}"
        self._open: set[socket.socket] = set()
        self._threads = [Thread(target=self._accept)]
        self._threads[0].start()

    def _accept(self) -> None:
        while True:
            connection, _ = self._listener.accept()
            if self.ended.is_set():
                connection.close()
                return
            self._open.add(connection)
            self._threads.append(Thread(target=self._keep, args=(connection, self.connections)))
            self.connections += 1
            self._threads[-1].start()

    def _keep(self, connection: socket.socket, number: int) -> None:
        with connection, suppress(OSError):
            self.serve(connection, number)
        self._open.discard(connection)

    def close(self) -> None:
        self.ended.set()
        socket.create_connection(self._listener.getsockname()).close()
        self._threads[0].join()
        for connection in list(self._open):
            with suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)
        for thread in self._threads:
            thread.join()
        self._listener.close()


def heard(connection: socket.socket) -> bytes:
    """Wait for a request, which is short; empty when the other side has closed."""
    return connection.recv(65536)


def answer(connection: socket.socket, body: bytes = b"yes") -> None:
    connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%s" % (len(body), body))


def answering(connection: socket.socket, _number: int) -> None:
    while heard(connection):
        answer(connection)


def reset(connection: socket.socket) -> None:
    """Close it without a good-bye, as a gateway does that has forgotten it."""
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")

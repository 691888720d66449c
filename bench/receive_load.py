"""Posts prepared requests over a number of connections, each waiting for its answer; cheap, so that it measures others.

A client library would take several times the processor time of the server that is measured, on the same machine.
"""

import select
import socket
import time
from collections.abc import Sequence
from dataclasses import dataclass

ANSWERED = b"\r\n\r\n"
"""Every answer measured here has an empty body."""
PATIENCE = 30.0
"""Seconds without any answer after which the receiver is given up."""


@dataclass(frozen=True, slots=True)
class Load:
    """What came of it."""

    acknowledged: int
    refused: int
    seconds: float
    latencies: list[float]
    """Seconds of each answer, sorted."""

    @property
    def rate(self) -> float:
        """Acknowledged a second."""
        return self.acknowledged / self.seconds

    def within(self, share: float) -> float:
        """Milliseconds within which that share of the answers came."""
        return 1000 * self.latencies[min(len(self.latencies) - 1, int(share * len(self.latencies)))]


def request(host: str, port: int, path: str, body: bytes, headers: dict[str, str]) -> bytes:
    """Return a whole HTTP request."""
    lines = [f"POST {path} HTTP/1.1", f"Host: {host}:{port}", "Content-Type: application/json"]
    lines += [f"{name}: {value}" for name, value in headers.items()]
    lines += [f"Content-Length: {len(body)}", "", ""]
    return "\r\n".join(lines).encode() + body


def run(host: str, port: int, requests: Sequence[bytes], *, connections: int) -> Load:
    """Send every request once.

    Raises:
        RuntimeError: the receiver closed a connection, or fell silent.
    """
    waiting = iter(requests)
    poll = select.epoll()
    clients = {
        client.fileno(): client for client in (socket.create_connection((host, port)) for _ in range(connections))
    }
    sent: dict[int, float] = {}
    received = dict.fromkeys(clients, b"")
    statuses: list[bytes] = []
    latencies: list[float] = []
    began = time.perf_counter()
    for number, client in clients.items():
        poll.register(number, select.EPOLLIN)
        if (following := next(waiting, None)) is not None:
            sent[number] = time.perf_counter()
            client.sendall(following)
    while sent:
        ready = poll.poll(PATIENCE)
        if not ready:
            raise RuntimeError("the receiver fell silent")
        for number, _ in ready:
            chunk = clients[number].recv(65536)
            if not chunk:
                raise RuntimeError("the receiver closed a connection before its answer")
            received[number] += chunk
            if not received[number].endswith(ANSWERED):
                continue
            latencies.append(time.perf_counter() - sent.pop(number))
            statuses.append(received[number][9:12])
            received[number] = b""
            if (following := next(waiting, None)) is not None:
                sent[number] = time.perf_counter()
                clients[number].sendall(following)
    seconds = time.perf_counter() - began
    for client in clients.values():
        client.close()
    poll.close()
    acknowledged = statuses.count(b"200")
    return Load(acknowledged, len(statuses) - acknowledged, seconds, sorted(latencies))

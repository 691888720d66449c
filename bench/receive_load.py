"""Posts prepared requests over a number of connections, each waiting for its answer; cheap, so that it measures others.

What is refused is posted again, as HighLevel does: on a busy machine a commit may take longer than its sender is made
to wait, so the event is stored although it was refused.

A client library would take several times the processor time of the server that is measured, on the same machine.
"""

import select
import socket
import time
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass

ANSWERED = b"\r\n\r\n"
"""Every answer measured here has an empty body."""
PATIENCE = 30.0
"""Seconds without any answer after which the receiver is given up."""
MOST_TRIES = 10
"""Posts of each request after which it is given up, too."""


@dataclass(frozen=True, slots=True)
class Load:
    """What came of it."""

    acknowledged: int
    refused: int
    """Answers that made a request be sent again."""
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
    """Send every request until it is acknowledged.

    Raises:
        RuntimeError: the receiver closed a connection, fell silent, or refuses nearly everything.
    """
    sockets = [socket.create_connection((host, port)) for _ in range(connections)]
    began = time.perf_counter()
    try:
        latencies = _post(sockets, deque(requests), most=MOST_TRIES * len(requests))
        seconds = time.perf_counter() - began
    finally:
        for each in sockets:
            each.close()
    return Load(len(requests), len(latencies) - len(requests), seconds, sorted(latencies))


def _post(sockets: Sequence[socket.socket], waiting: deque[bytes], *, most: int) -> list[float]:
    """Return how long each answer took."""
    latencies: list[float] = []
    sent: dict[socket.socket, tuple[float, bytes]] = {}
    with select.epoll() as poll:
        clients = {each.fileno(): each for each in sockets}
        for number in clients:
            poll.register(number, select.EPOLLIN)
        idle = list(sockets)
        while waiting or sent:
            while waiting and idle:
                client = idle.pop()
                sent[client] = time.perf_counter(), waiting.popleft()
                client.sendall(sent[client][1])
            ready = poll.poll(PATIENCE)
            if not ready or len(latencies) > most:
                raise RuntimeError("the receiver fell silent, or refuses nearly everything")
            for number, _ in ready:
                client = clients[number]
                is_stored = _answer(client)
                at, request = sent.pop(client)
                latencies.append(time.perf_counter() - at)
                if not is_stored:
                    waiting.append(request)
                idle.append(client)
    return latencies


def _answer(client: socket.socket) -> bool:
    """Read an answer; return whether it acknowledges."""
    answer = b""
    while not answer.endswith(ANSWERED):
        chunk = client.recv(65536)
        if not chunk:
            raise RuntimeError("the receiver closed a connection before its answer")
        answer += chunk
    return answer[9:12] == b"200"

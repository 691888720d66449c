"""Posts prepared requests over a number of connections, each waiting for its answer; cheap, so that it measures others.

A client library would take several times the processor time of the server that is measured, on the same machine.
"""

import asyncio
import time
from collections.abc import Sequence
from dataclasses import dataclass

ANSWERED = b"\r\n\r\n"
"""Every answer measured here has an empty body."""


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
    """A whole HTTP request."""
    lines = [f"POST {path} HTTP/1.1", f"Host: {host}:{port}", "Content-Type: application/json"]
    lines += [f"{name}: {value}" for name, value in headers.items()]
    lines += [f"Content-Length: {len(body)}", "", ""]
    return "\r\n".join(lines).encode() + body


def run(host: str, port: int, requests: Sequence[bytes], *, connections: int) -> Load:
    """Send every request once."""
    return asyncio.run(_run(host, port, requests, connections))


async def _run(host: str, port: int, requests: Sequence[bytes], connections: int) -> Load:
    loop = asyncio.get_running_loop()
    waiting = iter(requests)
    clients = []
    for _ in range(connections):
        _, client = await loop.create_connection(lambda: _Client(waiting), host, port)
        clients.append(client)
    began = time.perf_counter()
    for client in clients:
        client.send()
    await asyncio.gather(*(client.done for client in clients))
    seconds = time.perf_counter() - began
    statuses = [status for client in clients for status in client.statuses]
    latencies = sorted(latency for client in clients for latency in client.latencies)
    acknowledged = statuses.count(b"200")
    return Load(acknowledged, len(statuses) - acknowledged, seconds, latencies)


class _Client(asyncio.Protocol):
    def __init__(self, waiting: "object") -> None:
        self._waiting = waiting
        self._received = b""
        self._sent = 0.0
        self.done = asyncio.get_running_loop().create_future()
        self.statuses: list[bytes] = []
        self.latencies: list[float] = []

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = transport

    def connection_lost(self, exc: Exception | None) -> None:
        if not self.done.done():
            self.done.set_exception(exc or ConnectionError("closed before the answer"))

    def send(self) -> None:
        following = next(self._waiting, None)  # type: ignore[call-overload]
        if following is None:
            self.done.set_result(None)
            self._transport.close()
            return
        self._sent = time.perf_counter()
        self._transport.write(following)  # type: ignore[attr-defined]

    def data_received(self, data: bytes) -> None:
        self._received += data
        if self._received.endswith(ANSWERED):
            self.latencies.append(time.perf_counter() - self._sent)
            self.statuses.append(self._received[9:12])
            self._received = b""
            self.send()

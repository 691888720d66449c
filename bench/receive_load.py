"""Posts prepared requests over a number of connections, each waiting for its answer; cheap, so that it measures others.

What is refused is posted again, as HighLevel does: on a busy machine a commit may take longer than its sender is made
to wait, so the event is stored although it was refused.

A client library would take several times the processor time of the server that is measured, on the same machine.
"""

import asyncio
import time
from asyncio import StreamReader, StreamWriter
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
        ExceptionGroup: the receiver closed a connection, fell silent, or refuses nearly everything.
    """
    seconds, latencies = asyncio.run(_post(host, port, requests, connections))
    return Load(len(requests), len(latencies) - len(requests), seconds, sorted(latencies))


async def _post(host: str, port: int, requests: Sequence[bytes], connections: int) -> tuple[float, list[float]]:
    """Return how long it took in all, and how long each answer took."""
    waiting, latencies = deque(requests), list[float]()

    async def post(reader: StreamReader, writer: StreamWriter) -> None:
        while waiting:
            request, sent_at = waiting.popleft(), time.perf_counter()
            writer.write(request)
            async with asyncio.timeout(PATIENCE):
                answer = await reader.readuntil(ANSWERED)
            latencies.append(time.perf_counter() - sent_at)
            if answer[9:12] != b"200":
                waiting.append(request)
            if len(latencies) > MOST_TRIES * len(requests):
                raise RuntimeError("the receiver refuses nearly everything")
        writer.close()

    clients = [await asyncio.open_connection(host, port) for _ in range(connections)]
    began = time.perf_counter()
    async with asyncio.TaskGroup() as group:
        for each in clients:
            group.create_task(post(*each))
    return time.perf_counter() - began, latencies

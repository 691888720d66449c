"""Many posts at the same instant, each on a connection of its own, and connections that only wait."""

import asyncio
import json
import resource
import socket
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager

from etl.sandbox.keys import SandboxKeys

PATIENCE = 60.0
"""Seconds until a post counts as unanswered."""
OPEN_FILES = 8192


def signed_post(keys: SandboxKeys, path: str = "/webhooks/highlevel", **event: object) -> bytes:
    """A whole HTTP request with a signed event."""
    body = json.dumps(event).encode()
    lines = [f"POST {path} HTTP/1.1", "Host: localhost", f"Content-Length: {len(body)}"]
    lines += [f"{name}: {value}" for name, value in keys.sign(body).items()]
    return "\r\n".join([*lines, "", ""]).encode() + body


def post_at_once(port: int, requests: Sequence[bytes]) -> list[tuple[int, bytes]]:
    """Connect for every request, then send all; the status and the head of each answer, 0 where none came."""
    _allow_open_files()
    return asyncio.run(_post_at_once(port, requests))


async def _post_at_once(port: int, requests: Sequence[bytes]) -> list[tuple[int, bytes]]:
    connected = asyncio.Barrier(len(requests))
    return await asyncio.gather(*(_post(port, each, connected) for each in requests))


async def _post(port: int, request: bytes, connected: asyncio.Barrier) -> tuple[int, bytes]:
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    await connected.wait()
    try:
        writer.write(request)
        head = await asyncio.wait_for(reader.readuntil(b"\r\n\r\n"), PATIENCE)
    except (OSError, EOFError, TimeoutError):
        return 0, b""
    finally:
        writer.close()
    return int(head[9:12]), head


def statuses(answers: Sequence[tuple[int, bytes]]) -> Counter[int]:
    """How many answers had each status."""
    return Counter(status for status, _ in answers)


@contextmanager
def connections(port: int, count: int, sent: bytes = b"") -> Iterator[list[socket.socket]]:
    """So many connections on which this was sent and nothing else will be."""
    _allow_open_files()
    with ExitStack() as opened:
        clients = []
        for _ in range(count):
            client = opened.enter_context(socket.create_connection(("127.0.0.1", port), timeout=PATIENCE))
            if sent:
                client.sendall(sent)
            clients.append(client)
        yield clients


def _allow_open_files() -> None:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft < OPEN_FILES:
        resource.setrlimit(resource.RLIMIT_NOFILE, (min(OPEN_FILES, hard), hard))

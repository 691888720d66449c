"""Handles one post: receive it, make an event of it, store it, answer, and log that.

Every answer is one of a few with an empty body. It is 429 whenever an event could not be stored: HighLevel retries that
status under every policy seen, while 5xx and timeouts were lost for good until 2026 (webhook guide).
https://github.com/GoHighLevel/highlevel-api-docs/issues/257
"""

import asyncio
import time
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import structlog
from starlette.datastructures import Headers
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from etl.receive.metrics import Metrics
from etl.receive.signature import WebhookRefusedError
from etl.receive.storage import ANSWER_SECONDS, NotStoredError, Storage
from etl.receive.webhook import Event

log = structlog.get_logger("etl.receive")

MAX_REQUESTS = 2000
"""Most posts under way; more are answered 429."""
MAX_BODY_BYTES = 8 * 1024 * 1024
"""Most bytes of one body: an email's holds its inline pictures."""
MAX_BYTES_IN_HAND = 64 * 1024 * 1024
"""Bytes of all bodies that are being received, or received and not answered."""
BODY_SECONDS = 15.0
"""Seconds for a body to arrive."""
RETRY_AFTER = 5
"""Seconds a sender is asked to wait; HighLevel keeps its own schedule."""

Read = Callable[[], Awaitable[bytes]]
"""Receives the body, which is worth the wait only when the headers are in order."""
Take = Callable[[Headers, Read], Awaitable[Event]]
"""Makes an event of a request, or raises WebhookRefusedError."""


@dataclass(slots=True)
class _Hold:
    """The room that one post takes."""

    store_timeout: asyncio.Timeout
    """Ends a post that is received and not stored in time. Without a deadline until the body is complete."""
    body_bytes: int = 0


class Intake:
    """Handles the posts of all endpoints and bounds those under way."""

    def __init__(self, storage: Storage, metrics: Metrics, *, body_seconds: float = BODY_SECONDS) -> None:
        self._storage = storage
        self._metrics = metrics
        self._body_seconds = body_seconds
        self._requests = 0
        self._bytes = 0

    async def serve(self, take: Take, request: Request) -> Response:
        """Receive one post and answer it."""
        began = time.perf_counter()
        event: Event | None = None
        status, reason = 200, ""
        outcome = "refused"
        try:
            async with asyncio.timeout(None) as store_timeout:
                with self._under_way(store_timeout) as hold:
                    event = await take(request.headers, lambda: self._body(request, hold))
                    outcome = await self._storage.put(event)
            self._metrics.stored.labels(outcome).inc()
        except WebhookRefusedError as error:
            status, reason = error.status, error.reason
        except ClientDisconnect:
            status, reason = 400, "disconnected"
        except TimeoutError:
            status, reason = 429, "slow"
        except asyncio.CancelledError:
            # The receiver stops, and has waited long enough; without an answer of ours uvicorn's would be 500.
            status, reason = 429, "stopping"
        except Exception as error:  # noqa: BLE001 - whatever it is, HighLevel must come again
            # No traceback: its last line could repeat what a customer wrote.
            log.error("receiver_failed", error=type(error).__name__)  # noqa: TRY400
            status, reason = 429, "internal"
        seconds = time.perf_counter() - began
        self._metrics.seconds.observe(seconds)
        if reason:
            self._metrics.refused.labels(status, reason).inc()
        _note(event, status, outcome, reason, seconds)
        return Response(status_code=status, headers={"Retry-After": str(RETRY_AFTER)} if status == 429 else None)

    async def unknown(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request for what is not there: an ASGI application, as Starlette's router wants it."""
        self._metrics.refused.labels(404, "unknown_path").inc()
        log.warning("webhook_refused", status=404, reason="unknown_path")
        await Response(status_code=404)(scope, receive, send)

    @contextmanager
    def _under_way(self, store_timeout: asyncio.Timeout) -> Iterator[_Hold]:
        if self._requests >= MAX_REQUESTS:
            raise NotStoredError("busy")
        self._requests += 1
        hold = _Hold(store_timeout)
        try:
            yield hold
        finally:
            self._requests -= 1
            self._bytes -= hold.body_bytes

    async def _body(self, request: Request, hold: _Hold) -> bytes:
        """Return the body byte for byte, whatever its Content-Type.

        Raises:
            WebhookRefusedError: too large, or too slow.
            NotStoredError: too many bytes are under way.
            ClientDisconnect: the sender has hung up.
        """
        # Digits only, or the HTTP parser would have refused it.
        if int(request.headers.get("content-length", "0")) > MAX_BODY_BYTES:
            raise WebhookRefusedError(413, "too_large")
        chunks = []
        try:
            async with asyncio.timeout(self._body_seconds):
                async for chunk in request.stream():
                    chunks.append(chunk)
                    hold.body_bytes += len(chunk)
                    self._bytes += len(chunk)
                    if hold.body_bytes > MAX_BODY_BYTES:
                        raise WebhookRefusedError(413, "too_large")
                    if self._bytes > MAX_BYTES_IN_HAND:
                        raise NotStoredError("bytes_full")
        except TimeoutError:
            raise WebhookRefusedError(408, "too_slow") from None
        hold.store_timeout.reschedule(asyncio.get_running_loop().time() + ANSWER_SECONDS)
        return b"".join(chunks)


def _note(event: Event | None, status: int, outcome: str, reason: str, seconds: float) -> None:
    """Log one line, with nothing that a customer wrote and nothing of an event that was not verified."""
    fields: dict[str, object] = {"status": status, "ms": round(seconds * 1000, 1)}
    if reason:
        fields["reason"] = reason
    if event is not None:
        fields |= {"outcome": outcome, "type": event.type, "location_id": event.location_id}
        fields["webhook_id"] = event.webhook_id
    if status == 200:
        log.info("webhook", **fields)
    else:
        log.warning("webhook_refused", **fields)

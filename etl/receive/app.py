"""The receiver's HTTP: no work in a request but to verify, parse, hand on and answer.

Every answer of the webhook routes is one of a few with an empty body. It is 429 whenever an event could not be stored:
HighLevel retries that status under every policy seen, while 5xx and timeouts were lost for good until 2026 (docs issue
257, webhook guide).
"""

import asyncio
import time
import uuid
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from functools import cache

import structlog
from prometheus_client import CONTENT_TYPE_LATEST
from starlette.applications import Starlette
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response
from starlette.routing import Route

from etl.receive import webhook
from etl.receive.connections import RETRY_AFTER
from etl.receive.inbox import Inbox
from etl.receive.metrics import Metrics
from etl.receive.storing import NotStoredError
from etl.receive.webhook import Event, Keys, Policy, WebhookRefusedError

log = structlog.get_logger("etl.receive")

MOST_BODY_BYTES = 1024 * 1024
"""Bytes of one body."""
MOST_ARRIVING_BYTES = 64 * 1024 * 1024
"""Bytes of all bodies that are being received."""
BODY_SECONDS = 10.0
"""How long a body may take to arrive."""

SECRET_HEADER = "X-Webhook-Secret"  # noqa: S105 - a name
"""What the workflow action must send, unless it sends the secret as ``Authorization: Bearer``."""

Take = Callable[[Request], Awaitable[Event]]


def build_app(*, inbox: Inbox, keys: Keys, policy: Policy, workflow_secret: str | None, metrics: Metrics) -> Starlette:
    """The application; without a workflow secret it has no workflow endpoint."""
    receiver = Receiver(inbox=inbox, keys=keys, policy=policy, workflow_secret=workflow_secret, metrics=metrics)
    routes = [
        Route("/webhooks/highlevel", receiver.highlevel, methods=["POST"]),
        Route("/healthz", receiver.healthz),
        Route("/readyz", receiver.readyz),
        Route("/metrics", receiver.metrics),
    ]
    if workflow_secret:
        routes.append(Route("/webhooks/workflow", receiver.workflow, methods=["POST"]))
    return Starlette(routes=routes)


class Receiver:
    """The endpoints."""

    def __init__(
        self, *, inbox: Inbox, keys: Keys, policy: Policy, workflow_secret: str | None, metrics: Metrics
    ) -> None:
        self._inbox = inbox
        self._keys = keys
        self._policy = policy
        self._workflow_secret = workflow_secret
        self._metrics = metrics
        self._arriving = 0

    async def highlevel(self, request: Request) -> Response:
        """An event of our app."""
        return await self._answer(request, self._signed)

    async def workflow(self, request: Request) -> Response:
        """A post of a workflow's webhook action."""
        return await self._answer(request, self._from_workflow)

    async def healthz(self, _request: Request) -> Response:
        """The process is alive."""
        return Response("alive\n", media_type="text/plain")

    async def readyz(self, _request: Request) -> Response:
        """Postgres is reachable, and its schema the one this version writes."""
        reason = self._inbox.trouble or ("ready" if self._inbox.ready else "schema_not_at_head")
        return Response(f"{reason}\n", 200 if self._inbox.ready else 503, media_type="text/plain")

    async def metrics(self, _request: Request) -> Response:
        """For Prometheus."""
        return Response(self._metrics.text(), media_type=CONTENT_TYPE_LATEST)

    async def _answer(self, request: Request, take: Take) -> Response:
        began = time.perf_counter()
        event: Event | None = None
        try:
            event = await take(request)
            outcome = await self._inbox.put(event)
            status, reason = 200, None
            self._metrics.stored.labels(outcome).inc()
        except (WebhookRefusedError, NotStoredError, ClientDisconnect) as error:
            status, reason = _verdict(error)
            outcome = "refused"
        except Exception as error:  # noqa: BLE001 - whatever it is, HighLevel must come again
            # No traceback: its last line could repeat what a customer wrote.
            log.error("receiver_failed", error=type(error).__name__)  # noqa: TRY400
            status, reason, outcome = 429, "internal", "refused"
        seconds = time.perf_counter() - began
        self._metrics.seconds.observe(seconds)
        if reason is not None:
            self._metrics.refused.labels(status, reason).inc()
        _note(event, status, outcome, reason, seconds)
        return _response(status)

    async def _signed(self, request: Request) -> Event:
        signature = webhook.signature_of(
            request.headers.getlist("x-ghl-signature"), request.headers.getlist("x-wh-signature")
        )
        body = await self._body(request)
        webhook.verify(body, signature, self._keys)
        return webhook.admit(webhook.parse(body), self._policy, now=datetime.now(UTC))

    async def _from_workflow(self, request: Request) -> Event:
        bearer = request.headers.get("authorization", "")
        given = request.headers.get(SECRET_HEADER) or bearer.removeprefix("Bearer ").strip()
        webhook.require_secret(given, self._workflow_secret or "")
        body = await self._body(request)
        # Posted once, without an id and never again, so no two posts are the same event: a second one about the same
        # message means that it changed.
        event = webhook.parse_workflow(body, webhook_id=f"workflow:{uuid.uuid4()}")
        if not event.location_id:
            return event
        return webhook.admit(event, Policy(locations=self._policy.locations), now=datetime.now(UTC))

    async def _body(self, request: Request) -> bytes:
        """The body, byte for byte.

        Raises:
            WebhookRefusedError: not said to be JSON, too large, or too slow.
            NotStoredError: too much is arriving at once.
        """
        media_type = request.headers.get("content-type", "application/json").partition(";")[0].strip().lower()
        if media_type != "application/json" and not media_type.endswith("+json"):
            raise WebhookRefusedError(400, "content_type")
        if int(request.headers.get("content-length", 0)) > MOST_BODY_BYTES:
            raise WebhookRefusedError(413, "too_large")
        body = bytearray()
        try:
            async with asyncio.timeout(BODY_SECONDS):
                more = True
                while more:
                    message = await request.receive()
                    if message["type"] == "http.disconnect":
                        raise ClientDisconnect
                    chunk, more = message.get("body", b""), message.get("more_body", False)
                    body += chunk
                    self._arriving += len(chunk)
                    if len(body) > MOST_BODY_BYTES:
                        raise WebhookRefusedError(413, "too_large")
                    if self._arriving > MOST_ARRIVING_BYTES:
                        raise NotStoredError("arriving_full")
        except TimeoutError as error:
            raise WebhookRefusedError(408, "body_slow") from error
        finally:
            self._arriving -= len(body)
        return bytes(body)


def _verdict(error: WebhookRefusedError | NotStoredError | ClientDisconnect) -> tuple[int, str]:
    """Status and reason of a refusal."""
    if isinstance(error, WebhookRefusedError):
        return error.status, error.reason
    if isinstance(error, NotStoredError):
        return 429, error.reason
    return 400, "disconnected"


@cache
def _response(status: int) -> Response:
    """One of the few answers; the same object each time, for none of them is ever changed."""
    headers = {}
    if status == 429:
        headers["Retry-After"] = str(RETRY_AFTER)
    if status == 408:
        headers["Connection"] = "close"
    return Response(status_code=status, headers=headers)


def _note(event: Event | None, status: int, outcome: str, reason: str | None, seconds: float) -> None:
    """One line a request, with nothing in it that a customer wrote and nothing of an event that was not verified."""
    fields: dict[str, object] = {"status": status, "ms": round(seconds * 1000, 1)}
    if reason is not None:
        fields["reason"] = reason
    if event is not None:
        fields |= {"outcome": outcome, "type": event.type, "location_id": event.location_id}
        fields["webhook_id"] = event.webhook_id
    if status == 200:
        log.info("webhook", **fields)
    else:
        log.warning("webhook_refused", **fields)

"""The receiver's routes, and whose events they take."""

import uuid
from datetime import UTC, datetime
from functools import partial

from prometheus_client import CONTENT_TYPE_LATEST
from starlette.datastructures import Headers
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route, Router

from etl.receive import signature, webhook
from etl.receive.endpoint import Intake, Read
from etl.receive.metrics import Metrics
from etl.receive.signature import Keys
from etl.receive.storage import Storage
from etl.receive.webhook import Event, Policy

SECRET_HEADER = "X-Webhook-Secret"  # noqa: S105 - a name
"""What the workflow action must send, unless it sends the secret as ``Authorization: Bearer``."""


def build_app(*, storage: Storage, keys: Keys, policy: Policy, workflow_secret: str | None, metrics: Metrics) -> Router:
    """The application; without a workflow secret it has no workflow endpoint."""

    async def healthz(_request: Request) -> Response:
        """The process is alive."""
        return Response("alive\n", media_type="text/plain")

    async def readyz(_request: Request) -> Response:
        """Postgres is reachable, takes writes, and has the schema of this version."""
        trouble = storage.trouble
        return Response(f"{trouble or 'ready'}\n", 503 if trouble else 200, media_type="text/plain")

    async def measurements(_request: Request) -> Response:
        """For Prometheus."""
        return Response(metrics.text(), media_type=CONTENT_TYPE_LATEST)

    intake = Intake(storage, metrics)
    signed = partial(intake.serve, partial(take_signed, keys, policy))
    routes = [
        Route("/webhooks/highlevel", signed, methods=["POST"]),
        Route("/healthz", healthz),
        Route("/readyz", readyz),
        Route("/metrics", measurements),
    ]
    if workflow_secret:
        workflow = partial(intake.serve, partial(take_from_workflow, workflow_secret, policy))
        routes.append(Route("/webhooks/workflow", workflow, methods=["POST"]))
    # Without Starlette's layers around it, which would answer an error with 500: HighLevel must see 429.
    return Router(routes, lifespan=storage.lifespan)


async def take_signed(keys: Keys, policy: Policy, headers: Headers, read: Read) -> Event:
    """The event in a post, when HighLevel signed it and it is meant for us."""
    given = signature.signature_of(headers.getlist("x-ghl-signature"), headers.getlist("x-wh-signature"))
    body = await read()
    signature.verify(body, given, keys)
    return webhook.admit(webhook.parse(body), policy, now=datetime.now(UTC))


async def take_from_workflow(secret: str, policy: Policy, headers: Headers, read: Read) -> Event:
    """The event in a post of a workflow's webhook action, when it knows the secret."""
    bearer = headers.get("authorization", "")
    given = headers.get(SECRET_HEADER, "") or bearer.removeprefix("Bearer ").strip()
    signature.require_secret(given, secret)
    # Posted once, without an id and never again, so no two posts are the same event: a second one about the same
    # message means that it changed.
    event = webhook.parse_workflow(await read(), webhook_id=f"workflow:{uuid.uuid4()}")
    if not event.location_id:
        return event
    return webhook.admit(event, Policy(locations=policy.locations, kinds=policy.kinds), now=datetime.now(UTC))

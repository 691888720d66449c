"""The receiver's routes, and whose events they take."""

import uuid
from datetime import UTC, datetime

from prometheus_client import CONTENT_TYPE_LATEST
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route, Router

from etl.receive import signature, webhook
from etl.receive.endpoint import Endpoint, Headers, Intake, Read
from etl.receive.metrics import Metrics
from etl.receive.signature import Keys
from etl.receive.storage import Storage
from etl.receive.webhook import Event, Policy

SECRET_HEADER = "X-Webhook-Secret"  # noqa: S105 - a name
"""What the workflow action must send, unless it sends the secret as ``Authorization: Bearer``."""


def build_app(*, storage: Storage, keys: Keys, policy: Policy, workflow_secret: str | None, metrics: Metrics) -> Router:
    """The application; without a workflow secret it has no workflow endpoint."""
    intake = Intake(storage, metrics)
    pages = Pages(storage, metrics)
    routes = [
        Route("/webhooks/highlevel", Endpoint(intake, Signed(keys, policy).take), methods=["POST"]),
        Route("/healthz", pages.healthz),
        Route("/readyz", pages.readyz),
        Route("/metrics", pages.metrics),
    ]
    if workflow_secret:
        workflow = Endpoint(intake, FromWorkflow(workflow_secret, policy).take)
        routes.append(Route("/webhooks/workflow", workflow, methods=["POST"]))
    # Without Starlette's layers around it, which would answer an error with 500: HighLevel must see 429.
    return Router(routes, lifespan=storage.lifespan)


class Signed:
    """Events of our app."""

    def __init__(self, keys: Keys, policy: Policy) -> None:
        self._keys = keys
        self._policy = policy

    async def take(self, headers: Headers, read: Read) -> Event:
        """The event, when HighLevel signed it and it is meant for us."""
        given = signature.signature_of(headers.get("x-ghl-signature", ()), headers.get("x-wh-signature", ()))
        body = await read()
        signature.verify(body, given, self._keys)
        return webhook.admit(webhook.parse(body), self._policy, now=datetime.now(UTC))


class FromWorkflow:
    """Posts of a workflow's webhook action."""

    def __init__(self, secret: str, policy: Policy) -> None:
        self._secret = secret
        self._policy = Policy(locations=policy.locations, kinds=policy.kinds)

    async def take(self, headers: Headers, read: Read) -> Event:
        """The event, when the post knows the secret."""
        bearer = headers.get("authorization", [""])[0]
        given = headers.get(SECRET_HEADER.lower(), [""])[0] or bearer.removeprefix("Bearer ").strip()
        signature.require_secret(given, self._secret)
        # Posted once, without an id and never again, so no two posts are the same event: a second one about the same
        # message means that it changed.
        event = webhook.parse_workflow(await read(), webhook_id=f"workflow:{uuid.uuid4()}")
        if not event.location_id:
            return event
        return webhook.admit(event, self._policy, now=datetime.now(UTC))


class Pages:
    """What the operator's machines ask."""

    def __init__(self, storage: Storage, metrics: Metrics) -> None:
        self._storage = storage
        self._metrics = metrics

    async def healthz(self, _request: Request) -> Response:
        """The process is alive."""
        return Response("alive\n", media_type="text/plain")

    async def readyz(self, _request: Request) -> Response:
        """Postgres is reachable, takes writes, and has the schema of this version."""
        trouble = self._storage.trouble
        return Response(f"{trouble or 'ready'}\n", 503 if trouble else 200, media_type="text/plain")

    async def metrics(self, _request: Request) -> Response:
        """For Prometheus."""
        return Response(self._metrics.text(), media_type=CONTENT_TYPE_LATEST)

"""The receiver's routes, and whose events they take."""

import uuid
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from functools import partial

from prometheus_client import CONTENT_TYPE_LATEST
from starlette.concurrency import run_in_threadpool
from starlette.datastructures import Headers, MutableHeaders
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route, Router
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from etl.receive import signature, webhook
from etl.receive.endpoint import Intake, Read, Take
from etl.receive.metrics import Metrics
from etl.receive.policy import Policy, admit
from etl.receive.signature import Keys
from etl.receive.storage import Storage
from etl.receive.webhook import Event

CONTENT_SECURITY_POLICY = "default-src 'none'; frame-ancestors 'none'"
SECRET_HEADER = "X-Webhook-Secret"  # noqa: S105 - a name
"""The header with the secret of a workflow; ``Authorization: Bearer`` works, too."""


def build_app(
    *,
    storage: Storage,
    keys: Keys,
    policy: Policy,
    workflow_secret: str | None,
    metrics: Metrics,
    private_port: int | None,
    work: Callable[[], bytes],
    pages: Sequence[Route],
) -> ASGIApp:
    """Return the application; without a workflow secret it has no workflow endpoint.

    With a ``private_port``, readiness, metrics and ``pages`` are served only there, and webhooks are not. ``work``
    returns metrics of runs, and may take a while.
    """

    async def healthz(_request: Request) -> Response:
        """Answer that the process is alive."""
        return Response("alive\n", media_type="text/plain")

    async def readyz(_request: Request) -> Response:
        """Answer whether events can be stored: Postgres is reachable, writable, and has the right tables."""
        trouble = storage.trouble
        return Response(f"{trouble or 'ready'}\n", 503 if trouble else 200, media_type="text/plain")

    async def measurements(_request: Request) -> Response:
        """For Prometheus."""
        return Response(metrics.text() + await run_in_threadpool(work), media_type=CONTENT_TYPE_LATEST)

    intake = Intake(storage, metrics)
    takes: dict[str, Take] = {"/webhooks/highlevel": partial(take_signed, keys, policy)}
    if workflow_secret:
        takes["/webhooks/workflow"] = partial(take_from_workflow, workflow_secret, policy)
    # A slash at the end is typed easily, and a redirect might not be followed.
    webhooks = [
        Route(path + slash, partial(intake.serve, take), methods=["POST"])
        for path, take in takes.items()
        for slash in ("", "/")
    ]
    alive = [Route("/healthz", healthz)]
    telling = [Route("/readyz", readyz), Route("/metrics", measurements), *pages]
    # Without Starlette's layers around it, which would answer an error with 500: HighLevel must see 429.
    router = partial(Router, redirect_slashes=False, default=intake.unknown, lifespan=storage.lifespan)
    if private_port is None:
        return with_content_security_policy(router([*webhooks, *alive, *telling]))
    public, private = router([*webhooks, *alive]), router([*alive, *telling])

    async def by_port(scope: Scope, receive: Receive, send: Send) -> None:
        is_private = scope["type"] == "http" and scope["server"][1] == private_port
        await (private if is_private else public)(scope, receive, send)

    return with_content_security_policy(by_port)


def with_content_security_policy(app: ASGIApp) -> ASGIApp:
    """Add a policy that forbids browsers everything, where an answer has none of its own: only the page needs more."""

    async def answer(scope: Scope, receive: Receive, send: Send) -> None:
        async def add(message: Message) -> None:
            if message["type"] == "http.response.start":
                MutableHeaders(scope=message).setdefault("Content-Security-Policy", CONTENT_SECURITY_POLICY)
            await send(message)

        await app(scope, receive, add if scope["type"] == "http" else send)

    return answer


async def take_signed(keys: Keys, policy: Policy, headers: Headers, read: Read) -> Event:
    """Return the event in a post signed by HighLevel and meant for us."""
    given = signature.signature_of(headers.getlist(signature.ED25519_HEADER), headers.getlist(signature.RSA_HEADER))
    body = await read()
    signature.verify(body, given, keys)
    return admit(webhook.parse(body), policy, now=datetime.now(UTC))


async def take_from_workflow(secret: str, policy: Policy, headers: Headers, read: Read) -> Event:
    """Return the event in a post of a workflow's webhook action, when it knows the secret."""
    bearer = headers.get("authorization", "")
    given = headers.get(SECRET_HEADER, "") or bearer.removeprefix("Bearer ").strip()
    signature.require_secret(given, secret)
    # Posted once, without an id and never again, so no two posts are the same event: a second one about the same
    # message means that it changed.
    event = webhook.parse_workflow(await read(), webhook_id=f"workflow:{uuid.uuid4()}")
    if not event.location_id:
        return event
    return admit(event, Policy(locations=policy.locations, kinds=policy.kinds), now=datetime.now(UTC))

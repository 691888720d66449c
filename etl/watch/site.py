"""Serves the page behind a password; refuses forms of other sites."""

import base64
import hmac
from collections.abc import Awaitable, Callable
from urllib.parse import parse_qs, urlsplit

from sqlalchemy.exc import SQLAlchemyError
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response
from starlette.routing import Route

from etl.state.dead_letters import LetterFilter
from etl.watch.page import Page

MAX_FORM = 4096
"""Bytes."""
CHALLENGE = {"WWW-Authenticate": 'Basic realm="highlevel-etl", charset="UTF-8"'}
Answer = Callable[[Request], Awaitable[Response]]


def routes(page: Page, password: str) -> list[Route]:
    """Return the routes: the page, without scripts or anything from elsewhere, and what its buttons do."""
    own = f"style-src '{page.style_hash}'; form-action 'self'"
    policy = f"default-src 'none'; {own}; base-uri 'none'; frame-ancestors 'none'"

    async def show(_request: Request) -> Response:
        return Response(page.html, media_type="text/html", headers={"Content-Security-Policy": policy})

    async def retry(request: Request) -> Response:
        if not is_own(request):
            return Response("This form comes from another site.\n", 403, media_type="text/plain")
        body = b""
        async for chunk in request.stream():
            body += chunk
            if len(body) > MAX_FORM:
                return Response(status_code=413)
        fields = {name: values[0] for name, values in parse_qs(body.decode(errors="replace")).items()}
        if "kind" not in fields or not fields.keys() & {"cause", "message_id"}:
            return Response("Nothing is chosen.\n", 400, media_type="text/plain")
        try:
            await run_in_threadpool(page.retry, _chosen(fields))
        except SQLAlchemyError:
            return Response("Postgres did not take it. Try again.\n", 503, media_type="text/plain")
        return RedirectResponse(".", 303)

    return [
        Route("/", _guarded(show, password), methods=["GET"]),
        Route("/retry", _guarded(retry, password), methods=["POST"]),
    ]


def is_own(request: Request) -> bool:
    """Whether a form was sent from our page: browsers say so in a header, and without one it is refused."""
    site = request.headers.get("sec-fetch-site")
    if site is not None:
        return site == "same-origin"
    origin = request.headers.get("origin")
    return origin is not None and urlsplit(origin).netloc == request.headers.get("host")


def _chosen(fields: dict[str, str]) -> LetterFilter:
    message_id = fields.get("message_id")
    return LetterFilter(
        message_ids=None if message_id is None else [message_id],
        cause=fields.get("cause"),
        kind=fields["kind"],
        location_ids=None if message_id is None else [fields.get("location_id", "")],
    )


def _guarded(answer: Answer, password: str) -> Answer:
    async def guarded(request: Request) -> Response:
        if not hmac.compare_digest(_given(request.headers.get("authorization", "")), password.encode()):
            return Response("A password is needed.\n", 401, headers=CHALLENGE, media_type="text/plain")
        return await answer(request)

    return guarded


def _given(header: str) -> bytes:
    """Return the password of HTTP Basic; any name will do."""
    scheme, _, encoded = header.partition(" ")
    try:
        return base64.b64decode(encoded, validate=True).partition(b":")[2] if scheme.lower() == "basic" else b""
    except ValueError:
        return b""

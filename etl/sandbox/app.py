"""The sandbox as an ASGI application; the only module that decides in which order a request is judged.

The order is HighLevel's as far as it can be seen from outside: token, Version header, scope, rate limit, then what is
asked for.
"""

import asyncio
import time
from collections.abc import Callable, Collection
from typing import Any
from urllib.parse import parse_qsl

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route, Router
from starlette.types import Receive, Scope, Send

from etl.sandbox.config import SandboxConfig
from etl.sandbox.control import HANDLERS, control_routes
from etl.sandbox.dataset import encode
from etl.sandbox.endpoints import ENDPOINTS, Ask, Endpoint
from etl.sandbox.faults import HTML, NO_ACCESS, TRACE, Reply, refuse, spoil
from etl.sandbox.oauth import NO_SCOPE, RefusedError, unauthorized
from etl.sandbox.world import World

VERSIONS = frozenset({"2021-04-15", "2021-07-28", "2023-02-21", "v3"})

_WRONG_CLASS = (
    "This authClass type is not allowed to access this scope. Please try with a different token or contact support."
)


class SandboxApp:
    """One sandbox. Keeps its state in memory; ``clock`` gives seconds since 1970.

    Attributes:
        connections: the server's, each with ``client`` and ``transport``: closing one without an answer is not
            something ASGI can say.
    """

    def __init__(self, config: SandboxConfig, *, clock: Callable[[], float] = time.time) -> None:
        self.world = World(config, clock)
        self.connections: Collection[Any] = ()
        api = [Route(each.path, _Served(self, each), methods=["GET"]) for each in ENDPOINTS]
        others = Starlette(routes=control_routes(self.world), exception_handlers=HANDLERS | {404: _unknown_route})
        # Not one application: Starlette's layers around each request would make the sandbox the bottleneck.
        self._routes = Router(api, default=others)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request."""
        await self._routes(scope, receive, send)


class _Served:
    """One endpoint, served: ASGI itself, for Starlette's responses are neither held nor cut nor dropped."""

    def __init__(self, app: SandboxApp, endpoint: Endpoint) -> None:
        self._app = app
        self._world = app.world
        self._endpoint = endpoint

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        world = self._world
        query = dict(parse_qsl(scope["query_string"].decode())) | scope["path_params"]
        asked_id = query.get("id", query.get("locationId", ""))
        name = f"{self._endpoint.name}/{asked_id}" if self._endpoint.name else asked_id
        headers = dict(scope["headers"])
        stats = world.stats
        stats.begin(name, world.clock())
        location_id, outcome = "", "dropped"
        try:
            try:
                location_id = self._authenticate(headers)
                reply = self._judge(name, asked_id, query, location_id)
            except RefusedError as error:
                reply = Reply(error.status, encode(error.answer | {"traceId": TRACE}))
            if world.faults.latency:
                await asyncio.sleep(world.faults.latency)
            if reply.is_held:
                await self._hold()
            if reply.ending == "drop":
                await self._drop(scope, receive)
                return
            if reply.ending == "whole":
                if b"gzip" in headers.get(b"accept-encoding", b""):
                    reply.compress()
                outcome = str(reply.status)
            await self._send(reply, send)
        finally:
            stats.end(name, location_id, outcome)

    def _authenticate(self, headers: dict[bytes, bytes]) -> str:
        scheme, _, token = headers.get(b"authorization", b"").decode("latin-1").partition(" ")
        principal = self._world.authority.principal(token if scheme.lower() == "bearer" else "")
        version = headers.get(b"version")
        if version is None:
            raise unauthorized("version header was not found.")
        if version.decode("latin-1") not in VERSIONS:
            raise unauthorized("version header is invalid")
        if principal.location_id is None:
            # An agency's private token and a company's OAuth token are told different things (public probes).
            raise unauthorized(_WRONG_CLASS if principal.oauth else "Token's user type mismatch!")
        if self._endpoint.scope in self._world.lacking.get(principal.location_id, ()):
            raise unauthorized(NO_SCOPE)
        return principal.location_id

    def _judge(self, name: str, asked_id: str, query: dict[str, str], location_id: str) -> Reply:
        world = self._world
        now = world.clock()
        allowance = world.allowances[location_id]
        if not allowance.take(now):
            reply = refuse(429, "Too Many Requests")
            reply.headers = allowance.headers(now)
            return reply
        world.stats.counted(location_id, now)
        ask = Ask(asked_id, query, world.faults.choose(name))
        reply = self._find(ask, location_id)
        if ask.fault is not None:
            other_id = next(known for known in world.messages if known != ask.id)
            reply = spoil(reply, ask.fault, own_id=ask.id, other_id=other_id)
        if reply.content_type != HTML:
            reply.headers += allowance.headers(now)
        return reply

    def _find(self, ask: Ask, location_id: str) -> Reply:
        world = self._world
        thing = world.things.get(ask.id)
        owners = (ask.query.get("locationId"), None if thing is None else thing.location_id)
        if any(owner not in (None, location_id) for owner in owners):
            return refuse(403, NO_ACCESS, error="Forbidden")
        is_missing = ask.fault is not None and ask.fault.kind == "missing"
        reply = None if is_missing else self._endpoint.answer(world, ask)
        return refuse(*self._endpoint.missing) if reply is None else reply

    async def _send(self, reply: Reply, send: Send) -> None:
        """Send a reply: whole, or with a pause, or half: the server closes a connection whose answer lacks an end."""
        is_cut = reply.ending == "cut"
        await send({"type": "http.response.start", "status": reply.status, "headers": reply.all_headers()})
        if reply.held_after:
            await send({"type": "http.response.body", "body": reply.body[: reply.held_after], "more_body": True})
            await self._hold()
        rest = reply.body[reply.held_after : len(reply.body) // 2 if is_cut else None]
        await send({"type": "http.response.body", "body": rest, "more_body": is_cut})

    async def _hold(self) -> None:
        released = self._world.released
        stats = self._world.stats
        stats.held += 1
        try:
            await released.wait()
        finally:
            stats.held -= 1

    async def _drop(self, scope: Scope, receive: Receive) -> None:
        for connection in list(self._app.connections):
            if connection.client == scope["client"]:
                connection.transport.abort()
        # Returning before the server has noticed would make it answer 500.
        while (await receive())["type"] != "http.disconnect":
            pass


async def _unknown_route(request: Request, _error: Exception) -> Response:
    """HighLevel's framework says it so."""
    reply = refuse(404, f"Cannot {request.method} {request.url.path}", error="Not Found")
    return Response(reply.body, reply.status, media_type="application/json")

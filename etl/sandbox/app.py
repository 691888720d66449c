"""The sandbox as an ASGI application; the only module that decides in which order a request is judged.

The order is HighLevel's, as far as it can be seen from outside: token, Version header, location, rate limit, and then
the requested thing.
"""

import asyncio
import time
from collections.abc import Callable, Collection
from typing import Any
from urllib.parse import parse_qsl

from starlette.routing import Route, Router
from starlette.types import Receive, Scope, Send

from etl.sandbox.config import SandboxConfig
from etl.sandbox.control import controls
from etl.sandbox.endpoints import ENDPOINTS, Endpoint, Query
from etl.sandbox.faults import NO_ACCESS, NOTHING, Fault, spoil
from etl.sandbox.replies import HTML, RefusedError, Reply
from etl.sandbox.world import World

VERSIONS = frozenset({"2021-04-15", "2021-07-28", "2023-02-21", "v3"})

_WRONG_CLASS = (
    "This authClass type is not allowed to access this scope. Please try with a different token or contact support."
)


class SandboxApp(Router):
    """One sandbox. Keeps its state in memory; ``clock`` gives seconds since 1970.

    Attributes:
        connections: the server's, each with ``client`` and ``transport``: closing one without an answer is not
            something ASGI can say.
    """

    def __init__(self, config: SandboxConfig, *, clock: Callable[[], float] = time.time) -> None:
        self.world = World(config, clock)
        self.connections: Collection[Any] = ()
        api = [Route(each.path, _Served(self, each), methods=["GET"]) for each in ENDPOINTS]
        # Not one application: Starlette's layers around each request would make the sandbox the bottleneck.
        super().__init__(api, default=controls(self.world))


class _Served:
    """One endpoint, served: ASGI itself, for Starlette's responses are neither held nor cut nor dropped."""

    def __init__(self, app: SandboxApp, endpoint: Endpoint) -> None:
        self._app = app
        self._world = app.world
        self._endpoint = endpoint

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        world, headers = self._world, dict(scope["headers"])
        query = dict(parse_qsl(scope["query_string"].decode())) | scope["path_params"]
        asked_id = query.get("id", query.get("locationId", ""))
        name = f"{self._endpoint.name}/{asked_id}" if self._endpoint.name else asked_id
        stats, location_id, fault, outcome = world.stats, "", NOTHING, "dropped"
        stats.begin(name, world.clock())
        try:
            try:
                location_id = self._authenticate(headers)
                fault = self._admit(location_id, name)
                reply = self._find(asked_id, query, location_id, fault.kind)
            except RefusedError as error:
                reply = error.reply()
            reply = spoil(reply, fault, asked_id, world.dataset.messages)
            if location_id and reply.content_type != HTML:
                reply.headers += world.allowances[location_id].headers(world.clock())
            if b"gzip" in headers.get(b"accept-encoding", b""):
                reply.compress()
            if world.faults.latency:
                await asyncio.sleep(world.faults.latency)
            if fault.kind == "drop":
                await self._drop(scope, receive)
                return
            if fault.kind != "cut":
                outcome = str(reply.status)
            await self._send(reply, fault, send)
        finally:
            stats.end(name, location_id, outcome)

    def _authenticate(self, headers: dict[bytes, bytes]) -> str:
        """Return the location of the request's token."""
        scheme, _, token = headers.get(b"authorization", b"").decode("latin-1").partition(" ")
        location_id = self._world.authority.location_of(token if scheme.lower() == "bearer" else "")
        version = headers.get(b"version")
        if version is None:
            raise RefusedError(401, "version header was not found.")
        if version.decode("latin-1") not in VERSIONS:
            raise RefusedError(401, "version header is invalid")
        if location_id is None:
            raise RefusedError(401, _WRONG_CLASS)
        return location_id

    def _admit(self, location_id: str, name: str) -> Fault:
        """Let a request in if its location may send one, and choose its fault."""
        if not self._world.allowances[location_id].take(self._world.clock()):
            raise RefusedError(429, "Too Many Requests")
        return self._world.faults.choose(name)

    def _find(self, asked_id: str, query: Query, location_id: str, fault: str) -> Reply:
        endpoint, thing = self._endpoint, self._world.things.get(asked_id)
        owners = {query.get("locationId", location_id), thing.location_id if thing else location_id}
        if owners != {location_id}:
            raise RefusedError(403, NO_ACCESS)
        if thing and thing.kind == endpoint.kind and fault != "missing":
            reply = endpoint.answer(self._world, thing, query, fault)
            if reply:
                return reply
        raise RefusedError(endpoint.missing, f"{(endpoint.name or endpoint.kind).capitalize()} not found")

    async def _send(self, reply: Reply, fault: Fault, send: Send) -> None:
        """Send a reply: whole, or with a pause, or half: the server closes a connection whose answer lacks an end."""
        if fault.kind == "hold":
            await self._hold()
        await send({"type": "http.response.start", "status": reply.status, "headers": reply.all_headers()})
        if fault.held_after:
            await send({"type": "http.response.body", "body": reply.body[: fault.held_after], "more_body": True})
            await self._hold()
        is_cut = fault.kind == "cut"
        rest = reply.body[fault.held_after : len(reply.body) // 2 if is_cut else None]
        await send({"type": "http.response.body", "body": rest, "more_body": is_cut})

    async def _hold(self) -> None:
        stats, released = self._world.stats, self._world.released
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

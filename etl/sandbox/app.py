"""The sandbox as an ASGI application; the only module that decides in which order a request is judged.

The order is HighLevel's as far as it can be seen from outside: token, Version header, scope, rate limit, then what is
asked for. The API is written without a framework, so that a client under test and not this server is the bottleneck.
"""

import asyncio
import time
from collections.abc import Awaitable, Callable, Collection, MutableMapping
from typing import Any

from etl.sandbox.asking import Ask
from etl.sandbox.config import SandboxConfig
from etl.sandbox.control import control_routes
from etl.sandbox.dataset import encode
from etl.sandbox.endpoints import ask_for
from etl.sandbox.faults import NO_ACCESS, Reply, refuse, spoil
from etl.sandbox.oauth import NO_SCOPE, RefusedError, unauthorized
from etl.sandbox.world import World

Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]
Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]

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
        self._control = control_routes(self.world)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request."""
        path: str = scope["path"]
        if path.startswith(("/sandbox", "/oauth/", "/v2/oauth/")):
            await self._control(scope, receive, send)
            return
        ask = ask_for(path, scope["query_string"]) if scope["method"] == "GET" else None
        if ask is None:
            reply = refuse(404, f"Cannot {scope['method']} {path}", error="Not Found")
            await _whole(reply, send)
            return
        await self._answer(ask, scope, receive, send)

    async def _answer(self, ask: Ask, scope: Scope, receive: Receive, send: Send) -> None:
        world = self.world
        name = ask.name
        headers = dict(scope["headers"])
        world.stats.begin(name, world.clock())
        outcome = "dropped"
        try:
            reply = self._judge(ask, name, headers)
            if world.faults.latency:
                await asyncio.sleep(world.faults.latency)
            if reply.is_held:
                await self._hold()
            if reply.ending == "whole":
                if b"gzip" in headers.get(b"accept-encoding", b""):
                    reply.compress()
                outcome = str(reply.status)
                await _whole(reply, send, pause=self._hold if reply.held_after else None)
            elif reply.ending == "cut":  # the server closes the connection of an answer that lacks an end
                await _whole(reply, send, length=len(reply.body) // 2)
            else:
                await self._drop(scope["client"], receive)
        finally:
            world.stats.end(name, ask.location_id, outcome)

    def _judge(self, ask: Ask, name: str, headers: dict[bytes, bytes]) -> Reply:
        world = self.world
        try:
            ask.location_id = self._authenticate(headers, ask.endpoint.scope)
        except RefusedError as error:
            return Reply(error.status, encode(error.answer | {"traceId": "00000000-0000-4000-8000-000000000000"}))
        now = world.clock()
        allowance = world.limiter.of(ask.location_id)
        if not allowance.take(now):
            reply = refuse(429, "Too Many Requests")
            reply.headers = allowance.headers(now)
            if allowance.limit.retry_after:
                # Whole seconds, rounded up: waiting shorter would be refused again.
                reply.headers.append((b"retry-after", b"%d" % -int(-allowance.wait(now) // 1)))
            return reply
        world.stats.counted(ask.location_id, now)
        ask.fault = fault = world.faults.choose(name)
        reply = self._find(ask, name)
        reply.headers += allowance.headers(now)
        if fault is not None:
            other_id = next(known for known in world.dataset.ids() if known != ask.id)
            reply = spoil(reply, fault, own_id=ask.id, other_id=other_id)
        return reply

    def _authenticate(self, headers: dict[bytes, bytes], scope: str) -> str:
        scheme, _, token = headers.get(b"authorization", b"").decode("latin-1").partition(" ")
        principal = self.world.authority.principal(token if scheme.lower() == "bearer" else "")
        version = headers.get(b"version")
        if version is None:
            raise unauthorized("version header was not found.")
        if version.decode("latin-1") not in VERSIONS:
            raise unauthorized("version header is invalid")
        if principal.location_id is None:
            # An agency's private token and a company's OAuth token are told different things (public probes).
            raise unauthorized(_WRONG_CLASS if principal.oauth else "Token's user type mismatch!")
        if not self.world.allows(principal.location_id, scope):
            raise unauthorized(NO_SCOPE)
        return principal.location_id

    def _find(self, ask: Ask, name: str) -> Reply:
        world = self.world
        owner = world.dataset.location_of(ask.id)
        if not {owner, ask.query.get("locationId")} <= {None, ask.location_id}:
            return refuse(403, NO_ACCESS, error="Forbidden")
        replaced = world.faults.replaced(name)
        if replaced is not None:
            return Reply(200, replaced)
        reply = None if world.faults.is_missing(name) else ask.endpoint.answer(world, ask)
        return refuse(*ask.endpoint.missing) if reply is None else reply

    async def _hold(self) -> None:
        released = self.world.released
        stats = self.world.stats
        stats.held += 1
        try:
            await released.wait()
        finally:
            stats.held -= 1

    async def _drop(self, client: tuple[str, int], receive: Receive) -> None:
        for connection in list(self.connections):
            if connection.client == client:
                connection.transport.abort()
        # Returning before the server has noticed would make it answer 500.
        while (await receive())["type"] != "http.disconnect":
            pass


async def _whole(
    reply: Reply, send: Send, *, length: int | None = None, pause: Callable[[], Awaitable[None]] | None = None
) -> None:
    """Send a reply, or only the first bytes of its body, or those first and the rest after a pause."""
    await send({"type": "http.response.start", "status": reply.status, "headers": reply.all_headers()})
    if pause is not None:
        await send({"type": "http.response.body", "body": reply.body[: reply.held_after], "more_body": True})
        await pause()
    rest = reply.body[reply.held_after : length]
    await send({"type": "http.response.body", "body": rest, "more_body": length is not None})

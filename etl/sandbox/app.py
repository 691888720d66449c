"""The sandbox as an ASGI application; the only module that decides in which order a request is judged.

The order is HighLevel's as far as it can be seen from outside: token, Version header, rate limit, then the message. The
one hot route is written without a framework, so that a client under test and not this server is the bottleneck.
"""

import asyncio
import time
from collections.abc import Awaitable, Callable, MutableMapping
from contextlib import suppress
from typing import Any

from etl.sandbox.config import SandboxConfig
from etl.sandbox.control import control_routes
from etl.sandbox.oauth import RefusedError, unauthorized
from etl.sandbox.replies import NO_ACCESS, Reply, refuse, refused, spoil, too_many
from etl.sandbox.world import World

Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]
Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]

PREFIX = "/conversations/messages/"
VERSIONS = frozenset({"2021-04-15", "2021-07-28", "2023-02-21", "v3"})
# Put into the scope by etl.sandbox.server: closing a connection without an answer is not something ASGI can say.
TRANSPORT = "etl.sandbox.transport"

_WRONG_CLASS = (
    "This authClass type is not allowed to access this scope. Please try with a different token or contact support."
)


class SandboxApp:
    """One sandbox. Keeps its state in memory; ``clock`` gives seconds since 1970."""

    def __init__(self, config: SandboxConfig, *, clock: Callable[[], float] = time.time) -> None:
        self.world = World(config, clock)
        self._others = control_routes(self.world)
        self._hurry = asyncio.Event()
        self._closing = False

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request."""
        path: str = scope["path"]
        if path.startswith(PREFIX) and scope["method"] == "GET" and "/" not in path[len(PREFIX) :]:
            await self._message(path[len(PREFIX) :], scope, receive, send)
        elif path.startswith(("/sandbox", "/oauth/", "/v2/oauth/")):
            await self._others(scope, receive, send)
        else:
            await _whole(refuse(404, f"Cannot {scope['method']} {path}", error="Not Found"), send)

    def hurry(self) -> None:
        """Answer at once whatever is waiting, for the server is about to stop. Call it in the server's thread."""
        self._closing = True
        self._hurry.set()
        self.world.release()

    async def _pause(self, seconds: float) -> None:
        with suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await self._hurry.wait()

    async def _hold(self) -> None:
        released = self.world.released
        if not self._closing:
            self.world.stats.held += 1
            await released.wait()
            self.world.stats.held -= 1

    async def _message(self, message_id: str, scope: Scope, receive: Receive, send: Send) -> None:
        world = self.world
        stats = world.stats
        headers = dict(scope["headers"])
        stats.begin(message_id, world.clock())
        outcome = "dropped"
        location_id = None
        try:
            location_id, reply = self._judge(message_id, headers)
            if delay := world.faults.delay():
                await self._pause(delay)
            if reply.is_held:
                await self._hold()
            if reply.ending == "whole":
                if b"gzip" in headers.get(b"accept-encoding", b""):
                    reply.compress()
                outcome = str(reply.status)
                await _whole(reply, send)
            else:
                await _broken(reply, scope, receive, send)
        finally:
            stats.end(message_id, location_id, outcome)

    def _judge(self, message_id: str, headers: dict[bytes, bytes]) -> tuple[str | None, Reply]:
        """The location that asks, once it is known, and what it is told."""
        world = self.world
        try:
            location_id = self._authenticate(headers)
        except RefusedError as error:
            return None, refused(error)
        now = world.clock()
        allowance = world.limiter.of(location_id)
        if not allowance.take(now):
            reply = too_many()
            reply.headers = allowance.headers(now)
            if allowance.limit.retry_after:
                # Whole seconds, rounded up: waiting shorter would be refused again.
                reply.headers.append((b"retry-after", b"%d" % -int(-allowance.wait(now) // 1)))
            return location_id, reply
        world.stats.counted(location_id, now)
        reply = self._find(message_id, location_id)
        reply.headers = allowance.headers(now)
        fault = world.faults.choose(message_id)
        if fault is not None:
            ids = world.dataset.ids()
            other = ids[0] if ids[0] != message_id else ids[-1]
            status = world.faults.any_status(fault)
            reply = spoil(reply, fault, message_id=message_id, other_id=other, status=status)
        return location_id, reply

    def _authenticate(self, headers: dict[bytes, bytes]) -> str:
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
        return principal.location_id

    def _find(self, message_id: str, location_id: str) -> Reply:
        world = self.world
        owner = world.dataset.location_of(message_id)
        if owner is not None and owner != location_id:
            return refuse(403, NO_ACCESS, error="Forbidden")
        body = world.answer(message_id)
        if body is None:
            return refuse(world.config.not_found_status, "Message not found")
        return Reply(200, body)


async def _whole(reply: Reply, send: Send) -> None:
    await send({"type": "http.response.start", "status": reply.status, "headers": reply.all_headers()})
    await send({"type": "http.response.body", "body": reply.body})


async def _broken(reply: Reply, scope: Scope, receive: Receive, send: Send) -> None:
    transport: asyncio.Transport = scope[TRANSPORT]
    if reply.ending == "cut":
        await send({"type": "http.response.start", "status": reply.status, "headers": reply.all_headers()})
        half = reply.body[: len(reply.body) // 2]
        await send({"type": "http.response.body", "body": half, "more_body": True})
        transport.close()
    else:
        transport.abort()
    # Returning before the server has noticed would make it report a broken application.
    while (await receive())["type"] != "http.disconnect":
        pass

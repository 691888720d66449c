"""Everything a sandbox knows and remembers, without HTTP. Performs no I/O; the clock is an argument."""

import asyncio
from collections.abc import Callable
from typing import Any

from etl.sandbox.config import SandboxConfig
from etl.sandbox.dataset import encode
from etl.sandbox.faults import FaultPlan
from etl.sandbox.limits import Limiter
from etl.sandbox.oauth import Authority, Rules
from etl.sandbox.stats import Stats


class World:
    """The state behind the routes: data and its changes, tokens, limits, faults, statistics."""

    def __init__(self, config: SandboxConfig, clock: Callable[[], float]) -> None:
        self.config = config
        self.clock = clock
        self.dataset = config.dataset()
        self.released = asyncio.Event()
        self.reset()

    def reset(self) -> None:
        """Back to how it started. Tokens issued since then are forgotten; the private ones are valid again."""
        self.faults = FaultPlan.from_json(self.config.faults)
        self.limiter = Limiter(self.config.rate())
        self.stats = Stats(self.config.interval)
        self.release()
        self.changed: dict[str, dict[str, Any]] = {}
        self.gone: set[str] = set()
        self.authority = Authority(
            self.dataset.company_id,
            self.dataset.location_ids,
            clock=self.clock,
            rules=Rules(lifetime=self.config.token_lifetime, grace=self.config.refresh_grace),
        )

    def release(self) -> None:
        """Let go of the answers that are held; those to come are held again."""
        self.released.set()
        self.released = asyncio.Event()

    def answer(self, message_id: str) -> bytes | None:
        """The body that answers a request for this message now; None when there is no such message."""
        faults = self.faults
        if message_id in faults.bodies:
            return faults.bodies[message_id].encode()
        if message_id in faults.payloads:
            return encode(faults.payloads[message_id])
        if message_id in self.gone or faults.is_missing(message_id):
            return None
        if message_id in self.changed:
            return encode(self.changed[message_id])
        return self.dataset.answer(message_id)

    def change(self, message_id: str, patch: dict[str, Any]) -> dict[str, Any]:
        """Apply a JSON merge patch (RFC 7396) to a message and return its whole new answer.

        Raises:
            KeyError: no such message.
        """
        payload = self.changed.get(message_id) or self.dataset.payload(message_id)
        if payload is None or message_id in self.gone:
            raise KeyError(message_id)
        if "message" in payload:
            self.changed[message_id] = payload | {"message": merge(payload["message"], patch)}
        else:
            self.changed[message_id] = merge(payload, patch)
        return self.changed[message_id]

    def delete(self, message_id: str) -> None:
        """Make a message disappear upstream.

        Raises:
            KeyError: no such message.
        """
        if message_id not in self.dataset:
            raise KeyError(message_id)
        self.gone.add(message_id)


def merge(target: Any, patch: Any) -> Any:
    """RFC 7396: objects are merged key by key, null removes, anything else replaces."""
    if not isinstance(patch, dict):
        return patch
    merged = dict(target) if isinstance(target, dict) else {}
    for key, value in patch.items():
        if value is None:
            merged.pop(key, None)
        else:
            merged[key] = merge(merged.get(key), value)
    return merged

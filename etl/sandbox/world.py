"""Everything a sandbox knows and remembers, without HTTP. Performs no I/O; the clock is an argument."""

import asyncio
from collections.abc import Callable
from typing import Any

from etl.sandbox.config import SandboxConfig
from etl.sandbox.dataset import encode
from etl.sandbox.limits import Limiter
from etl.sandbox.oauth import Authority
from etl.sandbox.stats import Stats

WRAPPERS = ("message",)


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
        self.faults = self.config.faults.model_copy(deep=True)
        self.limiter = Limiter(self.config.rate())
        self.stats = Stats(self.config.interval)
        self.release()
        self._changed: dict[str, dict[str, Any]] = {}
        self._gone: set[str] = set()
        self.authority = Authority(
            self.dataset.company_id,
            self.dataset.location_ids,
            clock=self.clock,
            lifetime=self.config.token_lifetime,
            grace=self.config.refresh_grace,
        )

    def release(self) -> None:
        """Let go of the answers that are held; those to come are held again."""
        self.released.set()
        self.released = asyncio.Event()

    def answer(self, known_id: str) -> bytes | None:
        """The body that answers a request for this thing now; None when there is no such thing."""
        if known_id in self._gone:
            return None
        if known_id in self._changed:
            return encode(self._changed[known_id])
        return self.dataset.answer(known_id)

    def payload(self, known_id: str) -> dict[str, Any] | None:
        """The same as JSON."""
        if known_id in self._gone:
            return None
        return self._changed.get(known_id) or self.dataset.payload(known_id)

    def change(self, known_id: str, patch: dict[str, Any]) -> dict[str, Any]:
        """Apply a JSON merge patch (RFC 7396) to a thing and return its whole new answer.

        Raises:
            KeyError: no such thing.
        """
        payload = self.payload(known_id)
        if payload is None:
            raise KeyError(known_id)
        wrapper = next((key for key in WRAPPERS if key in payload), None)
        changed = merge(payload, patch if wrapper is None else {wrapper: patch})
        self._changed[known_id] = changed
        return dict(changed)

    def delete(self, known_id: str) -> None:
        """Make a thing disappear upstream.

        Raises:
            KeyError: no such thing.
        """
        if self.dataset.payload(known_id) is None:
            raise KeyError(known_id)
        self._gone.add(known_id)


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

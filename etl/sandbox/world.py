"""Everything a sandbox knows and remembers, without HTTP. Performs no I/O; the clock is an argument."""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, replace
from secrets import token_urlsafe
from typing import Any

from etl.sandbox.config import SandboxConfig
from etl.sandbox.faults import TRACE, FaultPlan
from etl.sandbox.limits import Allowance, Limit
from etl.sandbox.messages import later
from etl.sandbox.oauth import Authority
from etl.sandbox.stats import Stats


@dataclass(slots=True)
class Walk:
    """One export from page to page: what it found when it began, and when it was last asked for a page."""

    ids: list[str]
    asked_at: float


class World:
    """The state behind the routes: data and its changes, tokens, limits, faults, statistics.

    Attributes:
        things, messages: those of the data set, as they are now.
        lacking: the scopes that the tokens of a location do not have.
    """

    def __init__(self, config: SandboxConfig, clock: Callable[[], float]) -> None:
        self.config = config
        self.clock = clock
        self.dataset = config.dataset()
        self.released = asyncio.Event()
        self.reset()

    def reset(self) -> None:
        """Back to how it started. Tokens issued since then are forgotten; the private ones are valid again."""
        config, dataset = self.config, self.dataset
        self.things = dict(dataset.things)
        self.messages = dict(dataset.messages)
        self.faults = config.faults.model_copy(deep=True)
        self.allowances = {location_id: Allowance(config) for location_id in dataset.location_ids}
        self.stats = Stats(config.interval)
        self.lacking: dict[str, list[str]] = {}
        self._cursors: dict[str, tuple[Walk, int]] = {}
        self.authority = Authority(
            dataset.company_id,
            dataset.location_ids,
            clock=self.clock,
            lifetime=config.token_lifetime,
            grace=config.refresh_grace,
        )
        self.release()

    def release(self) -> None:
        """Let go of the answers that are held; those to come are held again."""
        self.released.set()
        self.released = asyncio.Event()

    def spoil(self, **plan: Any) -> None:
        """Replace what goes wrong."""
        self.faults = FaultPlan.model_validate(plan)

    def limit(self, location_id: str | None = None, **limit: Any) -> None:
        """Change the limit of one location or of all; what was used stays counted, keys left out are as at first."""
        changed = Limit.model_validate(self.config.limits() | limit)
        for known in self.allowances if location_id is None else (location_id,):
            self.allowances[known].limit = changed

    def lack(self, location_id: str, scopes: list[str]) -> None:
        """Take scopes from the tokens of a location, and give back any others."""
        self.lacking[location_id] = scopes

    def row(self, message_id: str) -> dict[str, Any]:
        """A message without its envelope, as lists have it; a copy."""
        payload = self.things[message_id].payload
        return dict(payload.get("message", payload))

    def cursor(self, walk: Walk, start: int) -> str:
        """What leads to the next page of an export."""
        cursor = token_urlsafe(16)
        self._cursors[cursor] = walk, start
        return cursor

    def resume(self, cursor: str, seconds: float) -> tuple[Walk, int] | None:
        """The export a cursor belongs to and the place it leads to; None when its last page was asked for long ago."""
        walk, start = self._cursors.get(cursor, (None, 0))
        if walk is None or self.clock() - walk.asked_at >= seconds:
            return None
        walk.asked_at = self.clock()
        return walk, start

    def expire_cursors(self) -> None:
        """Let every export that has begun die."""
        self._cursors.clear()

    def change(self, known_id: str, patch: dict[str, Any]) -> None:
        """Apply a JSON merge patch (RFC 7396) to a thing.

        Raises:
            KeyError: no such thing.
        """
        thing = self.things[known_id]
        wrapper = next(
            (key for key in ("message", "emailMessage", "contact", "location") if key in thing.payload), None
        )
        payload = merge(thing.payload, patch if wrapper is None else {wrapper: patch})
        self.things[known_id] = replace(thing, payload=payload)
        if known_id in self.messages:
            self.messages[known_id] = merge(self.messages[known_id], patch)

    def delete(self, known_id: str) -> None:
        """Make a thing disappear upstream, a thread with its emails.

        Raises:
            KeyError: no such thing.
        """
        del self.things[known_id]
        message = self.messages.pop(known_id, {})
        for email_id in message.get("meta", {}).get("email", {}).get("messageIds", ()):
            del self.things[email_id]

    def grow(self, message_id: str) -> str:
        """Add an email to a thread, and return its id.

        Raises:
            KeyError: no such thread.
        """
        message = self.messages[message_id]
        emails = message["meta"]["email"]["messageIds"]
        last = self.things[emails[-1]]
        email_id = f"{message_id[:-2]}{len(emails):02d}"
        email = last.payload.get("emailMessage", last.payload) | {"id": email_id, "replyToMessageId": emails[-1]}
        self.things[email_id] = replace(last, payload={"emailMessage": email, "traceId": TRACE})
        meta = {"email": {"messageIds": [*emails, email_id]}}
        updated = later(message["dateUpdated"], hours=1)
        if "message" in self.things[message_id].payload:
            self.change(message_id, {"meta": meta, "dateUpdated": updated})
        else:  # the documented shape nests it once more, and has no such date
            self.change(message_id, {"meta": {"email": meta}})
        self.messages[message_id] = message | {"meta": meta, "dateUpdated": updated}
        return email_id


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

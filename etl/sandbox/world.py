"""Everything a sandbox knows and remembers, without HTTP. Performs no I/O; the clock is an argument."""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from secrets import token_urlsafe
from typing import Any

from etl.sandbox.config import SandboxConfig
from etl.sandbox.dataset import encode
from etl.sandbox.limits import Limiter
from etl.sandbox.messages import iso
from etl.sandbox.oauth import Authority
from etl.sandbox.stats import Stats

WRAPPERS = ("message", "emailMessage", "contact", "location")


@dataclass(frozen=True, slots=True)
class Row:
    """What decides whether and where a message is listed."""

    id: str
    message_type: str
    conversation_id: str
    contact_id: str
    added: datetime
    updated: datetime


@dataclass(slots=True)
class Walk:
    """One export from page to page: what it found when it began, and when it was last asked for a page."""

    ids: list[str]
    asked_at: float


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
        self._lacking: dict[str, frozenset[str]] = {}
        self._outlines: dict[str, Row] = {}
        self._cursors: dict[str, tuple[Walk, int]] = {}
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

    def allows(self, location_id: str, scope: str) -> bool:
        """Whether the tokens of a location have a scope."""
        return scope not in self._lacking.get(location_id, ())

    def lack(self, location_id: str, scopes: list[str]) -> None:
        """Take scopes from the tokens of a location, and give back any others."""
        self._lacking[location_id] = frozenset(scopes)

    def answer(self, known_id: str) -> bytes | None:
        """The body that answers a request for this thing now; None when there is no such thing."""
        if not self.exists(known_id):
            return None
        changed = self._changed.get(known_id)
        return self.dataset.answer(known_id) if changed is None else encode(changed)

    def payload(self, known_id: str) -> dict[str, Any] | None:
        """The same as JSON."""
        if not self.exists(known_id):
            return None
        return self._changed.get(known_id) or self.dataset.payload(known_id)

    def exists(self, known_id: str) -> bool:
        """Whether a thing was not deleted, and an email's thread has grown so far."""
        if known_id in self._gone:
            return False
        if known_id in self.dataset:
            return True
        thread = self.dataset.thread_of(known_id)
        return thread is None or known_id in emails_of(self.row(thread) or {})

    def row(self, message_id: str) -> dict[str, Any] | None:
        """A message without its envelope, as lists have it."""
        payload = self.payload(message_id)
        return None if payload is None else payload.get("message", payload)

    def outline(self, message_id: str) -> Row:
        """Where a message is listed. It has the dates of the real shape, even if it is answered in the documented."""
        if message_id not in self._outlines:
            first = self.dataset.message(message_id) or {}
            changed = self._changed.get(message_id, {})
            message = first | changed.get("message", changed)
            added, updated = (datetime.fromisoformat(message[key]) for key in ("dateAdded", "dateUpdated"))
            self._outlines[message_id] = Row(
                message_id,
                first["messageType"],
                message["conversationId"],
                message["contactId"],
                added,
                updated,
            )
        return self._outlines[message_id]

    def outlines(self, location_id: str) -> list[Row]:
        """Those of a location's messages that are there."""
        return [self.outline(each) for each in self.dataset.ids(location_id) if each not in self._gone]

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

    def grow(self, message_id: str) -> str:
        """Add an email to a thread, and return its id.

        Raises:
            KeyError: no such thread.
        """
        row = self.row(message_id) or {}
        emails = emails_of(row)
        if not emails:
            raise KeyError(message_id)
        emails = [*emails, self.dataset.email_id(message_id, len(emails))]
        meta = {"messageIds": emails}
        patch: dict[str, Any] = {"meta": {"email": {"email": meta} if "email" in row["meta"]["email"] else meta}}
        if "dateUpdated" in row:
            later = datetime.fromisoformat(row["dateUpdated"]) + timedelta(hours=1)
            patch["dateUpdated"] = iso(round(later.timestamp() * 1000))
        self.change(message_id, patch)
        return emails[-1]

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
        self._outlines.pop(known_id, None)
        return dict(changed)

    def delete(self, known_id: str) -> None:
        """Make a thing disappear upstream.

        Raises:
            KeyError: no such thing.
        """
        if self.payload(known_id) is None:
            raise KeyError(known_id)
        self._gone.add(known_id)


def emails_of(row: dict[str, Any]) -> list[str]:
    """The ids of a thread's emails, in either shape of ``meta``."""
    email = row.get("meta", {}).get("email", {})
    ids: list[str] = email.get("email", email).get("messageIds", [])
    return ids


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

"""Decides whose events are taken: one key signs for every app, so a signature is not enough. Performs no I/O."""

from collections.abc import Collection
from dataclasses import dataclass, replace
from datetime import datetime

from etl.receive.signature import WebhookRefusedError
from etl.receive.webhook import Event


@dataclass(frozen=True, slots=True)
class Policy:
    """Whose events the receiver accepts."""

    app_id: str | None = None
    """Our app; None: not known."""
    home: str = ""
    """The location of HIGHLEVEL_TOKEN; empty: not known."""
    locations: Collection[str] = ()
    """The only locations of interest; empty: all."""
    max_age: float | None = None
    """Seconds since the event's own timestamp; None: any age."""
    kinds: Collection[str] = ("message", "email")
    """The kinds of items that some job takes: no others are queued."""
    dropped_types: Collection[str] = ()
    """Types of events that are not even stored."""


def admit(event: Event, policy: Policy, *, now: datetime) -> Event:
    """Check that an event is meant for us.

    Raises:
        WebhookRefusedError: it is for another app, too old, or (with status 200) of a location without interest.
    """
    if event.type in policy.dropped_types:
        raise WebhookRefusedError(200, "type_dropped")
    changes_locations = event.outcome in ("install", "uninstall")
    if policy.app_id and event.app_id not in (None, policy.app_id):
        raise WebhookRefusedError(401, "wrong_app")
    # Real events came without appId, so these are kept; but anybody's may.
    # https://github.com/GoHighLevel/highlevel-api-docs/issues/224
    is_ours = bool(event.location_id) and event.location_id in (policy.home, *policy.locations)
    event = replace(event, is_surely_ours=is_ours or not policy.app_id or event.app_id is not None)
    of_interest = event.location_id in policy.locations or (changes_locations and not event.location_id)
    if policy.locations and not of_interest:
        # Not an error: HighLevel posts the events of every location that has the app, and pauses the events of a URL
        # that refuses many (webhook guide, "circuit breaker").
        raise WebhookRefusedError(200, "location_not_allowed")
    if policy.max_age is not None:
        _require_young(event, policy.max_age, now)
    if changes_locations and not (policy.app_id and event.app_id):
        # Anyone can make an app and have its events posted here, so these must be known to be our app's.
        return replace(event, outcome="ignored")
    return choose(event, policy.kinds)


def choose(event: Event, kinds: Collection[str]) -> Event:
    """Return the event with only those items that some job takes: others would wait forever."""
    items = tuple(item for item in event.items if item[0] in kinds)
    outcome = event.outcome
    if items:
        outcome = "queued"
    elif outcome == "queued":
        outcome = "ignored"
    return replace(event, items=items, outcome=outcome)


def _require_young(event: Event, max_age: float, now: datetime) -> None:
    if event.sent_at is None:
        raise WebhookRefusedError(401, "no_timestamp")
    if (now - event.sent_at).total_seconds() > max_age:
        raise WebhookRefusedError(401, "too_old")

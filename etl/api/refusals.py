"""Turns an answer with a status other than 200 into an error; pure."""

import re
from urllib.parse import urlsplit

from etl.api.transport import Response, reason_of
from etl.errors import (
    ApiMisconfiguredError,
    ForeignError,
    ItemError,
    LocationError,
    NotFoundError,
    RateLimitedError,
    RefusedError,
    TokenError,
    UnreachableError,
)

FOREIGN_WORDS = "access to this location"
"""The usual text for an id of another location (two integrators)."""
LOCATION_WORDS = (FOREIGN_WORDS, "scope", "user type", "authclass", "location is not active")
MISSING = re.compile(r"\b(message|email|contact|user|conversation)( with (the )?id\b.*)? not found|no message found")
"""Texts for an id that does not exist: 400 "Contact not found" (public codebases), "Contact with id … not found"
(two integrators); of a conversation with 500. "Location not found" would apply to every id.
https://github.com/GoHighLevel/highlevel-api-docs/issues/39"""
MISCONFIGURED_WORDS = ("version header", "api version")


def error_of(response: Response, token: str) -> ItemError:
    """Return the error that decides what happens next, without a payload; its text does not repeat the token."""
    status = response.status
    if status == 429:
        return RateLimitedError(_retry_after(response.headers.get("Retry-After")))
    if 300 <= status < 400:
        host = _host_of(response.headers.get("Location", ""))
        detail = f"the API redirects to {host or 'another path'}; check HIGHLEVEL_BASE_URL"
        return ApiMisconfiguredError("redirected", detail)
    return _refusal(status, reason_of(response.body, [token]))


def _host_of(location: str) -> str | None:
    try:
        return urlsplit(location).hostname
    except ValueError:
        return None


def _refusal(status: int, message: str | None) -> ItemError:
    """Return the error for a 4xx or 5xx, by its text; ``message`` is None when it is not the API's JSON.

    Only an answer that is certainly about this id makes it a dead letter or marks it deleted.

    A 401 covers at least five faults, so its text decides; an unknown text never makes an item a dead letter:
    HighLevel docs, common schemas; public probes of 2026-08; and
    https://github.com/GoHighLevel/highlevel-api-docs/issues/213
    https://github.com/GoHighLevel/highlevel-api-docs/issues/258
    """
    words = (message or "").lower()
    if status < 500 and (
        any(phrase in words for phrase in MISCONFIGURED_WORDS) or (status == 404 and words.startswith("cannot get /"))
    ):
        return ApiMisconfiguredError("misconfigured", f"the API answered {status}: {message}")
    if _is_missing(status, message):
        return NotFoundError("not_found", f"the API does not know this id (status {status})")
    if status in (401, 403) and any(phrase in words for phrase in LOCATION_WORDS):
        refused = ForeignError if FOREIGN_WORDS in words else LocationError
        return refused("not_authorized", f"the API answered {status}: {message}")
    if status == 401:
        return TokenError("token_refused", f"the API answered 401: {message or 'no reason given'}")
    if status in (400, 422) and message is not None:
        return RefusedError(f"http_{status}", f"the API answered {status}")
    return UnreachableError(f"http_{status}", f"the API answered {status}")


def _is_missing(status: int, message: str | None) -> bool:
    """Return whether an answer says that the thing does not exist, or not yet."""
    if message is None or status > 500:
        return False
    found = MISSING.search(message.lower())
    # A 401 "Contact with id … not found" was never seen; an error about a token may be worded like that.
    return status in (404, 410) or (found is not None and (status != 401 or found[0].startswith("no ")))


def _retry_after(value: str | None) -> float | None:
    """Return the seconds of a Retry-After header. HighLevel does not document it; no date was ever seen in it."""
    try:
        seconds = float(value or "")
    except ValueError:
        return None
    return min(max(seconds, 0.0), 86_400.0) if seconds == seconds else None  # noqa: PLR0124 - NaN is not itself

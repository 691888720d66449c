"""What an answer means whose status is not 200: pure."""

from collections.abc import Sequence
from urllib.parse import urlsplit

from etl.errors import (
    ApiMisconfiguredError,
    ItemError,
    LocationError,
    NotFoundError,
    RateLimitedError,
    RefusedError,
    TokenError,
    UnreachableError,
)
from etl.extract.transport import Response, reason_of

LOCATION_WORDS = ("scope", "user type", "authclass", "access to this location", "location is not active")
MISSING_WORDS = ("message not found", "contact not found", "user not found", "conversation not found")
"""A 400 "Contact not found" was seen (public codebases). "Location not found" would be true of every id."""
MISCONFIGURED_WORDS = ("version header", "api version")


def error_of(response: Response, secrets: Sequence[str], *, payload: bytes) -> ItemError:
    """The one error that says what happens next; it keeps ``payload``, and repeats none of the ``secrets``.

    A 401 covers at least five faults, so its text decides, and a text nobody has seen never buries an item:
    HighLevel docs, common schemas; docs issues 213 and 258; public probes of 2026-08.
    """
    status = response.status
    if status == 429:
        return RateLimitedError(_retry_after(response.headers.get("Retry-After")))
    if status >= 500 or status in (408, 425):
        return UnreachableError(f"http_{status}", f"the API answered {status}", payload=payload)
    if 300 <= status < 400:
        host = _host_of(response.headers.get("Location", ""))
        return ApiMisconfiguredError(
            "redirected", f"the API redirects to {host or 'another path'}; check HIGHLEVEL_BASE_URL"
        )
    return _client_error(status, reason_of(response.body, secrets), payload)


def _host_of(location: str) -> str | None:
    try:
        return urlsplit(location).hostname
    except ValueError:
        return None


def _client_error(status: int, said: str | None, payload: bytes) -> ItemError:
    """A 4xx, by its text.

    Only what is surely about this id buries it or marks it deleted. Everything else may be true of every request: it is
    retried, and eight in a row stop the run.
    """
    words = (said or "").lower()
    if any(known in words for known in MISCONFIGURED_WORDS) or (status == 404 and words.startswith("cannot get /")):
        return ApiMisconfiguredError("misconfigured", f"the API answered {status}: {said}")
    unknown = status in (404, 410) or any(known in words for known in MISSING_WORDS)
    if "no message found" in words or (unknown and said is not None and status != 401):
        return NotFoundError("not_found", f"the API does not know this id (status {status})", payload=payload)
    if status in (401, 403) and any(known in words for known in LOCATION_WORDS):
        return LocationError("not_authorized", f"the API answered {status}: {said}")
    if status == 401:
        return TokenError("token_refused", f"the API answered 401: {said or 'no reason given'}")
    if status in (400, 422) and said is not None:
        return RefusedError(f"http_{status}", f"the API answered {status}", payload=payload)
    return UnreachableError(f"http_{status}", f"the API answered {status}", payload=payload)


def _retry_after(value: str | None) -> float | None:
    """Seconds of a Retry-After header; undocumented by HighLevel, and no date was ever seen in it."""
    try:
        seconds = float(value or "")
    except ValueError:
        return None
    return min(max(seconds, 0.0), 86_400.0) if seconds == seconds else None  # noqa: PLR0124 - NaN is not itself

"""What the headers of an answer say about the limits; pure."""

from collections.abc import Mapping
from dataclasses import dataclass

MOST_REQUESTS = 10_000
SHORTEST_MS, LONGEST_MS = 100, 60_000
"""Plausible values: up to a hundred times the documented requests, in an interval of a tenth of a second to a
minute. Any other value is an error that would lift a location's limit or block it for days."""


@dataclass(frozen=True, slots=True)
class RateHeaders:
    """The limits that an answer states; None where it states none.

    Header names: HighLevel docs, OAuth "Rate Limits".
    """

    max_requests: int | None = None
    interval_ms: int | None = None
    remaining: int | None = None
    daily_limit: int | None = None
    daily_remaining: int | None = None

    @classmethod
    def from_headers(cls, headers: Mapping[str, str]) -> "RateHeaders":
        """Read the headers; ignore values that are no whole number or not plausible."""
        return cls(
            max_requests=_within(1, MOST_REQUESTS, headers.get("X-RateLimit-Max")),
            interval_ms=_within(SHORTEST_MS, LONGEST_MS, headers.get("X-RateLimit-Interval-Milliseconds")),
            remaining=_whole(headers.get("X-RateLimit-Remaining")),
            daily_limit=_whole(headers.get("X-RateLimit-Limit-Daily")) or None,
            daily_remaining=_whole(headers.get("X-RateLimit-Daily-Remaining")),
        )


NO_HEADERS = RateHeaders()


def _whole(value: str | None) -> int | None:
    digits = (value or "").strip(" \t")  # blanks around a value are legal: RFC 9110, 5.5
    return int(digits) if digits.isascii() and digits.isdigit() and len(digits) <= 9 else None


def _within(least: int, most: int, value: str | None) -> int | None:
    number = _whole(value)
    return number if number is not None and least <= number <= most else None

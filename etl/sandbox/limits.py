"""The rate limit as the server keeps it: exact, one allowance for each location. Reads no clock and performs no I/O.

HighLevel documents 100 requests in 10 seconds and 200,000 a day for each app and resource, and five headers (docs page
"Authorization", rate limits). Whether its window slides or restarts is not documented; both are here. A refused request
is not counted. The hour of the daily reset is not documented either: here the day is the UTC day.
"""

from collections import deque
from dataclasses import dataclass, field
from typing import Literal

Window = Literal["sliding", "fixed"]
Headers = list[tuple[bytes, bytes]]

UNLIMITED = 1_000_000
UNLIMITED_DAILY = 1_000_000_000
_DAY = 86_400


@dataclass(frozen=True, slots=True)
class Limit:
    """What one location may do.

    Attributes:
        requests: how many in any interval; None for no limit at all.
        interval: seconds.
        daily: how many in a UTC day; None for no limit.
        window: ``sliding`` counts the last interval before each request; ``fixed`` starts over at every multiple of
            the interval, which lets twice the number pass around the change.
        retry_after: whether a refusal says how long to wait. The real API was never seen to.

    Raises:
        ValueError: a number that is not positive, or an unknown window.
    """

    requests: int | None = 100
    interval: float = 10.0
    daily: int | None = 200_000
    window: Window = "sliding"
    retry_after: bool = False

    def __post_init__(self) -> None:
        if self.interval <= 0 or (self.requests is not None and self.requests < 1) or (self.daily or 0) < 0:
            raise ValueError("a limit needs a positive interval and positive numbers of requests")
        if self.window not in {"sliding", "fixed"}:
            raise ValueError(f"no such window: {self.window!r}")


@dataclass(slots=True)
class Allowance:
    """How much of its limit one location has used. Times are seconds and never go back."""

    limit: Limit = field(default_factory=Limit)
    _times: deque[float] = field(default_factory=deque)
    _today: int = 0
    _used_today: int = 0

    def take(self, now: float) -> bool:
        """Count one request if it is within the limit; False, and nothing counted, if it is not."""
        self._advance(now)
        if self.limit.requests is not None and len(self._times) >= self.limit.requests:
            return False
        if self.limit.daily is not None and self._used_today >= self.limit.daily:
            return False
        if self.limit.requests is not None:
            self._times.append(now)
        self._used_today += 1
        return True

    def headers(self, now: float) -> Headers:
        """The five documented headers, as after the last request."""
        self._advance(now)
        most = UNLIMITED if self.limit.requests is None else self.limit.requests
        daily = UNLIMITED_DAILY if self.limit.daily is None else self.limit.daily
        return [
            (b"x-ratelimit-limit-daily", b"%d" % daily),
            (b"x-ratelimit-daily-remaining", b"%d" % max(0, daily - self._used_today)),
            (b"x-ratelimit-interval-milliseconds", b"%d" % round(self.limit.interval * 1000)),
            (b"x-ratelimit-max", b"%d" % most),
            (b"x-ratelimit-remaining", b"%d" % max(0, most - len(self._times))),
        ]

    def wait(self, now: float) -> float:
        """Seconds until the next request would be counted; 0 if that is now."""
        self._advance(now)
        if self.limit.daily is not None and self._used_today >= self.limit.daily:
            return _DAY - now % _DAY
        if self.limit.requests is None or len(self._times) < self.limit.requests:
            return 0.0
        if self.limit.window == "fixed":
            return self.limit.interval - now % self.limit.interval
        return self._times[-self.limit.requests] + self.limit.interval - now

    def _advance(self, now: float) -> None:
        day = int(now // _DAY)
        if day != self._today:
            self._today, self._used_today = day, 0
        interval = self.limit.interval
        if self.limit.window == "fixed":
            begin = now // interval * interval
            while self._times and self._times[0] < begin:
                self._times.popleft()
        else:
            while self._times and now - self._times[0] >= interval:
                self._times.popleft()


class Limiter:
    """The allowances of all locations; each can be given its own limit."""

    def __init__(self, limit: Limit) -> None:
        self._default = limit
        self._allowances: dict[str, Allowance] = {}

    def of(self, location_id: str) -> Allowance:
        """The allowance of one location."""
        allowance = self._allowances.get(location_id)
        if allowance is None:
            allowance = self._allowances[location_id] = Allowance(self._default)
        return allowance

    def change(self, limit: Limit, location_id: str | None = None) -> None:
        """Give one location, or every location present and future, another limit; what was used stays counted."""
        if location_id is not None:
            self.of(location_id).limit = limit
            return
        self._default = limit
        for allowance in self._allowances.values():
            allowance.limit = limit

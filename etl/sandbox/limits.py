"""The rate limit as the server keeps it: exact, one allowance for each location. Reads no clock and performs no I/O.

HighLevel documents 100 requests in 10 seconds and 200,000 a day for each app and resource, and five headers (docs page
"Authorization", rate limits). Whether its window slides or restarts and when its day begins is not documented: both
windows are here, and the day is the UTC day. A refused request is not counted.
"""

from collections import deque
from typing import Literal

from pydantic import BaseModel, ConfigDict, NonNegativeInt, PositiveFloat, PositiveInt

Window = Literal["sliding", "fixed"]
Headers = list[tuple[bytes, bytes]]

UNLIMITED = 1_000_000
UNLIMITED_DAILY = 1_000_000_000
_DAY = 86_400


class Limit(BaseModel):
    """What one location may do.

    Attributes:
        limit: requests in any interval; None for no limit.
        interval: seconds.
        daily: requests in a UTC day; None for no limit.
        window: ``sliding`` counts the last interval before each request; ``fixed`` starts over at every multiple of
            the interval, which lets twice the number pass around the change.
        retry_after: whether a refusal says how long to wait. The real API was never seen to.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    limit: PositiveInt | None = 100
    interval: PositiveFloat = 10.0
    daily: NonNegativeInt | None = 200_000
    window: Window = "sliding"
    retry_after: bool = False


class Allowance:
    """How much of its limit one location has used. Times are seconds and never go back."""

    def __init__(self, limit: Limit) -> None:
        self.limit = limit
        self._times: deque[float] = deque()
        self._today = 0
        self._used_today = 0

    def take(self, now: float) -> bool:
        """Count one request if it is within the limit; False, and nothing counted, if it is not."""
        if self.wait(now):
            return False
        if self.limit.limit is not None:
            self._times.append(now)
        self._used_today += 1
        return True

    def wait(self, now: float) -> float:
        """Seconds until the next request would be counted; 0 if that is now."""
        self._advance(now)
        limit = self.limit
        if limit.daily is not None and self._used_today >= limit.daily:
            return _DAY - now % _DAY
        if limit.limit is None or len(self._times) < limit.limit:
            return 0.0
        if limit.window == "fixed":
            return limit.interval - now % limit.interval
        return self._times[-limit.limit] + limit.interval - now

    def headers(self, now: float) -> Headers:
        """The five documented headers, as after the last request."""
        self._advance(now)
        most = self.limit.limit or UNLIMITED
        daily = UNLIMITED_DAILY if self.limit.daily is None else self.limit.daily
        return [
            (b"x-ratelimit-limit-daily", b"%d" % daily),
            (b"x-ratelimit-daily-remaining", b"%d" % max(0, daily - self._used_today)),
            (b"x-ratelimit-interval-milliseconds", b"%d" % round(self.limit.interval * 1000)),
            (b"x-ratelimit-max", b"%d" % most),
            (b"x-ratelimit-remaining", b"%d" % max(0, most - len(self._times))),
        ]

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
        if location_id not in self._allowances:
            self._allowances[location_id] = Allowance(self._default)
        return self._allowances[location_id]

    def change(self, limit: Limit, location_id: str | None = None) -> None:
        """Give one location, or every location present and future, another limit; what was used stays counted."""
        if location_id is not None:
            self.of(location_id).limit = limit
            return
        self._default = limit
        for allowance in self._allowances.values():
            allowance.limit = limit

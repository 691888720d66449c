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
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    limit: PositiveInt | None = 100
    interval: PositiveFloat = 10.0
    daily: NonNegativeInt | None = 200_000
    window: Window = "sliding"


class Allowance:
    """How much of its limit one location has used. Times are seconds and never go back."""

    def __init__(self, limit: Limit) -> None:
        self.limit = limit
        self._times: deque[float] = deque()
        self._today = 0
        self._used_today = 0

    def take(self, now: float) -> bool:
        """Count one request if it is within the limit; False, and nothing counted, if it is not."""
        self._advance(now)
        limit = self.limit
        if limit.daily is not None and self._used_today >= limit.daily:
            return False
        if limit.limit is not None and len(self._times) >= limit.limit:
            return False
        self._times.append(now)
        self._used_today += 1
        return True

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
        fixed_begin = now // interval * interval if self.limit.window == "fixed" else 0
        while self._times and (now - self._times[0] >= interval or self._times[0] < fixed_begin):
            self._times.popleft()

"""The rate limit as the server keeps it: exact, one allowance for each location. Reads no clock and performs no I/O.

HighLevel documents 100 requests in 10 seconds and 200,000 a day for each app and resource, and five headers (docs page
"Authorization", rate limits). Whether its window slides or restarts and when its day begins is not documented: both
windows are here, and the day is the UTC day. A refused request is not counted.
"""

from collections import deque
from typing import Literal

from pydantic import BaseModel, ConfigDict, NonNegativeInt, PositiveFloat, PositiveInt

from etl.sandbox.replies import Headers

Window = Literal["sliding", "fixed"]

UNLIMITED = 10_000
"""In a second: a client may take more for an error."""
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
        left, left_today = self._left(now)
        if left <= 0 or left_today <= 0:
            return False
        self._times.append(now)
        self._used_today += 1
        return True

    def headers(self, now: float) -> Headers:
        """Return the five documented headers, as after the last request; without a limit they promise a huge one."""
        left, left_today = self._left(now)
        values = {
            b"limit-daily": left_today + self._used_today,
            b"daily-remaining": max(0, left_today),
            b"interval-milliseconds": 1000 if self.limit.limit is None else round(self.limit.interval * 1000),
            b"max": self.limit.limit or UNLIMITED,
            b"remaining": max(0, left),
        }
        return [(b"x-ratelimit-" + name, b"%d" % value) for name, value in values.items()]

    def _left(self, now: float) -> tuple[int, int]:
        """Return what is left of the interval and of the day."""
        day = int(now // _DAY)
        if day != self._today:
            self._today, self._used_today = day, 0
        interval = self.limit.interval
        fixed_begin = now // interval * interval if self.limit.window == "fixed" else 0
        while self._times and (now - self._times[0] >= interval or self._times[0] < fixed_begin):
            self._times.popleft()
        limit, daily = self.limit.limit, self.limit.daily
        left = UNLIMITED if limit is None else limit - len(self._times)
        return left, (UNLIMITED_DAILY if daily is None else daily) - self._used_today

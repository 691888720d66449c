"""The assignment of a contender and its answer: JSON on standard input, one line of JSON on standard output."""

import json
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field

PATH = "/conversations/messages/"


@dataclass(frozen=True, slots=True, kw_only=True)
class Assignment:
    """Messages to fetch, where from, where to, and how many at once."""

    base_url: str
    api_version: str
    token: str = field(repr=False)
    database_url: str = field(repr=False)
    concurrency: int
    """Requests in flight."""
    directory: str
    """For files of its own; it stays from one round to the next."""
    ids: list[str]

    def to_json(self) -> str:
        """For :meth:`read` in the contender's process."""
        return json.dumps(asdict(self))

    @classmethod
    def read(cls) -> "Assignment":
        """Return the assignment of this process."""
        return cls(**json.load(sys.stdin))

    def url_of(self, message_id: str) -> str:
        """Where a message is."""
        return self.base_url + PATH + message_id

    @property
    def headers(self) -> dict[str, str]:
        """What the API asks of every request: HighLevel docs, "Get message by message id"."""
        return {"Authorization": f"Bearer {self.token}", "Version": self.api_version, "Accept": "application/json"}

    @contextmanager
    def timed(self) -> Iterator[None]:
        """Report how long the block took: the work itself, without the start of Python and the imports."""
        began = time.perf_counter()
        yield
        print(json.dumps({"seconds": time.perf_counter() - began, "messages": len(self.ids)}))

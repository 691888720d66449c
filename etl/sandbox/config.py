"""What a sandbox is started with: plain values that travel between processes as JSON. Performs no I/O."""

import json
from dataclasses import asdict, dataclass, field
from typing import Any

from etl.sandbox.dataset import Dataset
from etl.sandbox.limits import Limit, Window


@dataclass(frozen=True, slots=True, kw_only=True)
class SandboxConfig:
    """Everything that makes two sandboxes alike.

    Attributes:
        seed, locations, messages, documented_share: the data; see :class:`etl.sandbox.dataset.Dataset`.
        limit, interval, daily, window, retry_after: the rate limit; see :class:`etl.sandbox.limits.Limit`.
        faults: what goes wrong from the start, in the JSON form of :mod:`etl.sandbox.faults`.
        not_found_status: the status for an unknown message id. HighLevel's is not known; 400 is the only documented
            status of this endpoint that fits, and "Contact not found" was seen with it.
        token_lifetime, refresh_grace: seconds; see :class:`etl.sandbox.oauth.Authority`.
    """

    seed: int = 1
    locations: int = 3
    messages: int = 1000
    documented_share: float = 0.15
    limit: int | None = 100
    interval: float = 10.0
    daily: int | None = 200_000
    window: Window = "sliding"
    retry_after: bool = False
    faults: dict[str, Any] = field(default_factory=dict)
    not_found_status: int = 400
    token_lifetime: float = 86_399
    refresh_grace: float = 30

    def dataset(self) -> Dataset:
        """The data such a sandbox serves; the same on both sides of a connection.

        Raises:
            ValueError: a number out of range.
        """
        return Dataset(self.seed, self.locations, self.messages, documented_share=self.documented_share)

    def rate(self) -> Limit:
        """The limit every location starts with.

        Raises:
            ValueError: a number out of range.
        """
        return Limit(self.limit, self.interval, self.daily, self.window, self.retry_after)

    def to_json(self) -> str:
        """For :meth:`from_json` in another process."""
        return json.dumps(asdict(self))

    @classmethod
    def from_json(cls, text: str) -> "SandboxConfig":
        """The configuration that :meth:`to_json` wrote."""
        return cls(**json.loads(text))

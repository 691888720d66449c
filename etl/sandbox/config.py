"""The configuration of a sandbox: plain values, passed between processes as JSON. Performs no I/O."""

from typing import Literal

from pydantic import Field, NonNegativeFloat

from etl.sandbox.dataset import NEWEST, Dataset
from etl.sandbox.faults import FaultPlan
from etl.sandbox.limits import Limit


class SandboxConfig(Limit):
    """Everything that makes two sandboxes alike; the rate limit that every location starts with is a part of it.

    Attributes:
        seed, locations, messages, newest: the data; see :class:`etl.sandbox.dataset.Dataset`.
        faults: what goes wrong from the start.
        cursors: how an export's cursor is read, which HighLevel does not say: as the ``place`` of a row among those
            asked for now; or as a ``key`` to search after, which belongs to one query, in pages of 100 at most.
        token_lifetime, refresh_grace: seconds; see :class:`etl.sandbox.oauth.Authority`.
    """

    seed: int = 1
    locations: int = Field(default=3, ge=1)
    messages: int = Field(default=1000, ge=1)
    newest: int = NEWEST
    faults: FaultPlan = Field(default_factory=FaultPlan)
    cursors: Literal["place", "key"] = "place"
    token_lifetime: NonNegativeFloat = 86_399
    refresh_grace: NonNegativeFloat = 30

    def dataset(self) -> Dataset:
        """Return the data such a sandbox serves; the same on both sides of a connection."""
        return Dataset(self.seed, self.locations, self.messages, newest=self.newest)

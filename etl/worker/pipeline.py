"""Extracts and transforms one item. Touches neither queue nor database."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from etl.api.client import Answer, Call, Client
from etl.api.rate_headers import NO_HEADERS, RateHeaders
from etl.errors import ItemError, RetriableError, SnoozedError, WorkerLostError
from etl.kinds import Kind, Origin
from etl.kinds.kind import PartlyReadError
from etl.kinds.window_pages import Walk
from etl.models.record import FollowUp, Record
from etl.state.message_queue import Item
from etl.state.windows import KIND, Why
from etl.tokens.routing import Token

LOST = "its worker was killed each time that it processed this item alone; when that is fixed: etl dead retry"


@dataclass(frozen=True, slots=True)
class Claimed:
    """A claimed item, and the token that is sent for it."""

    item: Item
    token: Token
    since: float
    """When ``item.claimed_at`` was received, on the run's clock."""
    granted: int = 1
    """Requests that may be sent for it."""

    @property
    def token_location_id(self) -> str:
        """The location whose token and allowance it uses."""
        return self.token.location_id

    @property
    def location_id(self) -> str:
        """Its location: that of its token, if the item names none."""
        return self.item.location_id or self.token.location_id

    @property
    def is_backlog(self) -> bool:
        """Whether it is a window of a backlog, whose outcome says nothing about other items of its location."""
        return self.item.kind == KIND and self.item.message_id.startswith(Why.BACKLOG)

    def time(self, now: float) -> datetime:
        """Return the time by Postgres, by which rows of all workers are compared; ``now``: on the run's clock."""
        return self.item.claimed_at + timedelta(seconds=now - self.since)


@dataclass(slots=True, repr=False)
class Outcome:
    """The result of one item: records, or the error that says what happens next. No repr: it holds a payload."""

    claimed: Claimed
    answered_at: float
    """When the request was over, on the run's clock."""
    records: list[Record] | None = None
    """None: it failed. The records of a list that was read in part are loaded despite the error."""
    follow_ups: tuple[FollowUp, ...] = ()
    """Follow-ups in addition to those of its records."""
    error: ItemError | None = None
    body: bytes = b""
    headers: RateHeaders = NO_HEADERS
    sent: int = 0
    """Requests that were sent for it."""
    statuses: Sequence[int] = ()
    """What the API answered, for the requests that it answered."""
    walk: Walk | None = None
    """The result of walking the window, if the item is one."""


@dataclass(frozen=True, slots=True)
class Pipeline:
    """Extract and transform, for threads to share."""

    kinds: Mapping[str, Kind]
    client: Client
    clock: Callable[[], float]

    def end_within(self, seconds: float) -> None:
        """End every request, later ones too, within so many seconds from now."""
        self.client.transport.end_within(seconds)

    def process(self, claimed: Claimed) -> Outcome:
        """Fetch one item and make records of it. The outcome holds every failure of the item."""
        if claimed.item.is_lost:
            return Outcome(claimed, self.clock(), error=WorkerLostError("worker_lost", LOST))
        if self.clock() >= claimed.token.expires_at:
            return Outcome(claimed, self.clock(), error=SnoozedError("token_renewing", "the token has expired"))

        call = Call(self.client, claimed.token.bearer, granted=claimed.granted, now=lambda: claimed.time(self.clock()))
        outcome = Outcome(claimed, 0.0)
        answer: Answer | None = None
        try:
            kind, id_, location_id = self.kinds[claimed.item.kind], claimed.item.message_id, claimed.location_id
            answer = kind.extract(call, id_, location_id)
            outcome.body = answer.body
            outcome.records = kind.transform(answer.payload, Origin(id_, location_id, call.now()))
        except PartlyReadError as partly:
            outcome.records, outcome.follow_ups = partly.records, partly.follow_ups
            outcome.error = partly if partly.is_lossy else None
        except ItemError as failed:
            outcome.error = failed
        except Exception as unexpected:  # noqa: BLE001 - a thread that dies would hold its item for ever
            detail = f"{type(unexpected).__name__} while the item was processed"
            outcome.error = RetriableError("internal", detail)
        outcome.answered_at = self.clock()
        outcome.headers, outcome.sent, outcome.statuses = call.headers, call.sent, call.statuses
        if answer is not None and outcome.error is None and isinstance(answer.payload, Walk):
            outcome.walk = answer.payload
        if answer is not None and outcome.error is not None and outcome.error.payload is None:
            outcome.error.payload = answer.kept()
        return outcome

"""Kind ``window``: the messages of a location created in some time, by pages of the export.

How HighLevel reads a cursor is not known: as a position in the result, or as a key to search after. So a cursor is sent
with exactly the query that it came from, and only a page without a cursor ends a walk. The API's count of rows is only
reported.

Shapes: HighLevel docs, "Export messages by location": ``{"messages": […], "nextCursor": …, "total": …}``.

Why: docs/decisions, "A cursor is sent with the query that it came from".
"""

import json
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from typing import Any

from etl.api.client import KEPT_BODY, Answer, Call
from etl.errors import RefusedError, TransformError, UnreachableError
from etl.ids import is_fetchable
from etl.kinds import messages
from etl.kinds.kind import Options, Origin, PartlyReadError
from etl.models import Message
from etl.models.record import FollowUp, Record
from etl.state.windows import Why, Window
from etl.transform.values import date_of

PATH = "/conversations/messages/export"
PAGE_ROWS = 500
"""Rows of a page: the most that both documented ranges allow (10 to 500, 10 to 1000)."""
REQUESTS = 8
"""Pages of one walk: as many as fit well into the two minutes that a cursor lives (HighLevel docs)."""
LEAST_REQUESTS = 2
"""A page of each export."""
MOST_BYTES = 32 * 1024 * 1024
"""A walk ends where its pages are this large."""
CHANNELS = (None, "Email")
"""Without a channel, an export has everything but emails: HighLevel docs, "Export messages"."""
DIVIDED = ("too_large", "too_deep", "no_end")
"""Causes of a refusal that smaller windows may not meet."""


@dataclass(slots=True, repr=False)
class Page:
    """One answer. No repr: it holds customers' words."""

    rows: list[dict[str, Any]]
    """Rows with an id that can be asked for."""
    unnamed: list[bytes]
    """The others, as JSON."""
    cursor: str | None
    """The cursor of the next page; None: this is the last page."""
    total: int | None
    size: int
    asked_at: datetime
    """By Postgres's clock, before the request was sent."""


@dataclass(slots=True, repr=False)
class Walk:
    """The result of walking a window."""

    location_id: str
    window: Window
    """As much of the window as was walked to its end."""
    pages: list[Page] = field(default_factory=list)
    dates: dict[str, datetime | None] = field(default_factory=dict)
    """When the different messages were created, by id; a row without an id by its whole content."""
    missing: int = 0
    """How many more messages the API counted in the walked part than it gave."""
    rest: tuple[Window, ...] = ()
    """Windows to walk in place of the remainder."""
    is_divided: bool = False
    """Whether ``rest`` is the whole window, in halves."""

    @property
    def messages(self) -> int:
        """How many different messages of the window were given."""
        return sum(date is None or date < self.window.until for date in self.dates.values())


def extract(call: Call, window_id: str, location_id: str) -> Answer:
    """Walk a window, as far as the requests go; the answer's payload is a :class:`Walk`."""
    try:
        window = Window.of(window_id)
    except ValueError:
        raise RefusedError("bad_id", "this is not the id of a window") from None
    walk = Walk(location_id, window)
    try:
        for number, channel in enumerate(CHANNELS, start=1):
            _walk(call, walk, channel, spare=len(CHANNELS) - number)
    except RefusedError as error:
        # If rows came, but none of the window, nothing shows that its halves would be smaller.
        is_inside = any(date is not None and window.since <= date < window.until for date in walk.dates.values())
        if error.cause not in DIVIDED or not window.halves() or (walk.pages and not is_inside):
            raise
        walk = Walk(location_id, window, rest=window.halves(), is_divided=True)
    return Answer(walk)


def _walk(call: Call, walk: Walk, channel: str | None, *, spare: int) -> None:
    """Walk one export of the window, and leave so many requests.

    A walk that cannot go on ends the window where it has come to: the rest is begun anew, without a cursor.
    """
    query = _query(walk, channel)
    reached: datetime | None = walk.window.since
    cursor, total, size, before = None, None, 0, len(walk.dates)
    while True:
        try:
            page = _page(call, query | ({"cursor": cursor} if cursor else {}))
        except RefusedError as error:
            if cursor is None or error.cause == "not_json":
                raise
            _cut(walk, reached)
            return
        total = page.total if cursor is None else total
        size += page.size
        walk.pages.append(page)
        dates = [(row["id"], _date(row)) for row in page.rows]
        walk.dates.update(dates)
        walk.dates.update((payload.decode(), None) for payload in page.unnamed)
        reached = None if reached is None else _reached([date for _, date in dates], after=reached)
        cursor = page.cursor
        if cursor is None:
            walk.missing += max((total or 0) - (len(walk.dates) - before), 0)
            return
        if call.left <= spare or size >= MOST_BYTES:
            _cut(walk, reached)
            return


def _query(walk: Walk, channel: str | None) -> dict[str, str | int]:
    return {
        "locationId": walk.location_id,
        "limit": PAGE_ROWS,
        "sortBy": "createdAt",
        "sortOrder": "asc",
        "startDate": _iso(walk.window.since),
        "endDate": _iso(walk.window.until),
        **({"channel": channel} if channel else {}),
    }


def _cut(walk: Walk, reached: datetime | None) -> None:
    """End the window where its walk has come to.

    Raises:
        RefusedError: that is nowhere.
    """
    window = walk.window
    if reached is None or not window.since < reached < window.until:
        raise RefusedError("no_end", "the export does not end")
    rest = replace(window, since=reached, until=walk.rest[0].until if walk.rest else window.until)
    # If a window as a whole lacks rows, it is not known which of its parts lacks them.
    walk.window, walk.rest, walk.missing = replace(window, until=reached), (rest,), 0


def _page(call: Call, query: dict[str, str | int]) -> Page:
    asked_at = call.now()
    answer = call.get(PATH, **query)
    payload = answer.payload
    rows = payload.get("messages") if isinstance(payload, dict) else None
    if not isinstance(rows, list):
        raise UnreachableError("not_a_list", "the answer holds no list of messages")
    # A row that is not an object is not a message; it is kept unchanged.
    objects = [row if isinstance(row, dict) else {"row": row} for row in rows]
    total = payload.get("total")
    return Page(
        rows=[row for row in objects if _is_named(row)],
        unnamed=[json.dumps(row, sort_keys=True).encode()[:KEPT_BODY] for row in objects if not _is_named(row)],
        cursor=_cursor_of(payload.get("nextCursor")),
        total=total if isinstance(total, int) and not isinstance(total, bool) else None,
        size=len(answer.body),
        asked_at=asked_at,
    )


def _cursor_of(given: Any) -> str | None:
    """Return what to send for the next page; what cannot be sent must not pass for the end."""
    if given is None or given is False or given == "":
        return None
    if isinstance(given, str) or type(given) is int:
        return str(given)
    raise UnreachableError("odd_cursor", "the answer's nextCursor is neither a text nor a number")


def transform(payload: Walk, origin: Origin, *, options: Options) -> list[Record]:
    """Normalize the messages of a walk. If a message is only compared and cannot be read, its id is enough.

    Raises:
        PartlyReadError: a row has a date that cannot be read.
    """
    records: list[Record] = []
    unread: list[str] = []
    is_compared = payload.window.why is Why.COMPARE
    for page in payload.pages:
        for row in page.rows:
            id_ = row["id"]
            source = Origin(id_, origin.location_id, page.asked_at)
            try:
                records += messages.transform(
                    row, source, options=options, is_partial=True, is_exported=not is_compared
                )
            except TransformError:
                if is_compared:
                    records.append(_unknown(source))
                else:
                    unread.append(id_)
    if unread:
        singly = tuple(FollowUp("message", id_, origin.location_id, force=True) for id_ in unread)
        raise PartlyReadError(unread, records=records, follow_ups=singly, is_lossy=False)
    return records


def _unknown(origin: Origin) -> Record:
    nothing = dict.fromkeys(("status", "date_updated", "date_added", "conversation_id"))
    key = {"location_id": origin.location_id, "message_id": origin.id}
    return Record(Message, {**nothing, **key, "fetched_at": origin.fetched_at})


def _is_named(row: dict[str, Any]) -> bool:
    id_ = row.get("id")
    return isinstance(id_, str) and is_fetchable(id_)


def _reached(dates: Sequence[datetime | None], *, after: datetime) -> datetime | None:
    """How far a page reaches in time; None if it is not in the requested order, because then rows could be missed."""
    known = [after, *(date for date in dates if date is not None)]
    return known[-1] if known == sorted(known) else None


def _date(row: dict[str, Any]) -> datetime | None:
    try:
        return date_of(row.get("dateAdded"))
    except ValueError:
        return None


def _iso(moment: datetime) -> str:
    """As HighLevel writes dates, in UTC with milliseconds."""
    return moment.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")

"""The views beside a model of their own: what random changes leave, counted by plain Python with its own time zones.

Times are few and near changes of clocks, so that many messages share one; conversations, contacts and threads are few,
so that what comes later changes what was counted before.
"""

import random
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator, Mapping
from datetime import UTC, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from sqlalchemy import Connection, Engine, text

from etl.database.retrying_transaction import RetryingTransaction
from etl.kinds import Options, Origin, emails, messages
from etl.load import erasure, loader
from etl.models import Email, Message
from etl.worker import marts

Row = Mapping[str, Any]

CHANNELS = {
    "TYPE_SMS": "SMS",
    "TYPE_CAMPAIGN_SMS": "SMS",
    "TYPE_WHATSAPP": "WhatsApp",
    "TYPE_CALL": "Call",
    "TYPE_VOICEMAIL": "Call",
    "TYPE_LATER_CALL": "Call",
    "TYPE_SOMETHING_NEW": "Other",
    "TYPE_ACTIVITY_TASK": "Activity",
    "TYPE_ACTIVITY_APPOINTMENT": "Activity",
    "TYPE_INTERNAL_COMMENT": "Internal",
    "TYPE_INTERNAL_COMMENTS": "Internal",
}
THREADS = ("TYPE_EMAIL", "TYPE_CAMPAIGN_EMAIL", "TYPE_CUSTOM_EMAIL", "TYPE_CUSTOM_PROVIDER_EMAIL", "TYPE_LATER_EMAIL")
ANSWERED, MISSED = ("answered", "completed", "connected"), ("busy", "canceled", "failed", "no-answer", "undelivered")
SENDERS = {
    "workflow": "workflow",
    "campaign": "campaign",
    "bulk_actions": "campaign",
    "app": "human",
    "manual": "human",
    "api": "api",
    "AI Employee": "ai",
    "chatbot": "ai",
    "mail": "unknown",
}
STATUSES = ("pending", "scheduled", "sent", "delivered", "read", "opened", "failed", "undelivered", "completed")
REACHED = {"sent": 1, "delivered": 2, "read": 3, "opened": 3, "clicked": 3}

# The name stored, and the one that its days are told by: an older name, none, and one that there is not.
ZONES = {
    "America/Havana": "America/Havana",
    "Atlantic/Azores": "Atlantic/Azores",
    "Asia/Amman": "Asia/Amman",
    "Asia/Gaza": "Asia/Gaza",
    "Africa/Cairo": "Africa/Cairo",
    "America/Santiago": "America/Santiago",
    "Australia/Lord_Howe": "Australia/Lord_Howe",
    "US/Central": "America/Chicago",
    "Asia/Calcutta": "Asia/Kolkata",
    "Nowhere/Land": "UTC",
    None: "UTC",
}
NOW = datetime.now(UTC).replace(minute=0, second=0, microsecond=0)
FIRST = datetime(2000, 1, 1, tzinfo=UTC)
EDGES = {
    "LOC1": (NOW + timedelta(hours=20), NOW + timedelta(hours=30), None),
    "LOC2": (FIRST - timedelta(milliseconds=1), FIRST, datetime(2099, 12, 31, tzinfo=UTC), None),
}
"""Times at the edge of the calendar, and outside of it."""
PLACES = tuple(EDGES)


def moments(zone: str) -> list[datetime | None]:
    """Times around each change of the zone's clocks in a year."""
    hours = [datetime(2020, 1, 1, tzinfo=UTC) + timedelta(hours=n) for n in range(366 * 24)]
    offsets = [hour.astimezone(ZoneInfo(zone)).utcoffset() for hour in hours]
    changes = [hours[n] for n in range(1, len(hours)) if offsets[n] != offsets[n - 1]] or [hours[5000]]
    near = [change + timedelta(minutes=each) for change in changes for each in (-61, -60, -1, 0, 29, 30, 59, 60, 1440)]
    return [*near, *(each + timedelta(milliseconds=1) for each in near[:4])]


class World:
    """Changes what a warehouse has, as the jobs do it."""

    def __init__(self, drawn: random.Random, transact: RetryingTransaction) -> None:
        self.drawn, self.transact = drawn, transact
        self.zone = dict.fromkeys(PLACES)
        self.times: dict[str, list[datetime | None]] = {}
        for place in PLACES:
            self.move(place)

    def move(self, place: str) -> None:
        """Learn another time zone of a location."""
        name = self.drawn.choice([*ZONES])
        self.times[place] = [*moments(ZONES[name]), *EDGES[place]]
        statement = (
            "INSERT INTO highlevel.locations (location_id, time_zone, fetched_at) VALUES (:place, :zone, now()) "
            "ON CONFLICT (location_id) DO UPDATE SET time_zone = excluded.time_zone"
        )
        given = {"place": place, "zone": name}
        self.transact(lambda connection: connection.execute(text(statement), given))

    def change(self) -> None:
        """Change something."""
        changes: tuple[Callable[[str], None], ...] = (self.message, self.email, self.delete, self.erase)
        (change,) = self.drawn.choices(changes, (30, 15, 3, 2))
        change(self.drawn.choice(PLACES))

    def answer(self, place: str, id_: str) -> dict[str, Any]:
        """What any answer of the API has, with such values that they often meet."""
        choice, at = self.drawn.choice, self.drawn.choice(self.times[place])
        return {
            "id": id_,
            "locationId": place,
            "conversationId": choice(("CNV1", "CNV2", "CNV3", None)),
            "contactId": choice(("CON1", "CON2", None)),
            "direction": choice(("inbound", "inbound", "outbound", "outbound", None)),
            "status": choice((*STATUSES, None)),
            "source": choice((*SENDERS, None)),
            "error": choice(("30005", None)),
            "dateAdded": at and at.isoformat(),
        }

    def origin(self, place: str) -> Origin:
        """Where an answer comes from: just now, or it was on its way for long."""
        late = self.drawn.choices((0, 600), (9, 1))
        return Origin("", place, datetime.now(UTC) - timedelta(seconds=late[0]))

    def message(self, place: str) -> None:
        """A message comes, or comes again in another form."""
        choice, number = self.drawn.choice, self.drawn.randrange(50)
        is_thread = number < 8
        type_, user = choice(THREADS if is_thread else [*CHANNELS]), choice(("USR1", None))
        more: dict[str, Any] = {"messageType": type_, "userId": user}
        if is_thread:
            ids = self.drawn.sample(range(15), k=self.drawn.randrange(4))
            more["meta"] = {"email": {"messageIds": [f"E{each:02}" for each in ids]}}
        elif CHANNELS[type_] == "Call":
            call = {"duration": choice((5, 70, None)), "status": choice((*ANSWERED, *MISSED, "voicemail", "odd", None))}
            more["meta"] = {"call": call}
        payload = self.answer(place, f"{'T' if is_thread else 'M'}{number:02}") | more
        records = messages.transform(payload, self.origin(place), options=Options())
        self.transact(lambda connection: loader.load(connection, records))

    def email(self, place: str) -> None:
        """An email is fetched, or fetched again, perhaps of another thread."""
        thread = self.drawn.choice((*(f"T{each:02}" for each in range(10)), None))
        payload = self.answer(place, f"E{self.drawn.randrange(15):02}") | {"threadId": thread}
        records = emails.transform(payload, self.origin(place), options=Options())
        self.transact(lambda connection: loader.load(connection, records))

    def delete(self, place: str) -> None:
        """The API no longer knows something."""
        for table, id_ in self._something():
            self.transact(lambda connection: loader.mark_deleted(connection, table, id_, location_id=place))  # noqa: B023 - called at once

    def erase(self, place: str) -> None:
        """Something is erased for good."""
        for table, id_ in self._something():
            erase = erasure.erase_messages if table is Message else erasure.erase_emails
            self.transact(lambda connection: erase(connection, [id_], location_id=place, why="erased"))  # noqa: B023

    def _something(self) -> Iterator[tuple[Any, str]]:
        letter = self.drawn.choice("TME")
        number = self.drawn.randrange({"T": 8, "M": 50, "E": 15}[letter])
        yield Email if letter == "E" else Message, f"{letter}{number:02}"


def read(connection: Connection, statement: str) -> list[dict[str, Any]]:
    return [dict(row) for row in connection.execute(text(statement)).mappings()]


def flat(connection: Connection) -> Iterator[dict[str, Any]]:
    """Each message and email as messages_flat should tell it, from the bare tables."""
    zones = {
        row["location_id"]: ZoneInfo(ZONES[row["time_zone"]]) for row in read(connection, "TABLE highlevel.locations")
    }
    calls = {(row["location_id"], row["message_id"]): row for row in read(connection, "TABLE highlevel.meta")}
    by_id = {(row["location_id"], row["message_id"]): row for row in read(connection, "TABLE highlevel.messages")}
    fetched = [row for row in read(connection, "TABLE highlevel.emails") if row["fetched_at"] is not None]
    threads = {(row["location_id"], row["message_id"]) for row in fetched}
    bare = [row | {"email_id": None} for key, row in by_id.items() if key not in threads]
    for row in fetched:
        thread = by_id.get((row["location_id"], row["message_id"]), {})
        gone = [at for at in (row["deleted_at"], thread.get("deleted_at")) if at is not None]
        own = {"message_type": thread.get("message_type", "TYPE_EMAIL"), "user_id": thread.get("user_id")}
        bare.append(row | own | {"deleted_at": min(gone, default=None)})
    for row in bare:
        call = calls.get((row["location_id"], row["message_id"]), {})
        yield row | told(row, call, zones[row["location_id"]])


def told(row: Row, call: Row, zone: ZoneInfo) -> dict[str, Any]:
    """What messages_flat says of a row."""
    channel = CHANNELS.get(row["message_type"], "Email")
    is_campaign = row["message_type"] in ("TYPE_CAMPAIGN_SMS", "TYPE_CAMPAIGN_EMAIL")
    by_nothing = "human" if row["user_id"] else "campaign" if is_campaign else "unknown"
    sender = SENDERS[row["source"]] if row["source"] else by_nothing
    outcome, status = None, call.get("call_status") or row["status"]
    if channel == "Call":
        outcome = "answered" if status in ANSWERED else "missed" if status in MISSED else "unknown"
        if "voicemail" in (call.get("call_status"), row["status"]) or row["message_type"] == "TYPE_VOICEMAIL":
            outcome = "voicemail"
    counts = channel not in ("Activity", "Internal") and row["deleted_at"] is None
    went_out = row["status"] not in ("failed", "undelivered", "scheduled") and outcome != "missed"
    local = row["date_added"] and row["date_added"].astimezone(zone).replace(tzinfo=None)
    return {
        "channel": channel,
        "sent_by": "contact" if row["direction"] == "inbound" else sender,
        "local_time": local,
        "local_day": local and local.date(),
        "call_duration": call.get("call_duration") if channel == "Call" else None,
        "call_outcome": outcome,
        "awaits_answer": counts and row["direction"] == "inbound" and outcome != "answered",
        "is_answer": counts
        and (
            (row["direction"] == "inbound" and outcome == "answered") or (row["direction"] == "outbound" and went_out)
        ),
        "counts": counts and row["date_added"] is not None and FIRST <= row["date_added"] <= NOW + timedelta(hours=25),
    }


def in_order(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """The counted messages of a conversation; of one time answers come last, of an id the emails first."""
    keyed = [(r["date_added"], r["is_answer"], r["message_id"] or "~", r["email_id"] or "~", r) for r in rows]
    return [row for *_, row in sorted(keyed, key=lambda each: each[:4])]


def conversations(rows: list[dict[str, Any]]) -> Iterator[list[dict[str, Any]]]:
    """The counted messages of each conversation in the order of time."""
    by_id = defaultdict(list)
    for row in rows:
        if row["counts"] and row["conversation_id"]:
            by_id[row["location_id"], row["conversation_id"]].append(row)
    return map(in_order, by_id.values())


def is_person(row: Row) -> bool:
    return bool(row["is_answer"] and row["sent_by"] in ("human", "contact"))


def turns(rows: list[dict[str, Any]]) -> Iterator[tuple[Any, ...]]:
    """What response_times should say."""
    for talk in conversations(rows):
        begun = False
        for place, row in enumerate(talk):
            if row["awaits_answer"] and not begun:
                after = talk[place + 1 :]
                first = next((each for each in after if each["is_answer"]), {})
                human = next(filter(is_person, after), {})
                at = row["date_added"]
                waits = [
                    each.get("date_added") and (each["date_added"] - at).total_seconds() for each in (first, human)
                ]
                yield (
                    *(row[name] for name in ("location_id", "conversation_id", "contact_id", "message_id", "email_id")),
                    *(row[name] for name in ("channel", "date_added", "local_time", "local_day")),
                    *(first.get(name) for name in ("date_added", "message_id", "email_id", "channel", "sent_by")),
                    *(human.get(name) for name in ("date_added", "user_id")),
                    *waits,
                )
            begun = (begun or row["awaits_answer"]) and not row["is_answer"]


TURNS = (
    "SELECT location_id, conversation_id, contact_id, message_id, email_id, channel, date_added, local_time, "
    "local_day, answered_at, answer_message_id, answer_email_id, answer_channel, answered_by, human_answered_at, "
    "user_id, response_seconds, human_response_seconds FROM highlevel.response_times"
)


def totals(rows: list[dict[str, Any]]) -> Iterator[tuple[Any, ...]]:
    """What conversations should say."""
    for talk in conversations(rows):
        last, waiting, waiting_for_human = talk[-1], None, None
        for row in talk:
            waiting = None if row["is_answer"] else waiting or (row["date_added"] if row["awaits_answer"] else None)
            waiting_for_human = (
                None if is_person(row) else waiting_for_human or (row["date_added"] if row["awaits_answer"] else None)
            )
        directions = Counter(row["direction"] for row in talk)
        yield (
            *(last[name] for name in ("location_id", "conversation_id", "contact_id")),
            talk[0]["date_added"],
            *(last[name] for name in ("date_added", "local_time", "local_day")),
            *(len(talk), directions["inbound"], directions["outbound"]),
            *(last[name] for name in ("channel", "direction", "sent_by", "message_id")),
            *(waiting, waiting_for_human),
        )


TOTALS = (
    "SELECT location_id, conversation_id, contact_id, first_date_added, last_date_added, last_local_time, "
    "last_local_day, messages, inbound, outbound, last_channel, last_direction, last_sent_by, last_message_id, "
    "waiting_since, waiting_for_human_since FROM highlevel.conversations"
)


def days(rows: list[dict[str, Any]]) -> Iterator[tuple[Any, ...]]:
    """What daily_messages should say."""
    return summed(rows, ("location_id", "local_day", "channel", "direction", "source", "sent_by"))


def users(rows: list[dict[str, Any]]) -> Iterator[tuple[Any, ...]]:
    """What daily_users should say."""
    named = [row for row in rows if row["user_id"]]
    return summed(named, ("location_id", "local_day", "channel", "direction", "user_id", "sent_by"))


def summed(rows: list[dict[str, Any]], names: tuple[str, ...]) -> Iterator[tuple[Any, ...]]:
    """Count messages, contacts and calls by these columns."""
    by_key = defaultdict(list)
    for row in rows:
        if row["counts"]:
            by_key[tuple(row[name] for name in names)].append(row)
    for key, same in by_key.items():
        outcomes = Counter(row["call_outcome"] for row in same)
        seconds = sum(row["call_duration"] or 0 for row in same if row["call_outcome"] == "answered")
        calls = (*(outcomes[each] for each in ("answered", "missed", "voicemail")), seconds)
        contacts = {row["contact_id"] for row in same} - {None}
        yield (*key, len(same), len(contacts), *(calls if key[2] == "Call" else (None,) * 4))


DAYS = (
    "SELECT location_id, local_day, channel, direction, source, sent_by, messages, contacts, answered_calls, "
    "missed_calls, voicemails, answered_seconds FROM highlevel.daily_messages"
)
USERS = DAYS.replace("source", "user_id").replace("daily_messages", "daily_users")


def sendings(rows: list[dict[str, Any]]) -> Iterator[tuple[Any, ...]]:
    """What delivery should say."""
    by_key = defaultdict(list)
    for row in rows:
        if row["counts"] and row["direction"] == "outbound" and row["channel"] != "Call":
            names = ("location_id", "local_day", "channel", "source", "sent_by", "error")
            by_key[tuple(row[name] for name in names)].append(row["status"])
    for key, statuses in by_key.items():
        reached = [REACHED.get(status, 0) for status in statuses]
        sent = [sum(each >= least for each in reached) for least in (1, 2, 3)]
        waiting = sum(status in ("pending", "queued", "scheduled") for status in statuses)
        failed = sum(status in ("failed", "undelivered") for status in statuses)
        yield (*key, len(statuses), waiting, *sent, failed, len(statuses) - waiting - sent[0] - failed)


SENDINGS = (
    "SELECT location_id, local_day, channel, source, sent_by, error, messages, waiting, sent, delivered, opened, "
    "failed, other FROM highlevel.delivery"
)


def told_rows(rows: list[dict[str, Any]]) -> Iterator[tuple[Any, ...]]:
    """What messages_flat should say."""
    names = [name.strip() for name in TOLD.removeprefix("SELECT").partition("FROM")[0].split(",")]
    return (tuple(row[name] for name in names) for row in rows)


TOLD = (
    "SELECT location_id, message_id, email_id, message_type, channel, user_id, sent_by, local_time, local_day, "
    "call_duration, call_outcome, awaits_answer, is_answer, deleted_at FROM highlevel.messages_flat"
)


def calendar(rows: list[dict[str, Any]]) -> Iterator[tuple[Any, ...]]:
    """How many messages each day of local_days should have between its start and its end."""
    by_day = Counter((row["location_id"], row["local_day"]) for row in rows if row["counts"])
    return ((*key, messages) for key, messages in by_day.items())


CALENDAR = (
    "SELECT d.location_id, d.local_day, count(*) FROM highlevel.local_days AS d JOIN highlevel.messages_flat AS m "
    "ON m.location_id = d.location_id AND m.date_added >= d.starts_at AND m.date_added < d.ends_at "
    "WHERE m.with_contact AND m.deleted_at IS NULL "
    "AND m.date_added BETWEEN '2000-01-01 00:00Z' AND now() + interval '1 day' GROUP BY 1, 2"
)

VIEWS = {
    TOLD: told_rows,
    TURNS: turns,
    TOTALS: totals,
    DAYS: days,
    USERS: users,
    SENDINGS: sendings,
    CALENDAR: calendar,
}


@pytest.mark.parametrize("seed", range(3))
def test_the_views_say_what_the_model_says(engine: Engine, seed: int) -> None:
    transact = RetryingTransaction(engine, patience=0.0, stopping=lambda: False)
    world = World(random.Random(seed), transact)
    for changes in (150, 20, 20, 20, 20):
        for _ in range(changes):
            world.change()
        world.move("LOC1")
        marts.work_out_all(transact)
        with engine.connect() as connection:
            rows = list(flat(connection))
            for query, model in VIEWS.items():
                found = Counter(map(tuple, connection.execute(text(query))))
                expected = Counter(model(rows))
                assert (found - expected, expected - found) == (Counter(), Counter()), query

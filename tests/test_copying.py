"""A copy that is kept in step by the queries of docs/copying.md."""

import re
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from sqlalchemy import Connection, Engine, text

from etl.kinds import Options, Origin, emails, messages
from etl.load import erasure, loader
from etl.models import Base

DELETED, CHANGED, BELOW, _ = re.findall(
    r"```psql\n(.*?)```", Path("docs/copying.md").read_text(encoding="utf-8"), re.DOTALL
)
FOLLOWED = ("messages", "emails", "contacts", "users", "locations", "recordings", "transcripts")
BELOW_OF = {
    "messages": ("attachments", "meta", "status_changes"),
    "emails": ("email_attachments", "email_status_changes"),
}
GONE_WITH = BELOW_OF | {"messages": (*BELOW_OF["messages"], "recordings", "transcripts")}
NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)
HOUR = timedelta(hours=1)
Rows = dict[str, set[tuple[tuple[str, ...], str]]]


class Copy:
    """The rows of each table in a copy, with the keys of the things that they belong to."""

    def __init__(self) -> None:
        self.rows: Rows = {name: set() for name in (*FOLLOWED, *BELOW_OF["messages"], *BELOW_OF["emails"])}
        self.since = datetime(2000, 1, 1, tzinfo=UTC)

    def catch_up(self, engine: Engine) -> None:
        with engine.connect() as connection:
            now = connection.execute(text("SELECT now()")).scalar_one()
            for row in connection.execute(text(DELETED), {"since": self.since}):
                self._drop((row.location_id, row.id), row.table_name, *GONE_WITH.get(row.table_name, ()))
            for table in FOLLOWED:
                changed = self._read(connection, table, CHANGED.replace("messages", table))
                for key, _ in changed:
                    self._drop(key, table, *BELOW_OF.get(table, ()))
                self.rows[table] |= changed
            for parent, tables in BELOW_OF.items():
                query = BELOW.replace("messages", parent).replace("message_id", f"{parent[:-1]}_id")
                for table in tables:
                    self.rows[table] |= self._read(connection, table, query.replace("attachments", table))
        self.since = now - HOUR

    def _read(self, connection: Connection, table: str, query: str) -> set[tuple[tuple[str, ...], str]]:
        keys = [column.name for column in Base.metadata.tables[f"highlevel.{table}"].primary_key][:2]
        found = connection.execute(text(query), {"since": self.since}).mappings()
        return {(tuple(row[name] for name in keys), str(dict(row))) for row in found}

    def _drop(self, key: tuple[str, ...], *tables: str) -> None:
        for table in tables:
            self.rows[table] = {row for row in self.rows[table] if row[0] != key}

    def is_whole(self, engine: Engine) -> bool:
        new = Copy()
        new.catch_up(engine)
        return new.rows == self.rows


def load(connection: Connection, *, at: datetime = NOON, **fields: Any) -> None:
    payload = {"id": "MSG1", "locationId": "LOC1", "contactId": "ANN", "messageType": "TYPE_SMS"} | fields
    loader.load(connection, messages.transform(payload, Origin("", "", at), options=Options()))


def load_email(connection: Connection, *, at: datetime = NOON, **fields: Any) -> None:
    payload = {"id": "EML1", "locationId": "LOC1", "threadId": "MSG1"} | fields
    loader.load(connection, emails.transform(payload, Origin("", "", at), options=Options()))


def test_a_row_that_is_written_while_a_copy_is_made_is_in_the_next(engine: Engine) -> None:
    copy = Copy()
    with engine.connect() as slow:
        load(slow, body="written before the copy, seen after it")
        with engine.begin() as connection:
            load(connection, id="MSG2")
        copy.catch_up(engine)
        assert {key for key, _ in copy.rows["messages"]} == {("LOC1", "MSG2")}
        slow.commit()
    assert not copy.is_whole(engine)
    copy.catch_up(engine)
    assert (len(copy.rows["messages"]), copy.is_whole(engine)) == (2, True)


def test_a_copy_follows_all_that_changes_comes_and_goes(engine: Engine) -> None:
    copy = Copy()
    changes = (
        lambda connection: load(connection, attachments=["u", "v"], status="sent", meta={"call": {"duration": 3}}),
        lambda connection: load(connection, attachments=["u"], status="read", at=NOON + HOUR),
        lambda connection: load_email(connection, attachments=["u"], status="sent"),
        lambda connection: load_email(connection, attachments=[], status="opened", at=NOON + HOUR),
        lambda connection: erasure.erase_messages(connection, ["MSG1"], location_id="LOC1", why="erased"),
        lambda connection: load(connection, at=NOON + 2 * HOUR),
    )
    for change in changes:
        with engine.begin() as connection:
            change(connection)
        assert not copy.is_whole(engine)
        copy.catch_up(engine)
        assert copy.is_whole(engine)
    assert {name: len(rows) for name, rows in copy.rows.items() if rows} == {"messages": 1}

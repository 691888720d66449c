"""A receiver while the tables are migrated under it, to a newer version's or from an older one's."""

from collections.abc import Iterator
from contextlib import contextmanager
from threading import Event, Thread

from sqlalchemy import Engine, text

from etl.database import roles, schema
from tests.login_role import login_role
from tests.receive.receiver import Launch, Receiver
from tests.waiting import await_

NEWER = """
ALTER TABLE etl.webhook_events ADD COLUMN newer integer;
UPDATE etl.alembic_version SET version_num = '9999'
"""
NARROWER = """
ALTER TABLE etl.webhook_events ADD COLUMN needed integer NOT NULL;
UPDATE etl.alembic_version SET version_num = '9999'
"""


def execute(engine: Engine, statements: str) -> None:
    with engine.begin() as connection:
        connection.execute(text(statements))


@contextmanager
def posting(receiver: Receiver) -> Iterator[list[int]]:
    """Post events without an end, each once; the statuses."""
    statuses: list[int] = []
    ended = Event()

    def post() -> None:
        while not ended.is_set():
            statuses.append(receiver.say_once(webhookId=f"event-{len(statuses)}", messageId=f"M{len(statuses)}"))

    thread = Thread(target=post)
    thread.start()
    try:
        yield statuses
    finally:
        ended.set()
        thread.join()


def more(statuses: list[int], status: int, count: int = 20) -> None:
    """Wait until so many more were answered so."""
    begun = len(statuses)
    await_(lambda: statuses[begun:].count(status) >= count)


def test_a_receiver_stays_ready_under_newer_tables_that_it_can_store_in(engine: Engine, launch: Launch) -> None:
    with login_role(engine, roles.grant_receiver) as (_, url), launch(url) as receiver:
        with posting(receiver) as statuses:
            more(statuses, 200)
            execute(engine, NEWER)
            await_(lambda: "schema_changed" in receiver.log)
            more(statuses, 200)
        assert set(statuses) <= {200, 429}
        assert receiver.get("/readyz").status_code == 200
    with engine.connect() as connection:
        names = connection.execute(text("SELECT count(*) FROM etl.webhook_events WHERE webhook_id ~ 'rehearsal'"))
        assert names.scalar_one() == 0
        assert connection.execute(text("SELECT count(*) FROM etl.webhook_events")).scalar_one() == statuses.count(200)


def test_a_receiver_is_not_ready_under_newer_tables_that_it_cannot_store_in(
    engine: Engine, database_url: str, launch: Launch
) -> None:
    with launch(database_url) as receiver:
        execute(engine, NARROWER)
        await_(lambda: receiver.get("/readyz").text == "schema_not_at_head\n")
        assert receiver.say_once(webhookId="x") == 429
        execute(engine, "ALTER TABLE etl.webhook_events ALTER needed DROP NOT NULL")
        await_(lambda: receiver.get("/readyz").text == "ready\n")


def test_a_receiver_that_starts_under_older_tables_is_ready_once_they_are_upgraded(
    engine: Engine, database_url: str, launch: Launch
) -> None:
    with engine.connect() as connection:
        schema.downgrade(connection, "0017")
    with launch(database_url) as receiver, posting(receiver) as statuses:
        assert receiver.get("/readyz").text == "schema_not_at_head\n"
        assert "Run: etl db upgrade" in receiver.log
        more(statuses, 429)
        with engine.connect() as connection:
            schema.upgrade(connection)
        await_(lambda: receiver.get("/readyz").text == "ready\n")
        more(statuses, 200)
    assert set(statuses) == {200, 429}


def test_a_receiver_that_starts_under_older_tables_is_ready_where_it_can_store_in_them(
    engine: Engine, database_url: str, launch: Launch
) -> None:
    execute(engine, "UPDATE etl.alembic_version SET version_num = '0016'")
    with launch(database_url) as receiver:
        assert receiver.get("/readyz").text == "ready\n"
        assert receiver.say_once(webhookId="x") == 200

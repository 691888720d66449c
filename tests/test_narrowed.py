"""Readers who may see less: each test logs in as one and reads all that it can."""

import json
import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from sqlalchemy import Connection, Engine, text
from sqlalchemy.exc import DBAPIError

from etl.config.jobs import KindName
from etl.database import narrowed, roles, schema, wordless
from etl.database.narrowed import Narrowing
from etl.errors import ConfigurationError
from tests import servers
from tests.command import Command
from tests.job import Job
from tests.login_role import Login, login_role
from tests.marts import refresh

MARCH = Path("tests/analyst/march.sql").read_text(encoding="utf-8")
TEXTS = text("""
    SELECT c.relname, a.attname, t.typname FROM pg_class AS c
    JOIN pg_attribute AS a ON a.attrelid = c.oid JOIN pg_type AS t ON t.oid = a.atttypid
    WHERE c.relnamespace = 'highlevel'::regnamespace AND c.relkind = 'r' AND a.attnum > 0 AND NOT a.attisdropped
      AND t.typname IN ('text', '_text', 'jsonb') ORDER BY 1, 2
""")
CHOSEN = {
    *("location_id", "message_id", "email_id", "conversation_id", "contact_id", "user_id", "company_id", "mentions"),
    *("conversation_provider_id", "chat_widget_id", "reply_to_message_id", "reply_to_email_id", "answer_message_id"),
    *("answer_email_id", "last_message_id", "message_type", "direction", "status", "previous_status", "content_type"),
    *("media_type", "call_status", "channel", "answer_channel", "last_channel", "last_direction", "sent_by", "role"),
    *("last_sent_by", "answered_by", "contact_type", "time_zone", "country", "default_time_zone", "known_as"),
}
"""Columns in which nobody types; what the tests plant goes into all others."""
PLANT = "Planted words"
OTHERS: tuple[KindName, ...] = ("email", "transcription", "recording", "contact", "user", "location")


@contextmanager
def logged_in(engine: Engine, *locations: str, without_words: bool = False) -> Iterator[Login]:
    if servers.CITUS:
        pytest.skip("Citus refuses such readers")

    def grant(connection: Connection, name: str) -> bool:
        return roles.grant_narrowed_reader(connection, Narrowing(name, without_words, locations))

    with login_role(engine, grant) as (name, url):
        login = Login(name, url)
        try:
            yield login
        finally:
            login.close()
            with engine.begin() as connection:
                narrowed.forget(connection, name)


@pytest.fixture
def march(engine: Engine) -> Engine:
    with engine.begin() as connection:
        connection.exec_driver_sql(MARCH, execution_options={"no_parameters": True})
        refresh(connection)
    return engine


def readable(login: Login) -> dict[str, list[str]]:
    """Each row of everything that somebody may read, as text."""
    relations = login.rows(
        "SELECT c.oid::regclass::text FROM pg_class AS c JOIN pg_namespace AS n ON n.oid = c.relnamespace "
        "WHERE relkind IN ('r', 'v', 'm', 'p') AND nspname NOT IN ('pg_catalog', 'information_schema') "
        "AND has_schema_privilege(n.oid, 'USAGE') AND has_table_privilege(c.oid, 'SELECT')"
    )
    return {name: [row for (row,) in login.rows(f"SELECT x::text FROM {name} AS x")] for (name,) in relations}  # noqa: S608


def test_every_column_is_said_to_hold_words_or_none_once(engine: Engine) -> None:
    with engine.connect() as connection:
        there = narrowed.relations(connection, "highlevel")
    told = sorted(f"{wordless.SHOWN} {wordless.HIDDEN}".split())
    expected = sorted({name for columns in there.values() for name in columns})
    assert told == expected, "A new column: name it in etl/database/wordless.py, among HIDDEN if anybody types there."
    assert wordless.RELATIONS == there.keys()


def test_no_word_number_or_name_can_be_read_without_words(job: Job, engine: Engine) -> None:
    job.enqueue(*job.ids[:150])
    job.load("message", taken=OTHERS)
    job.make_due()
    job.load(*OTHERS)
    with engine.begin() as connection:
        refresh(connection)
        columns = connection.execute(TEXTS).all()
        typed = [each for each in columns if each.attname not in CHOSEN]
        words = {
            word
            for relation, column, kind in typed
            for word in connection.execute(text(f"SELECT {column}::text FROM highlevel.{relation}")).scalars()  # noqa: S608
            if word and len(word) > 3 and column != "source" and kind == "text"
        }
        for relation, column, kind in typed:
            planted = {"text": PLANT, "_text": f'{{"{PLANT}"}}', "jsonb": json.dumps([PLANT])}[kind]
            is_source = column == "source" and relation != "contacts"
            statement = f"UPDATE highlevel.{relation} SET {column} = CAST(:planted AS {kind})"  # noqa: S608
            if not is_source:
                connection.execute(text(statement), {"planted": planted})
    with logged_in(engine, without_words=True) as counter:
        seen = readable(counter)
        everything = "\n".join(row for rows in seen.values() for row in rows)
        found = [
            word for word in words if word in everything and re.search(rf"(?<!\w){re.escape(word)}(?!\w)", everything)
        ]
        assert (found, PLANT in everything) == ([], False)
        # Texts, addresses, numbers and files were looked for.
        assert [mark for mark in (" ", "@", "+1", "://") if not any(mark in word for word in words)] == []
        counts = {name: len(rows) for name, rows in seen.items()}
    assert counts == {
        name: job.value(f"SELECT count(*) FROM highlevel.{name}")  # noqa: S608
        for name in wordless.RELATIONS
    }
    assert min(counts[name] for name in ("messages", "emails", "contacts", "transcripts", "calls")) > 0


def test_of_one_location_no_other_can_be_read(march: Engine) -> None:
    with march.connect() as connection:
        own = {
            name: connection.execute(text(f"SELECT count(*) FROM highlevel.{name} {where}")).scalar_one()  # noqa: S608
            for name, columns in narrowed.relations(connection, "highlevel").items()
            for where in ["WHERE location_id = 'LOC1'" if "location_id" in columns else ""]
        }
    with logged_in(march, "LOC1") as clinic:
        seen = readable(clinic)
        assert {name: len(rows) for name, rows in seen.items()} == own
        assert [row for rows in seen.values() for row in rows if "LOC2" in row or "LOC3" in row] == []
        assert clinic.rows("SELECT DISTINCT body FROM messages_flat ORDER BY 1") == [("<p>words</p>",), ("words",)]
    with logged_in(march, "LOC2", "LOC3") as others:
        assert others.rows("SELECT location_id, count(*) FROM messages GROUP BY 1 ORDER BY 1") == [
            ("LOC2", 1),
            ("LOC3", 1),
        ]


def test_of_one_location_without_words_neither_can_be_read(march: Engine) -> None:
    with logged_in(march, "LOC1", without_words=True) as clinic:
        everything = str(readable(clinic))
        assert [each for each in ("LOC2", "words", "Sam Fox", "example.com", "Error 3") if each in everything] == []


def test_an_error_shows_nothing_of_other_locations(march: Engine) -> None:
    with march.begin() as connection:
        connection.execute(
            text("UPDATE highlevel.messages SET body = CASE location_id WHEN 'LOC1' THEN '1' ELSE 'Ann' END")
        )
    with logged_in(march, "LOC1") as clinic:
        for relation in ("messages", "messages_flat"):
            numbers = f"SELECT DISTINCT body FROM {relation} WHERE body::int = 1 AND date_added > '2026-03-01'"  # noqa: S608
            try:
                found = str(clinic.rows(numbers))
            except DBAPIError as error:
                found = str(error)
            assert "Ann" not in found


def test_a_month_of_one_location_is_read_as_when_somebody_else_filters_by_it(march: Engine) -> None:
    def plan(login: Login, where: str) -> list[str]:
        query = f"SELECT channel, count(*) FROM messages_flat WHERE {where} GROUP BY channel"  # noqa: S608
        lines = [line.strip() for (line,) in login.rows("SET enable_seqscan = off", f"EXPLAIN (COSTS off) {query}")]
        return [line for line in lines if re.search("Scan|Cond|Filter", line) and "Subquery Scan" not in line]

    month = "date_added >= '2026-03-01' AND date_added < '2026-04-01'"
    with logged_in(march, "LOC1") as clinic, login_role(march, roles.grant_reader) as (name, url):
        analyst = Login(name, url)
        expected = plan(analyst, f"{month} AND location_id = 'LOC1'")
        analyst.close()
        assert (plan(clinic, month), len(expected) > 10) == (expected, True)


@pytest.mark.parametrize(
    "statement",
    [
        "SELECT count(*) FROM highlevel.messages",
        "SELECT count(*) FROM highlevel.message_types",
        "SELECT name FROM etl.locations",
        "SELECT * FROM etl.alembic_version",
        "SET default_transaction_read_only = off; COMMIT; DELETE FROM messages",
        "SET default_transaction_read_only = off; COMMIT; UPDATE settings SET default_time_zone = 'UTC'",
        "SET default_transaction_read_only = off; COMMIT; CREATE TABLE {own}.mine ()",
        "SET default_transaction_read_only = off; COMMIT; CREATE OR REPLACE VIEW messages AS SELECT 1",
        "SET default_transaction_read_only = off; COMMIT; DROP VIEW messages",
        "SET default_transaction_read_only = off; COMMIT; CREATE TEMPORARY TABLE mine ()",
        "SELECT stavalues1 FROM pg_statistic",
    ],
)
def test_a_narrowed_reader_may_not(engine: Engine, statement: str) -> None:
    with logged_in(engine, "LOC1", without_words=True) as reader:
        assert reader.is_refused(statement.format(own=reader.name))
        assert "messages" not in str(reader.rows("SELECT tablename FROM pg_stats WHERE schemaname <> 'pg_catalog'"))


def test_a_new_column_is_hidden_until_somebody_says_that_it_holds_no_words(march: Engine, etl: Command) -> None:
    with logged_in(march, without_words=True) as counter, logged_in(march, "LOC1") as clinic:
        with march.begin() as connection:
            connection.execute(text(f"ALTER TABLE highlevel.messages ADD COLUMN note text DEFAULT '{PLANT}'"))
            connection.execute(text(f"CREATE TABLE highlevel.notes AS SELECT 'LOC1' AS location_id, '{PLANT}' AS note"))
        assert etl("db", "upgrade").returncode == 0
        assert (PLANT in str(readable(counter)), clinic.rows("SELECT DISTINCT note FROM messages")) == (
            False,
            [(PLANT,)],
        )
        assert [reader.is_refused("TABLE highlevel.notes") for reader in (counter, clinic)] == [True, True]


def test_the_views_are_there_again_after_the_way_back_and_forth(march: Engine) -> None:
    with logged_in(march, "LOC1") as clinic:
        before = readable(clinic)
        with march.connect() as connection:
            schema.downgrade(connection, "-1")
            schema.upgrade(connection)
            refresh(connection)
            connection.commit()
        assert readable(clinic).keys() == before.keys()


def test_what_is_no_longer_without_words_is_hidden_by_the_next_upgrade(
    march: Engine, etl: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    with logged_in(march, without_words=True) as counter:
        monkeypatch.setattr(wordless, "SHOWN", "location_id message_id")
        assert etl("db", "upgrade").returncode == 0
        assert len(counter.rows("SELECT * FROM messages LIMIT 1")[0]) == 2


def test_a_reader_of_all_has_no_schema_of_its_own_any_more(march: Engine, etl: Command) -> None:
    with logged_in(march, "LOC1") as clinic:
        assert clinic.shows("search_path") == clinic.name
        etl("db", "grant-reader", clinic.name)
        again = Login(clinic.name, clinic.url)
        assert {name.partition(".")[0] for name in readable(again)} == {"messages"} or len(readable(again)) > 20
        assert again.rows("SELECT count(DISTINCT location_id) FROM highlevel.messages") == [(3,)]
        assert again.rows(f"SELECT to_regnamespace('{clinic.name}')") == [(None,)]
        again.close()


def test_a_transformer_becomes_a_narrowed_reader_and_the_other_way_round(march: Engine) -> None:
    query = text("""
        SELECT has_schema_privilege(CAST(:role AS text), CAST(:role AS text), 'CREATE'),
               to_regclass(CAST(:role AS text) || '.messages') IS NOT NULL
    """)
    if servers.CITUS:
        pytest.skip("Citus refuses such readers")
    with login_role(march, roles.grant_transformer) as (name, _), march.connect() as connection:
        roles.grant_narrowed_reader(connection, Narrowing(name, without_words=True))
        narrow = connection.execute(query, {"role": name}).one()
        roles.grant_transformer(connection, name)
        assert [tuple(narrow), tuple(connection.execute(query, {"role": name}).one())] == [(False, True), (True, False)]
        connection.rollback()


def test_the_command_narrows_and_may_be_repeated_with_more(march: Engine, etl: Command) -> None:
    with logged_in(march, "LOC1") as clinic:
        done = etl("db", "grant-reader", clinic.name, "--location", "LOC1", "--location", "LOC2")
        assert (0, "") == (done.returncode, done.stderr)
        assert clinic.rows("SELECT DISTINCT location_id FROM messages ORDER BY 1") == [("LOC1",), ("LOC2",)]
        done = etl("db", "grant-reader", clinic.name, "--without-words", "--schema", f"{clinic.name}_2")
        assert done.returncode == 0, done.stderr
        assert clinic.rows(f"SELECT count(DISTINCT location_id) FROM {clinic.name}_2.messages") == [(3,)]  # noqa: S608
        assert clinic.rows(f"SELECT to_regnamespace('{clinic.name}')") == [(None,)]


@pytest.mark.parametrize(
    ("options", "told"),
    [
        (["--schema", "mine"], "--schema goes with"),
        (["--location", "LOC 1"], "an id is"),
        (["--location", "LOC1", "--schema", "highlevel"], "has another purpose"),
        (["--location", "LOC1", "--schema", "theirs"], "belongs to"),
    ],
)
def test_what_cannot_be_granted_is_reported_with_its_cure(
    engine: Engine, etl: Command, options: list[str], told: str
) -> None:
    if servers.CITUS and "--schema" in options and "--location" in options:
        pytest.skip("Citus refuses such readers")
    with engine.begin() as connection:
        connection.execute(text("CREATE SCHEMA theirs CREATE TABLE mine ()"))
    done = etl("db", "grant-reader", "test_nobody", *options)
    assert (2, True, False) == (done.returncode, told in done.stderr, "Traceback" in done.stderr), done.stderr


def test_a_location_without_any_message_is_reported(engine: Engine, etl: Command) -> None:
    with logged_in(engine, "LOC1") as clinic:
        done = etl("db", "grant-reader", clinic.name, "--location", "LOC9")
        assert (0, True) == (done.returncode, "LOC9" in done.stderr), done.stderr


def test_on_citus_it_is_refused(engine: Engine) -> None:
    with engine.connect() as connection:
        if not servers.CITUS:
            connection.exec_driver_sql(Path("tests/citus_stand_in.sql").read_text(encoding="utf-8"))
        with pytest.raises(ConfigurationError, match="On Citus"):
            roles.grant_narrowed_reader(connection, Narrowing("test_nobody", without_words=True))
        connection.rollback()

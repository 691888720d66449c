import json
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from pathlib import Path

import pytest
from sqlalchemy import Engine

from etl.app.composition import message_erasure_of
from etl.kinds import Options, Origin, messages
from etl.load import erasure, loader
from etl.models import Base
from etl.models.record import Record
from etl.privacy.contact_erasure import ContactErasure
from etl.receive import events, webhook
from tests.command import Command
from tests.job import Job
from tests.privacy.filling import FILLED, PLACE, fill, rows
from tests.waiting import await_

NOTHING = dict.fromkeys(FILLED, 0)
TOMBSTONES = "SELECT location_id, contact_id FROM etl.forgotten"


def printed(text: str) -> dict[str, int]:
    """A table as it is printed where there is no terminal."""
    return {name: int(count) for name, _, count in (line.partition("\t") for line in text.splitlines()[1:])}


def test_a_contact_is_erased_everywhere_and_nobody_else_is(job: Job, etl: Command, tmp_path: Path) -> None:
    kept, erased = tmp_path / "kept.wav", tmp_path / "erased.wav"
    kept.write_bytes(b"RIFF")
    erased.write_bytes(b"RIFF")
    fill(job, "ZOE", audio=erased)
    fill(job, "BOB", audio=kept)
    done = etl("forget", "--contact", "ZOE", "--yes")
    assert (0, FILLED | {"audio files": 1}) == (done.returncode, printed(done.stdout)), done.stderr
    assert rows(job) == FILLED
    assert (kept.exists(), erased.exists()) == (True, False)
    assert job.rows(TOMBSTONES) == [(PLACE, "ZOE")]


def test_what_is_erased_is_named_for_copies_for_ninety_days(job: Job, etl: Command) -> None:
    fill(job, "ZOE")
    fill(job, "BOB")
    etl("forget", "--contact", "ZOE", "--yes")
    query = "SELECT table_name, id FROM highlevel.deleted_rows WHERE why = 'erased' ORDER BY 1, 2"
    assert job.rows(query) == [
        ("contacts", "ZOE"),
        ("emails", "ZOE-email"),
        ("messages", "ZOE-call"),
        ("messages", "ZOE-thread"),
    ]
    job.execute("UPDATE highlevel.deleted_rows SET deleted_at = now() - make_interval(days => 91)")
    etl("forget", "--contact", "BOB", "--yes")
    assert {id_[:3] for _, id_ in job.rows(query)} == {"BOB"}


@pytest.mark.parametrize("command", [("forget", "--contact", "ZOE", "--yes"), ("prune",)])
def test_the_marts_keep_nothing_of_what_was_erased(job: Job, etl: Command, command: tuple[str, ...]) -> None:
    fill(job, "ZOE", age_days=40)
    job.execute("UPDATE highlevel.messages SET direction = 'inbound'")
    job.execute("INSERT INTO etl.mart_changes (location_id) VALUES (:place)", place=PLACE)
    assert etl("run", "marts").returncode == 0
    assert [job.value(f"SELECT count(*) FROM highlevel.{name}") for name in MARTS] == [1, 1, 2]  # noqa: S608 - constants
    (etl.directory / "jobs.yaml").write_text("jobs:\n  messages:\nretention:\n  messages: 30 days\n")
    assert etl(*command).returncode == 0
    assert [job.value(f"SELECT count(*) FROM highlevel.{name}") for name in MARTS] == [0, 0, 0]  # noqa: S608
    assert job.rows("SELECT * FROM etl.mart_changes") == []


MARTS = ("turns", "conversation_totals", "daily_totals")


def test_opening_hours_are_no_contacts_and_stay(job: Job, etl: Command) -> None:
    job.execute("INSERT INTO highlevel.opening_hours VALUES (:place, 1, '09:00', '18:00')", place=PLACE)
    fill(job, "ZOE")
    assert etl("forget", "--contact", "ZOE", "--yes").returncode == 0
    assert job.value("SELECT count(*) FROM highlevel.opening_hours") == 1


def test_no_table_with_words_of_customers_is_left_out() -> None:
    known = (
        {table.__tablename__ for table in erasure.TABLES}
        | {"users", "locations"}
        | {"message_types", "settings", "time_zones", "marts", "opening_hours"}
        | {"turns", "conversation_totals", "daily_totals", "user_totals", "delivery_totals"}
    )
    assert {table.name for table in Base.metadata.sorted_tables if table.schema == "highlevel"} == known


def test_a_dry_run_tells_the_same_and_changes_nothing(job: Job, etl: Command) -> None:
    fill(job, "ZOE")
    done = etl("forget", "--contact", "ZOE", "--dry-run")
    assert (0, FILLED) == (done.returncode, printed(done.stdout))
    assert (rows(job), job.rows(TOMBSTONES)) == (FILLED, [])


def test_an_unknown_contact_gives_one_sentence(job: Job, etl: Command) -> None:
    fill(job, "ZOE")
    done = etl("forget", "--contact", "BOB", "--yes")
    assert (1, "No data found for contact BOB. Nothing was changed.\n") == (done.returncode, done.stderr)
    assert (rows(job), job.rows(TOMBSTONES)) == (FILLED, [])


def test_without_anybody_to_ask_nothing_is_erased(job: Job, etl: Command) -> None:
    fill(job, "ZOE")
    done = etl("forget", "--contact", "ZOE")
    assert (2, True) == (done.returncode, "add --yes" in done.stderr)
    assert rows(job) == FILLED


def test_what_is_no_id_is_refused(etl: Command) -> None:
    done = etl("forget", "--contact", "ZOE; DROP", "--yes")
    assert (2, True) == (done.returncode, "--contact" in done.stderr)


def test_it_can_be_repeated(job: Job, etl: Command) -> None:
    fill(job, "ZOE")
    etl("forget", "--contact", "ZOE", "--yes")
    again = etl("forget", "--contact", "ZOE", "--yes")
    assert (0, "It was erased before, and nothing of it has come back.\n") == (again.returncode, again.stdout)


def test_another_location_is_left_alone(job: Job, etl: Command) -> None:
    fill(job, "ZOE")
    assert etl("forget", "--contact", "ZOE", "--location", "LOC2", "--yes").returncode == 1
    assert rows(job)["messages"] == 2


def test_webhooks_that_name_no_location_need_one(job: Job, etl: Command) -> None:
    job.execute(
        "INSERT INTO etl.webhook_events (webhook_id, type, location_id, outcome, body) "
        "VALUES ('1', 'ContactUpdate', '', 'ignored', '{\"id\":\"ZOE\"}')"
    )
    done = etl("forget", "--contact", "ZOE", "--yes")
    assert (2, True) == (done.returncode, "--location" in done.stderr)
    assert etl("forget", "--contact", "ZOE", "--location", "LOC2", "--yes").returncode == 0
    assert job.value("SELECT count(*) FROM etl.webhook_events") == 0


def test_audio_that_cannot_be_removed_keeps_its_row_until_it_can(job: Job, etl: Command, tmp_path: Path) -> None:
    audio = tmp_path / "audio.wav"
    audio.mkdir()
    fill(job, "ZOE", audio=audio)
    done = etl("forget", "--contact", "ZOE", "--yes")
    assert (3, True) == (done.returncode, "repeat the command" in done.stderr), done.stderr
    assert rows(job)["recordings"] == 1
    audio.rmdir()
    assert etl("forget", "--contact", "ZOE", "--yes").returncode == 0
    assert rows(job) == NOTHING


def test_a_forgotten_contact_is_not_loaded_again(job: Job, etl: Command) -> None:
    job.enqueue(*job.ids[:40])
    etl("run")
    whole = job.value("SELECT count(*) FROM highlevel.messages")
    contact, own = job.rows(
        "SELECT contact_id, count(*) FROM highlevel.messages GROUP BY 1 ORDER BY 2 DESC, 1 LIMIT 1"
    )[0]
    etl("forget", "--contact", contact, "--yes")
    jobs = "jobs:\n  messages:\n  talks:\n    kind: conversation\n  contacts:\n    kind: contact\n"
    (etl.directory / "jobs.yaml").write_text(jobs)
    job.enqueue(*job.ids[:40])
    job.enqueue(contact, kind="contact")
    assert etl("run").returncode == 0
    assert job.value("SELECT count(*) FROM highlevel.messages") == whole - own
    assert job.value("SELECT count(*) FROM highlevel.contacts WHERE contact_id = :id", id=contact) == 0
    assert (
        job.value(
            "SELECT count(*) FROM highlevel.attachments LEFT JOIN highlevel.messages "
            "USING (location_id, message_id) WHERE messages.message_id IS NULL"
        )
        == 0
    )
    assert job.value("SELECT count(*) FROM etl.message_queue") == 0


def test_a_forgotten_contact_that_is_gone_upstream_too_leaves_no_row(job: Job, etl: Command) -> None:
    job.execute("INSERT INTO etl.forgotten (location_id, contact_id) VALUES (:place, 'ZOE')", place=job.location_id)
    (etl.directory / "jobs.yaml").write_text("jobs:\n  contacts:\n    kind: contact\n    max_attempts: 1\n")
    job.enqueue("ZOE", "BOB", kind="contact", location_id=job.location_id)
    etl("run")
    assert job.rows("SELECT contact_id FROM highlevel.contacts") == [("BOB",)]
    assert job.value("SELECT count(*) FROM etl.message_queue") == 0


def test_an_event_about_a_forgotten_contact_is_not_kept_and_queues_nothing(job: Job, engine: Engine) -> None:
    job.execute("INSERT INTO etl.forgotten (location_id, contact_id) VALUES ('LOC1', 'ZOE')")
    posted = [
        {"type": "InboundMessage", "locationId": "LOC1", "contactId": "ZOE", "messageId": "M1"},
        {"type": "ContactUpdate", "locationId": "LOC1", "id": "ZOE"},
        {"type": "InboundMessage", "contactId": "ZOE", "messageId": "M2"},
        {"type": "InboundMessage", "locationId": "LOC2", "contactId": "ZOE", "messageId": "M3"},
        {"type": "InboundMessage", "locationId": "LOC1", "contactId": "BOB", "messageId": "M4"},
    ]
    with engine.begin() as connection:
        outcomes = events.store(connection, [webhook.parse(json.dumps(each).encode()) for each in posted])
    assert outcomes == ["forgotten", "forgotten", "forgotten", "queued", "queued"]
    assert job.rows("SELECT message_id FROM etl.message_queue ORDER BY 1") == [("M3",), ("M4",)]
    assert job.value("SELECT count(*) FROM etl.webhook_events") == 2


def load(engine: Engine, message_id: str, contact: str) -> None:
    with engine.begin() as connection:
        loader.load(connection, records(message_id, contact))


def records(message_id: str, contact: str) -> list[Record]:
    payload = {"id": message_id, "locationId": PLACE, "contactId": contact, "messageType": "TYPE_SMS"}
    return messages.transform(payload, Origin(message_id, "", datetime.now(UTC)), options=Options())


def test_a_loader_that_has_begun_is_waited_for_and_others_go_on(job: Job, engine: Engine) -> None:
    fill(job, "ZOE")
    forgetting = ContactErasure(message_erasure_of(engine, ()), "ZOE")
    waiting = "SELECT count(*) FROM pg_locks WHERE relation = 'etl.forgotten'::regclass AND NOT granted"
    with ThreadPoolExecutor(1) as pool:
        with engine.begin() as connection:
            loader.load(connection, records("LATE", "ZOE"))
            erased = pool.submit(forgetting.run, PLACE)
            await_(lambda: job.value(waiting) == 1)
            load(engine, "OTHER", "BOB")
            assert not erased.done()
        assert erased.result()["messages"] == 3
    assert job.rows("SELECT message_id FROM highlevel.messages") == [("OTHER",)]

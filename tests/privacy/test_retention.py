from pathlib import Path

import pytest

from tests.command import Command
from tests.job import Job
from tests.privacy.filling import FILLED, PLACE, fill, rows
from tests.privacy.test_contact_erasure import printed

OF_MESSAGES = (
    "attachments",
    "email_attachments",
    "email_status_changes",
    "emails",
    "messages",
    "meta",
    "recordings",
    "status_changes",
    "transcripts",
)


@pytest.fixture(autouse=True)
def jobs_file(etl: Command) -> Path:
    """A file that keeps messages for 100 days."""
    path = etl.directory / "jobs.yaml"
    path.write_text("retention:\n  messages: 100 days\njobs:\n  messages:\n")
    return path


def test_old_messages_go_with_all_that_hangs_on_them(job: Job, etl: Command, tmp_path: Path) -> None:
    audio = tmp_path / "audio.wav"
    audio.write_bytes(b"RIFF")
    fill(job, "OLD", age_days=101, audio=audio)
    fill(job, "NEW", age_days=99)
    done = etl("prune", WEBHOOK_KEEP_DAYS="1000")
    assert (0, {name: FILLED[name] for name in OF_MESSAGES} | {"audio files": 1}) == (
        done.returncode,
        printed(done.stdout),
    ), done.stderr
    assert rows(job) == {name: n if name in OF_MESSAGES else 2 * n for name, n in FILLED.items()}
    assert not audio.exists()


def test_a_thread_lives_as_long_as_its_newest_email(job: Job, etl: Command) -> None:
    fill(job, "OLD", age_days=101)
    job.execute(
        "INSERT INTO highlevel.emails (location_id, email_id, message_id, date_added) "
        "VALUES ('LOC1', 'NEW-email', 'OLD-thread', now())"
    )
    etl("prune")
    assert job.rows("SELECT message_id FROM highlevel.messages") == [("OLD-thread",)]
    assert job.value("SELECT count(*) FROM highlevel.emails") == 2


def test_opening_hours_stay_and_what_is_left_is_counted_by_them(job: Job, etl: Command) -> None:
    job.execute(
        "INSERT INTO highlevel.opening_hours SELECT 'LOC1', day, '00:00', '12:00' FROM generate_series(1, 7) AS day"
    )
    # The question that M99 answers is too old.
    job.execute(
        "INSERT INTO highlevel.messages (location_id, message_id, conversation_id, message_type, direction, "
        "date_added, fetched_at) SELECT 'LOC1', 'M' || days, 'CNV1', 'TYPE_SMS', "
        "CASE days % 2 WHEN 0 THEN 'inbound' ELSE 'outbound' END, now() - make_interval(days => days), now() "
        "FROM unnest(ARRAY[102, 99, 98, 95]) AS days"
    )
    job.execute("INSERT INTO etl.mart_changes (location_id) VALUES ('LOC1')")
    etl("run", "marts")
    turns = "SELECT message_id, open_seconds FROM highlevel.response_times ORDER BY date_added"
    half_a_day = 43200
    assert job.rows(turns) == [("M102", 3 * half_a_day), ("M98", 3 * half_a_day)]
    assert etl("prune").returncode == 0
    assert job.rows(turns) == [("M98", 3 * half_a_day)]
    assert job.value("SELECT count(*) FROM highlevel.opening_hours") == 7
    job.execute("DELETE FROM highlevel.opening_hours WHERE location_id = 'LOC1'")
    assert etl("prune").returncode == 0
    assert job.rows(turns) == [("M98", None)]


def test_a_dry_run_changes_nothing(job: Job, etl: Command) -> None:
    fill(job, "OLD", age_days=101)
    done = etl("prune", "--dry-run")
    assert (0, {"messages": 2, "webhook_events": 2}) == (done.returncode, printed(done.stdout))
    assert (rows(job), job.rows("SELECT * FROM etl.pruned")) == (FILLED, [])


def test_every_table_has_its_own_retention(job: Job, etl: Command, jobs_file: Path) -> None:
    fill(job, "OLD", age_days=50)
    job.execute(
        "INSERT INTO etl.runs (job, host, pid, version, started_at) VALUES ('a', 'b', 1, '0', now() - '41d'::interval)"
    )
    kept = {"status_changes": 10, "webhook_events": 20, "dead_letters": 30, "runs": 40}
    jobs_file.write_text("jobs:\n  a:\nretention:\n" + "".join(f"  {key}: {days} days\n" for key, days in kept.items()))
    done = etl("prune", WEBHOOK_KEEP_DAYS="1000")
    assert printed(done.stdout) == {
        "status_changes": 1,
        "email_status_changes": 1,
        "webhook_events": 2,
        "dead_letters": 1,
        "runs": 1,
    }
    assert "nothing is too old\n" == etl("prune").stdout


def test_without_a_retention_only_events_go_after_webhook_keep_days(job: Job, etl: Command, jobs_file: Path) -> None:
    fill(job, "OLD", age_days=101)
    jobs_file.write_text("jobs:\n  a:\n")
    assert printed(etl("prune").stdout) == {"webhook_events": 2}


def test_what_was_pruned_is_not_loaded_again_until_the_retention_is_longer(
    job: Job, etl: Command, jobs_file: Path
) -> None:
    load = job.ids[:20]
    texts = "SELECT count(*) FROM highlevel.messages WHERE message_type NOT LIKE '%EMAIL%'"
    job.enqueue(*load)
    etl("run")
    whole = job.value(texts)
    job.execute("UPDATE highlevel.messages SET date_added = date_added")
    oldest, newest = job.rows(
        "SELECT ceil(extract(epoch FROM now() - min(date_added)) / 86400)::int, "
        "floor(extract(epoch FROM now() - max(date_added)) / 86400)::int FROM highlevel.messages"
    )[0]
    days = max((oldest + newest) // 2, 8)
    jobs_file.write_text(f"retention:\n  messages: {days} days\njobs:\n  messages:\n")
    etl("prune")
    left = job.value(texts)
    job.enqueue(*load)
    etl("run")
    assert (left < whole, job.value(texts)) == (True, left)
    assert job.value("SELECT count(*) FROM etl.message_queue") == 0
    jobs_file.write_text("jobs:\n  messages:\n")
    etl("prune")
    job.enqueue(*load)
    etl("run")
    assert job.value(texts) == whole


def test_a_retention_has_its_line_for_cron(etl: Command, jobs_file: Path) -> None:
    assert etl("crontab").stdout.splitlines()[-1].startswith("17 3 * * * cd ")
    jobs_file.write_text("jobs:\n  messages:\n")
    assert "prune" not in etl("crontab").stdout


def test_what_is_pruned_is_named_for_copies_for_ninety_days(job: Job, etl: Command, jobs_file: Path) -> None:
    fill(job, "OLD", age_days=101)
    jobs_file.write_text("retention:\n  messages: 100 days\njobs:\n  messages:\n")
    etl("prune")
    named = [(PLACE, "emails", "OLD-email"), (PLACE, "messages", "OLD-call"), (PLACE, "messages", "OLD-thread")]
    query = "SELECT location_id, table_name, id FROM highlevel.deleted_rows WHERE why = 'pruned' ORDER BY 2, 3"
    assert job.rows(query) == named
    age = "UPDATE highlevel.deleted_rows SET deleted_at = now() - make_interval(days => :days)"
    job.execute(age, days=89)
    etl("prune")
    assert job.rows(query) == named
    job.execute(age, days=91)
    assert printed(etl("prune", "--dry-run").stdout)["deleted_rows"] == 3
    etl("prune")
    assert job.rows(query) == []

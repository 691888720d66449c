"""Requests that the rows of an export's page cause."""

import json
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from etl.api.transport import Bounds
from etl.sandbox.server import RunningSandbox
from etl.state.runs import RunCounts
from etl.state.windows import Why, Window, floor
from tests.command import Command
from tests.job import Job

WINDOW = Window(Why.HISTORY, datetime(2026, 1, 1, tzinfo=UTC), datetime(2026, 12, 1, tzinfo=UTC))


@pytest.mark.parametrize(("body", "expected"), [("", [("conversation", "CNV1")]), ("Hi", [])])
def test_an_old_message_without_its_media_has_its_conversation_asked(
    large_job: Job, large: RunningSandbox, body: str, expected: list[tuple[str, str]]
) -> None:
    row = {
        "id": "MSG1",
        "messageType": "TYPE_WHATSAPP",
        "conversationId": "CNV1",
        "dateAdded": "2025-02-03T12:00:00Z",
        "body": body,
    }
    answer(large_job, large, [row])
    large_job.walk(WINDOW, taken=["message", "conversation"])
    assert large_job.queued() == expected


UNNAMED: list[Any] = [
    {"body": "no id"},
    {"id": 5},
    {"id": ""},
    {"id": ".."},
    {"id": "a/b", "body": "Zoë \0"},
    "a text",
    None,
]


def answer(job: Job, sandbox: RunningSandbox, rows: list[Any]) -> None:
    """Have the export answer with one page."""
    page = {"messages": rows, "nextCursor": None, "total": len(rows)}
    sandbox.faults(ids={f"export/{job.location_id}": {"kind": "answer", "payload": page}})


def load(job: Job, sandbox: RunningSandbox, rows: list[Any]) -> RunCounts:
    """Walk a window that has these rows."""
    answer(job, sandbox, rows)
    return job.walk(WINDOW).counts


def test_every_row_is_loaded_queued_or_a_dead_letter(large_job: Job, large: RunningSandbox) -> None:
    rows = [{"id": "MSG1"}, *UNNAMED, {"id": "MSG2", "dateAdded": "no date"}]
    assert load(large_job, large, rows).dead == len(UNNAMED)
    assert large_job.rows("SELECT written, singly FROM etl.windows") == [(1, 1)]
    assert large_job.rows("SELECT message_id FROM highlevel.messages") == [("MSG1",)]
    assert large_job.queued() == [("message", "MSG2")]
    letters = large_job.rows("SELECT kind, cause, location_id, convert_from(payload, 'UTF8') FROM etl.dead_letters")
    assert {each[:3] for each in letters} == {("message", "bad_id", large_job.location_id)}
    kept = [json.loads(payload) for *_, payload in letters]
    assert all((row if isinstance(row, dict) else {"row": row}) in kept for row in UNNAMED)
    # Pages repeat rows.
    assert load(large_job, large, rows).dead == 0
    assert large_job.value("SELECT count(*) FROM etl.dead_letters") == len(UNNAMED)


def test_a_comparison_keeps_such_rows_too(large_job: Job, large: RunningSandbox) -> None:
    known = large_job.ids[0]
    added = datetime.fromisoformat(large.dataset.messages[known]["dateAdded"])
    large.change(known, id="a/b")
    minute = timedelta(minutes=1)
    large_job.walk(Window(Why.COMPARE, floor(added - minute), floor(added + minute)))
    large.change(known, id=known)
    assert large_job.rows("SELECT convert_from(payload, 'UTF8')::jsonb->>'id' FROM etl.dead_letters") == [("a/b",)]


def test_a_row_without_an_id_of_an_erased_contact_is_not_kept(large_job: Job, large: RunningSandbox) -> None:
    large_job.execute(
        "INSERT INTO etl.forgotten (location_id, contact_id) VALUES (:place, 'ZOE')", place=large_job.location_id
    )
    rows = [{"contactId": contact, "body": "hi"} for contact in ("ZOE", "BOB")]
    done = load(large_job, large, rows)
    assert (done.dead, large_job.value("SELECT count(*) FROM etl.dead_letters")) == (1, 1)


@pytest.mark.parametrize(
    ("chosen", "code", "queued"), [((), 1, []), (("--all",), 0, [("message", "M1")]), (("--cause", "bad_id"), 1, [])]
)
def test_a_letter_without_an_id_cannot_be_retried_and_says_why(
    large: RunningSandbox,
    large_job: Job,
    large_etl: Command,
    chosen: tuple[str, ...],
    code: int,
    queued: list[Any],
) -> None:
    load(large_job, large, [{"body": "no id"}])
    (letter,) = large_job.rows("SELECT message_id FROM etl.dead_letters")
    large_job.execute(
        "INSERT INTO etl.dead_letters (kind, message_id, location_id, attempt, cause, detail) "
        "VALUES ('message', 'M1', '', 8, 'http_503', 'x')"
    )
    done = large_etl("dead", "retry", *(chosen or letter))
    assert (code, True) == (done.returncode, "1 dead letter cannot be retried" in done.stderr), done.stderr
    assert large_job.queued() == queued


DEEP: dict[str, Any] = {"nest": 0}
for _ in range(120):
    DEEP = {"nest": DEEP}


@pytest.mark.parametrize(("cause", "patch"), [("too_large", {"body": "a" * 1_000_000}), ("too_deep", {"meta": DEEP})])
def test_a_window_is_halved_until_a_row_is_alone_that_no_page_may_hold_and_all_others_are_loaded(
    large_job: Job, large: RunningSandbox, monkeypatch: pytest.MonkeyPatch, cause: str, patch: dict[str, Any]
) -> None:
    monkeypatch.setattr("etl.api.client.BOUNDS", Bounds(total_seconds=60.0, max_bytes=1_000_000))
    bad = large_job.ids[len(large_job.ids) // 2]
    added = floor(datetime.fromisoformat(large.dataset.messages[bad]["dateAdded"]))
    large.change(bad, **patch)
    report = large_job.walk(WINDOW)
    large.reset()
    assert (report.outcome, report.counts.dead) == ("drained", 1)
    alone = Window(Why.HISTORY, added, added + timedelta(milliseconds=1))
    letters = large_job.rows("SELECT kind, cause, message_id FROM etl.dead_letters")
    assert letters == [("window", cause, alone.id)]
    loaded = large_job.rows("SELECT message_id FROM highlevel.messages ORDER BY message_id")
    assert loaded == [(id_,) for id_ in sorted(large_job.ids) if id_ != bad]
    assert large_job.queued() == []


def test_an_export_answers_no_item_of_a_message_that_the_api_said_is_gone(
    large_job: Job, large: RunningSandbox
) -> None:
    row = {"id": "MSG1", "messageType": "TYPE_SMS", "body": "hi"}
    load(large_job, large, [row])
    large_job.execute("UPDATE highlevel.messages SET deleted_at = now()")
    large_job.enqueue("MSG1", location_id=large_job.location_id)
    load(large_job, large, [row | {"dateUpdated": "2026-11-02T00:00:00Z", "status": "read"}])
    assert large_job.queued() == [("message", "MSG1")]
    assert large_job.rows("SELECT status, deleted_at IS NULL FROM highlevel.messages") == [(None, False)]

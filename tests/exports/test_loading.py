"""What the rows of an export's page ask for."""

import json
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from etl import kinds
from etl.exports.pages import Page
from etl.exports.reconcile import Reconciliation
from etl.sandbox.server import RunningSandbox
from tests.command import Command
from tests.exports.conftest import Opener
from tests.job import Job


@pytest.mark.parametrize(("body", "expected"), [("", [("conversation", "CNV1")]), ("Hi", [])])
def test_an_old_message_without_its_media_has_its_conversation_asked(
    opener: Opener, large_job: Job, body: str, expected: list[tuple[str, str]]
) -> None:
    row = {
        "id": "MSG1",
        "messageType": "TYPE_WHATSAPP",
        "conversationId": "CNV1",
        "dateAdded": "2025-02-03T12:00:00Z",
        "body": body,
    }
    loading = replace(opener.loading, taken=kinds.tables(["message", "conversation"]))
    asked_at = datetime(2026, 3, 1, tzinfo=UTC)
    loading.load(Page(location_id=opener.location_id, rows=[row], cursor=None, total=1, asked_at=asked_at))
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


def page(opener: Opener, sandbox: RunningSandbox, rows: list[Any]) -> Page:
    """A page as the API answers it."""
    answer = {"messages": rows, "nextCursor": None, "total": len(rows)}
    sandbox.faults(ids={f"export/{opener.location_id}": {"kind": "answer", "payload": answer}})
    return opener().page(opener.location_id, stopping=lambda: False)


def test_every_row_is_loaded_queued_or_a_dead_letter(opener: Opener, large_job: Job, large: RunningSandbox) -> None:
    rows = [{"id": "MSG1"}, *UNNAMED, {"id": "MSG2", "dateAdded": "no date"}]
    done = opener.loading.load(page(opener, large, rows))
    assert (done.written, done.singly, done.dead, done.items.dead) == (1, 1, len(UNNAMED), len(UNNAMED))
    assert large_job.rows("SELECT message_id FROM highlevel.messages") == [("MSG1",)]
    assert large_job.queued() == [("message", "MSG2")]
    letters = large_job.rows("SELECT kind, cause, location_id, convert_from(payload, 'UTF8') FROM etl.dead_letters")
    assert {each[:3] for each in letters} == {("message", "bad_id", opener.location_id)}
    kept = [json.loads(payload) for *_, payload in letters]
    assert all((row if isinstance(row, dict) else {"row": row}) in kept for row in UNNAMED)
    # Pages repeat rows.
    assert opener.loading.load(page(opener, large, rows)).dead == 0
    assert large_job.value("SELECT count(*) FROM etl.dead_letters") == len(UNNAMED)


def test_a_comparison_keeps_such_rows_too(opener: Opener, large_job: Job, large: RunningSandbox) -> None:
    known = large_job.ids[0]
    added = datetime.fromisoformat(large.dataset.messages[known]["dateAdded"])
    large.change(known, id="a/b")
    span = {"start": added - timedelta(minutes=1), "end": added + timedelta(minutes=1)}
    list(Reconciliation(opener(), opener.transact).run(opener.location_id, **span))
    large.change(known, id=known)
    assert large_job.rows("SELECT convert_from(payload, 'UTF8')::jsonb->>'id' FROM etl.dead_letters") == [("a/b",)]


def test_a_row_without_an_id_of_an_erased_contact_is_not_kept(
    opener: Opener, large_job: Job, large: RunningSandbox
) -> None:
    large_job.execute(
        "INSERT INTO etl.forgotten (location_id, contact_id) VALUES (:place, 'ZOE')", place=opener.location_id
    )
    rows = [{"contactId": contact, "body": "hi"} for contact in ("ZOE", "BOB")]
    done = opener.loading.load(page(opener, large, rows))
    assert (done.dead, large_job.value("SELECT count(*) FROM etl.dead_letters")) == (1, 1)


@pytest.mark.parametrize(
    ("chosen", "code", "queued"), [((), 1, []), (("--all",), 0, [("message", "M1")]), (("--cause", "bad_id"), 1, [])]
)
def test_a_letter_without_an_id_cannot_be_retried_and_says_why(
    opener: Opener,
    large: RunningSandbox,
    large_job: Job,
    large_etl: Command,
    chosen: tuple[str, ...],
    code: int,
    queued: list[Any],
) -> None:
    opener.loading.load(page(opener, large, [{"body": "no id"}]))
    (letter,) = large_job.rows("SELECT message_id FROM etl.dead_letters")
    large_job.execute(
        "INSERT INTO etl.dead_letters (kind, message_id, location_id, attempt, cause, detail) "
        "VALUES ('message', 'M1', '', 8, 'http_503', 'x')"
    )
    done = large_etl("dead", "retry", *(chosen or letter))
    assert (code, True) == (done.returncode, "1 dead letter cannot be retried" in done.stderr), done.stderr
    assert large_job.queued() == queued


def test_an_export_answers_no_item_of_a_message_that_the_api_said_is_gone(
    opener: Opener, large_job: Job, large: RunningSandbox
) -> None:
    row = {"id": "MSG1", "messageType": "TYPE_SMS", "body": "hi"}
    opener.loading.load(page(opener, large, [row]))
    large_job.execute("UPDATE highlevel.messages SET deleted_at = now()")
    large_job.enqueue("MSG1", location_id=opener.location_id)
    opener.loading.load(page(opener, large, [row | {"dateUpdated": "2026-11-02T00:00:00Z", "status": "read"}]))
    assert large_job.queued() == [("message", "MSG1")]
    assert large_job.rows("SELECT status, deleted_at IS NULL FROM highlevel.messages") == [(None, False)]

"""What the rows of an export's page ask for."""

from dataclasses import replace
from datetime import UTC, datetime

import pytest

from etl import kinds
from etl.exports.pages import Page
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

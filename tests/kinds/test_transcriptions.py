from typing import Any

import pytest

from etl.sandbox.server import RunningSandbox
from tests.job import Job

ROWS = "SELECT message_id, transcript, jsonb_array_length(sentences) FROM highlevel.transcripts"


@pytest.fixture
def call(job: Job, sandbox: RunningSandbox) -> str:
    """A call that has a transcript."""
    return next(each for each in job.ids if sandbox.dataset.transcription(each))


def load(job: Job, call: str) -> Any:
    job.enqueue(call, kind="transcription")
    return job.run(kind="transcription")


def said(sandbox: RunningSandbox, call: str) -> list[str]:
    return [each["transcript"] for each in sandbox.dataset.transcription(call) or ()]


def test_a_transcript_is_one_text_and_its_sentences(job: Job, sandbox: RunningSandbox, call: str) -> None:
    load(job, call)
    sentences = said(sandbox, call)
    assert job.rows(ROWS) == [(call, "\n".join(sentences), len(sentences))]


def test_sentences_stand_in_the_order_of_time_however_they_come(job: Job, sandbox: RunningSandbox, call: str) -> None:
    sentences = sandbox.dataset.transcription(call) or []
    sandbox.faults(ids={f"transcription/{call}": {"kind": "answer", "payload": sentences[::-1]}})
    load(job, call)
    assert job.value("SELECT transcript FROM highlevel.transcripts") == "\n".join(said(sandbox, call))


def test_one_sentence_outside_a_list_is_a_transcript(job: Job, sandbox: RunningSandbox, call: str) -> None:
    sentence = (sandbox.dataset.transcription(call) or [])[0]
    sandbox.faults(ids={f"transcription/{call}": {"kind": "answer", "payload": sentence}})
    load(job, call)
    assert job.rows(ROWS) == [(call, sentence["transcript"], 1)]


def test_the_same_transcript_again_changes_nothing(job: Job, call: str) -> None:
    load(job, call)
    assert load(job, call).counts.unchanged == 1


def test_a_transcript_that_came_late_is_loaded(job: Job, sandbox: RunningSandbox, call: str) -> None:
    sandbox.faults(ids={f"transcription/{call}": "missing"})
    assert load(job, call).counts.retried == 1
    sandbox.faults()
    job.make_due()
    job.run(kind="transcription")
    assert [message_id for message_id, *_ in job.rows(ROWS)] == [call]


@pytest.mark.parametrize("payload", [[], {}])
def test_a_transcript_without_a_sentence_is_not_there_yet(
    job: Job, sandbox: RunningSandbox, call: str, payload: Any
) -> None:
    sandbox.faults(ids={f"transcription/{call}": {"kind": "answer", "payload": payload}})
    assert load(job, call).counts.retried == 1


def test_a_transcript_that_never_comes_ends_without_a_dead_letter(job: Job, sandbox: RunningSandbox, call: str) -> None:
    sandbox.faults(ids={f"transcription/{call}": "missing"})
    job.enqueue(call, kind="transcription")
    for _ in range(5):
        job.run(kind="transcription")
        job.make_due()
    assert (job.queued(), job.rows(ROWS), job.value("SELECT count(*) FROM etl.dead_letters")) == ([], [], 0)

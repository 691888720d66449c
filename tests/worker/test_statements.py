from collections.abc import Iterator
from contextlib import contextmanager
from statistics import median

from sqlalchemy import Connection, Engine, event

from etl.sandbox.server import RunningSandbox
from tests.job import Job

MOST = 14
"""Statements of one claim and one settlement together, with the note for the marts; each makes the loop wait for
Postgres, and for other threads."""


@contextmanager
def transactions(engine: Engine) -> Iterator[list[list[str]]]:
    """The statements of each transaction that begins meanwhile."""
    sent: list[list[str]] = []
    current: dict[int, list[str]] = {}

    def begin(connection: Connection) -> None:
        current[id(connection)] = []
        sent.append(current[id(connection)])

    def note(connection: Connection, _cursor: object, statement: str, *_more: object) -> None:
        current[id(connection)].append(statement)

    event.listen(engine, "begin", begin)
    event.listen(engine, "before_cursor_execute", note)
    yield sent
    event.remove(engine, "begin", begin)
    event.remove(engine, "before_cursor_execute", note)


def test_a_batch_of_plain_messages_takes_few_statements(job: Job, engine: Engine, sandbox: RunningSandbox) -> None:
    messages = sandbox.dataset.messages
    plain = [
        id_
        for id_ in job.ids
        if messages[id_]["direction"] == "inbound"
        and messages[id_].get("body")
        and not (messages[id_].get("attachments") or messages[id_].get("meta"))
        and messages[id_]["messageType"] == "TYPE_SMS"
    ][:60]
    job.enqueue(*plain)
    with transactions(engine) as sent:
        assert job.run(batch_size=10).counts.loaded == len(plain) == 60
    claims = [each for each in sent if any("etl.lease_id_seq" in statement for statement in each)]
    settlements = [each for each in sent if any("INSERT INTO highlevel.messages" in statement for statement in each)]
    # The median: what is looked after every few seconds, and the start, are no part of a batch.
    assert median(map(len, claims)) + median(map(len, settlements)) <= MOST, (claims[-2], settlements[-2])

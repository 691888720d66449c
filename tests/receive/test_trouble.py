"""What the receiver does when Postgres, its neighbours or its clients misbehave."""

import asyncio
import contextlib
import itertools
import os
import signal
import socket
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, get_args
from unittest.mock import Mock

import pytest
from sqlalchemy import Engine, text

from etl import message_queue
from etl.database import open_async_engine, open_engine
from etl.message_queue import Named
from etl.models import EVENT_OUTCOMES
from etl.receive import endpoint, webhook
from etl.receive import inbox as inbox_module
from etl.receive.connections import MOST_CONNECTIONS
from etl.receive.inbox import Inbox
from etl.receive.metrics import Metrics
from etl.receive.storing import NotStoredError, Storage
from etl.receive.webhook import Event, WebhookRefusedError
from etl.sandbox.keys import SandboxKeys
from tests.waiting import await_

PATIENCE = 2.0
"""Seconds within which a sender is answered, come what may."""


def test_an_event_about_an_item_that_somebody_has_locked_fails_alone(
    receiver: Any, warehouse: Any, unique: str
) -> None:
    warehouse.execute("SELECT etl.enqueue(:id, 'locked')", id=f"{unique}-0")
    with warehouse.engine.connect() as connection, connection.begin(), ThreadPoolExecutor(24) as pool:
        connection.execute(
            text("SELECT FROM etl.message_queue WHERE message_id = :id FOR UPDATE"), {"id": f"{unique}-0"}
        )
        answers = list(
            pool.map(lambda n: receiver.say(messageId=f"{unique}-{n}", webhookId=f"{unique}-{n}"), range(24))
        )
    assert [429, *[200] * 23] == answers


@contextlib.contextmanager
def frozen(server_url: str) -> Iterator[None]:
    """Backends that neither answer nor hang up, as behind a network that swallows everything."""
    engine = open_engine(server_url, pool_size=1)
    with engine.connect() as connection:
        pids = list(connection.execute(text(OTHER_BACKENDS)).scalars())
    engine.dispose()
    for pid in pids:
        os.kill(pid, signal.SIGSTOP)
    try:
        yield
    finally:
        for pid in pids:
            os.kill(pid, signal.SIGCONT)


OTHER_BACKENDS = """
    SELECT pid FROM pg_stat_activity WHERE backend_type = 'client backend' AND pid <> pg_backend_pid()
"""


def test_while_postgres_hangs_senders_are_asked_to_come_again_and_then_it_goes_on(own_server: Any, launch: Any) -> None:
    with launch(own_server.url) as receiver:
        assert 200 == receiver.say(webhookId="before")
        with frozen(own_server.url):
            began = time.monotonic()
            statuses = [receiver.say(webhookId="hung"), receiver.say(webhookId="hung too")]
            took = time.monotonic() - began
            ready = receiver.get("/readyz").text
        await_(lambda: bool(receiver.say(webhookId="hung") == 200))
    assert ([429, 429], True, "database_slow\n") == (statuses, took < PATIENCE, ready)


def test_it_stops_while_postgres_hangs(own_server: Any, launch: Any) -> None:
    with launch(own_server.url) as receiver:
        assert 200 == receiver.say(webhookId="before")
        with frozen(own_server.url):
            assert 429 == receiver.say(webhookId="hung")
            assert 0 == receiver.stop()


def reasons_while_postgres_hangs(own_server: Any, bodies: Sequence[bytes], *, then: bytes) -> tuple[list[str], str]:
    """What becomes of events put all at once while Postgres hangs, and of one put when it is back."""

    async def outcome(inbox: Inbox, name: str, body: bytes) -> str:
        try:
            return await inbox.put(Event(name, "", "ignored", body))
        except NotStoredError as error:
            return error.reason

    async def all_of_it() -> tuple[list[str], str]:
        database = open_async_engine(own_server.url)
        metrics = Metrics()
        inbox = Inbox(Storage(database, metrics=metrics, keep_days=1), metrics)
        async with inbox.lifespan(None):
            assert "ignored" == await outcome(inbox, "before", b"")
            with frozen(own_server.url):
                puts = [outcome(inbox, f"event {number}", body) for number, body in enumerate(bodies)]
                reasons = await asyncio.gather(*puts)
            away = {"database_slow", "database_unavailable"}
            while (last := await outcome(inbox, "after", then)) in away:  # noqa: ASYNC110 - it is putting that is tried
                await asyncio.sleep(0.05)
        await database.dispose()
        return reasons, last

    return asyncio.run(all_of_it())


def test_more_events_than_may_wait_are_refused(own_server: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(inbox_module, "MOST_EVENTS", 3)
    reasons, last = reasons_while_postgres_hangs(own_server, [b""] * 5, then=b"")
    assert (["slow"] * 3 + ["full"] * 2, "ignored") == (reasons, last)


def test_more_bytes_than_may_wait_are_refused(own_server: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(inbox_module, "MOST_BYTES", 100)
    bodies = [b"x" * size for size in (60, 60, 40, 1)]
    reasons, last = reasons_while_postgres_hangs(own_server, bodies, then=b"x" * 100)
    assert (["slow", "full", "slow", "full"], "ignored") == (reasons, last)


def test_more_bytes_than_may_arrive_at_once_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(endpoint, "MOST_ARRIVING_BYTES", 100)

    async def take(_headers: endpoint.Headers, read: endpoint.Read) -> Event:
        await read()
        raise WebhookRefusedError(200, "read")

    async def statuses() -> list[int]:
        counter = endpoint.Counter(Mock(), Metrics())
        slow: asyncio.Queue[dict[str, Any]] = asyncio.Queue()
        slow.put_nowait({"type": "http.request", "body": b"x" * 60, "more_body": True})

        async def whole() -> dict[str, Any]:
            return {"type": "http.request", "body": b"x" * 60}

        first = asyncio.create_task(counter.serve({}, slow.get, take))
        await asyncio.sleep(0)
        second = await counter.serve({}, whole, take)
        slow.put_nowait({"type": "http.disconnect"})
        return [await first, second, await counter.serve({}, whole, take)]

    assert [400, 429, 200] == asyncio.run(statuses())


def test_clients_that_hold_every_connection_keep_nobody_out(receiver: Any, unique: str) -> None:
    with contextlib.ExitStack() as stack:
        for _ in range(MOST_CONNECTIONS + 20):
            stack.enter_context(socket.create_connection(("127.0.0.1", receiver.port), timeout=20))
        assert 200 == receiver.say(webhookId=unique)


def test_while_every_connection_is_busy_another_is_asked_to_come_again(
    launch: Any, warehouse: Any, keys: SandboxKeys
) -> None:
    lines = ["POST /webhooks/highlevel HTTP/1.1", "Host: a", "Content-Length: 2", "Expect: 100-continue"]
    lines += [f"{name}: {value}" for name, value in keys.sign(b"{}").items()]
    sent = "\r\n".join([*lines, "", ""]).encode()
    with launch(warehouse.url) as receiver, contextlib.ExitStack() as stack:
        for _ in range(MOST_CONNECTIONS):
            client = stack.enter_context(socket.create_connection(("127.0.0.1", receiver.port), timeout=10))
            client.sendall(sent)
            assert client.recv(4096).startswith(b"HTTP/1.1 100 ")
        another = stack.enter_context(socket.create_connection(("127.0.0.1", receiver.port), timeout=10))
        answer = another.recv(4096)
    assert (True, True) == (answer.startswith(b"HTTP/1.1 429 "), b"\r\nretry-after: 5\r\n" in answer)


def test_events_too_old_are_deleted(launch: Any, database_url: str, engine: Engine) -> None:
    with launch(database_url) as receiver:
        assert [200, 200] == [receiver.say(webhookId="old"), receiver.say(webhookId="new")]
    with engine.begin() as connection:
        connection.execute(
            text(
                "UPDATE etl.webhook_events SET received_at = now() - '3 days 1 minute'::interval"
                " WHERE webhook_id = 'old'"
            )
        )
    with launch(database_url, WEBHOOK_KEEP_DAYS="3") as receiver:
        await_(lambda: "etl_webhook_purged_events_total 1.0" in receiver.get("/metrics").text)
    with engine.connect() as connection:
        assert ["new"] == list(connection.execute(text("SELECT webhook_id FROM etl.webhook_events")).scalars())


def test_a_deletion_that_fails_is_no_reason_not_to_store(launch: Any, database_url: str, engine: Engine) -> None:
    with engine.begin() as connection:
        connection.execute(text(REFUSE_DELETION))
    with launch(database_url) as receiver:
        assert (200, True) == (receiver.say(webhookId="new"), "events_not_purged" in receiver.log)


def test_deletions_that_failed_for_long_soon_catch_up(engine: Engine, database_url: str) -> None:
    with engine.begin() as connection:
        connection.execute(text(REFUSE_DELETION))
        connection.execute(text(MANY_OLD))
    ticking = itertools.count(step=3600)

    async def purge() -> None:
        storage = Storage(
            open_async_engine(database_url), metrics=Metrics(), keep_days=30, clock=lambda: float(next(ticking))
        )
        for _ in range(12):
            await storage.purge()
        with engine.begin() as connection:
            connection.execute(text("DROP TRIGGER refuse ON etl.webhook_events"))
        for _ in range(12):
            await storage.purge()
        await storage.close()

    asyncio.run(purge())
    with engine.connect() as connection:
        assert 0 == connection.execute(text("SELECT count(*) FROM etl.webhook_events")).scalar_one()


MANY_OLD = """
    INSERT INTO etl.webhook_events (webhook_id, received_at, type, location_id, outcome, body)
    SELECT 'old' || n, now() - interval '1 year', '', '', 'ignored', '' FROM generate_series(1, 1000) AS n
"""

REFUSE_DELETION = """
    INSERT INTO etl.webhook_events (webhook_id, received_at, type, location_id, outcome, body)
        VALUES ('old', now() - interval '1 year', '', '', 'ignored', '');
    CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS
        $$ BEGIN RAISE EXCEPTION USING ERRCODE = 'query_canceled'; END $$;
    CREATE TRIGGER refuse BEFORE DELETE ON etl.webhook_events EXECUTE FUNCTION refuse();
"""


def test_a_body_that_is_never_complete_is_answered_429_when_the_receiver_stops(launch: Any, database_url: str) -> None:
    with launch(database_url) as receiver, socket.create_connection(("127.0.0.1", receiver.port), 20) as client:
        head = "POST /webhooks/highlevel HTTP/1.1\r\nHost: a\r\nX-GHL-Signature: " + "A" * 86 + "==\r\n"
        client.sendall((head + "Content-Length: 10\r\n\r\n{").encode())
        time.sleep(0.5)
        receiver.process.terminate()
        assert client.recv(4096).startswith(b"HTTP/1.1 429")


def test_a_log_that_cannot_be_written_stops_nobody(launch: Any, database_url: str) -> None:
    with launch(database_url, log=Path("/dev/full")) as receiver:
        assert [200, 200] == [receiver.say(webhookId="one"), receiver.say(webhookId="two")]


@pytest.mark.parametrize(
    ("before", "endless"),
    [
        (b"POST /nowhere HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n", b"a: b\r\n" * 10_000),
        (b"", b"GET /healthz HTTP/1.1\r\nHost: a\r\n\r\n" * 2_000),
    ],
    ids=["trailers", "pipelined requests"],
)
def test_what_one_client_sends_without_end_fills_no_memory(receiver: Any, before: bytes, endless: bytes) -> None:
    used = resident_bytes(receiver.process.pid)
    with socket.create_connection(("127.0.0.1", receiver.port), timeout=1) as client, contextlib.suppress(OSError):
        client.sendall(before)
        for _ in range(300):
            client.sendall(endless)
    assert resident_bytes(receiver.process.pid) - used < 50 * 1024 * 1024


def resident_bytes(pid: int) -> int:
    """What a process holds in memory."""
    return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")


NOTE_DURABILITY = """
    CREATE TABLE noted (synchronous_commit text);
    CREATE FUNCTION note() RETURNS trigger LANGUAGE plpgsql AS
        $$ BEGIN INSERT INTO noted VALUES (current_setting('synchronous_commit')); RETURN NULL; END $$;
    CREATE TRIGGER note AFTER INSERT ON etl.webhook_events EXECUTE FUNCTION note();
"""


def test_a_commit_waits_for_the_disk_where_somebody_switched_that_off(
    launch: Any, database_url: str, engine: Engine
) -> None:
    with engine.begin() as connection:
        connection.execute(text(f'ALTER DATABASE "{engine.url.database}" SET synchronous_commit = off'))
        connection.execute(text(NOTE_DURABILITY))
    with launch(database_url) as receiver:
        assert 200 == receiver.say(webhookId="durable")
    with engine.connect() as connection:
        assert ["on"] == list(connection.execute(text("SELECT synchronous_commit FROM noted")).scalars())


def test_every_outcome_may_be_stored() -> None:
    assert get_args(webhook.Outcome) == EVENT_OUTCOMES


IN_HAND = "UPDATE etl.message_queue SET lease_id = 1, leased_until = now() + interval '1 hour', attempt = 2"
TRIED = "UPDATE etl.message_queue SET scheduled_at = now() + interval '1 hour', attempt = 3, cause = 'not_found'"
STATE = """
    SELECT location_id, priority, scheduled_at <= now() AS due, attempt, lease_id, again, cause FROM etl.message_queue
"""


@pytest.mark.parametrize("before", [TRIED, IN_HAND, "DELETE FROM etl.message_queue"], ids=["waiting", "in hand", "new"])
def test_what_an_event_names_is_queued_as_etl_enqueue_would(engine: Engine, before: str) -> None:
    found = []
    for queue in ("SELECT etl.enqueue('m', 'loc2')", None):
        with engine.begin() as connection:
            connection.execute(text("TRUNCATE etl.message_queue"))
            connection.execute(text("SELECT etl.enqueue('m', 'loc1')"))
            connection.execute(text(before))
            if queue is None:
                message_queue.enqueue_named(connection, [Named("message", "m", "loc2")])
            else:
                connection.execute(text(queue))
            found.append(connection.execute(text(STATE)).one())
    assert found[0] == found[1]


def test_queueing_tells_how_much_is_new(engine: Engine) -> None:
    named = [Named("message", "known", "loc"), Named("email", "known", "loc"), Named("message", "new", "loc")]
    with engine.begin() as connection:
        message_queue.enqueue_named(connection, named[:1])
        assert 2 == message_queue.enqueue_named(connection, named)

"""The receiver when Postgres, other programs or its clients misbehave."""

import asyncio
import contextlib
import os
import signal
import socket
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import get_args
from unittest.mock import Mock

import pytest
from sqlalchemy import Engine, text
from starlette.datastructures import Headers
from starlette.requests import Request
from starlette.responses import Response
from starlette.types import Message, Receive

from etl.database.connections import open_async_engine, open_engine
from etl.models import EVENT_OUTCOMES
from etl.receive import endpoint, webhook
from etl.receive.metrics import Metrics
from etl.receive.signature import WebhookRefusedError
from etl.receive.storage import NotStoredError, Storage
from etl.receive.webhook import Event
from etl.state import message_queue
from etl.state.message_queue import NewItem
from tests.receive.receiver import Launch, Receiver, Warehouse
from tests.servers import OwnServer
from tests.waiting import await_


def test_an_event_about_an_item_that_somebody_has_locked_fails_alone(
    receiver: Receiver, warehouse: Warehouse, unique: str
) -> None:
    warehouse.execute("SELECT etl.enqueue(:id, 'locked')", id=f"{unique}-0")
    with warehouse.engine.connect() as connection, connection.begin(), ThreadPoolExecutor(24) as pool:
        connection.execute(
            text("SELECT FROM etl.message_queue WHERE message_id = :id FOR UPDATE"), {"id": f"{unique}-0"}
        )
        locked = pool.submit(receiver.say_once, locationId="locked", messageId=f"{unique}-0", webhookId=f"{unique}-0")
        names = [f"{unique}-{n}" for n in range(1, 24)]
        answers = list(pool.map(lambda name: receiver.say(messageId=name, webhookId=name), names))
        assert (429, {200}) == (locked.result(), set(answers))


REFUSING = """
    CREATE FUNCTION public.refuse() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
        RAISE 'could not extend file' USING ERRCODE = '{code}'; END $$;
    CREATE TRIGGER refusing BEFORE INSERT ON etl.webhook_events FOR EACH STATEMENT EXECUTE FUNCTION public.refuse()
"""


@pytest.mark.parametrize(
    ("code", "reason"), [("53100", "disk_full"), ("53200", "no_resources"), ("42501", "no_rights")]
)
def test_a_receiver_whose_events_postgres_had_no_room_for_is_not_ready(
    launch: Launch, database_url: str, engine: Engine, code: str, reason: str
) -> None:
    with launch(database_url) as receiver:
        with engine.begin() as connection:
            connection.execute(text(REFUSING.format(code=code)))
        assert 429 == receiver.say_once(messageId="M1")
        answer = receiver.get("/readyz")
        assert (503, f"{reason}\n") == (answer.status_code, answer.text)
        await_(lambda: "etl_webhook_ready 0.0" in receiver.get("/metrics").text)
        assert f'"reason": "{reason}"' in receiver.log


def test_a_receiver_is_ready_again_when_nothing_was_refused_for_a_while(
    database_url: str, engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("etl.receive.storage.FAILED_SECONDS", 1.5)
    with engine.begin() as connection:
        connection.execute(text(REFUSING.format(code="53100")))

    async def troubles() -> list[str | None]:
        storage = Storage(open_async_engine(database_url), metrics=Metrics(), keep_days=30)
        async with storage.lifespan(None), asyncio.timeout(60):
            with pytest.raises(NotStoredError):
                await storage.put(webhook.parse(b'{"type": "InboundMessage", "webhookId": "W1", "locationId": "LOC1"}'))
            before = storage.trouble
            while storage.trouble == before:  # noqa: ASYNC110 - nothing tells
                await asyncio.sleep(0.05)
            return [before, storage.trouble]

    assert ["disk_full", None] == asyncio.run(troubles())


WAITS = "SELECT EXISTS (SELECT FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock')"


@pytest.mark.parametrize("deadlock_timeout", ["200ms", "1h"], ids=["deadlock", "lock timeout"])
def test_an_event_that_locks_what_a_settlement_wants_and_waits_for_the_rest_is_stored(
    launch: Launch, database_url: str, engine: Engine, deadlock_timeout: str
) -> None:
    lock = text("SELECT FROM etl.message_queue WHERE message_id = :id FOR UPDATE")
    with engine.begin() as connection:
        connection.execute(
            text(f"ALTER DATABASE \"{engine.url.database}\" SET deadlock_timeout = '{deadlock_timeout}'")
        )
        connection.execute(text("SELECT etl.enqueue('a-email', kind => 'email'), etl.enqueue('the-message')"))
    email = {"type": "InboundMessage", "messageType": "Email", "emailMessageId": "a-email", "threadId": "the-message"}
    with launch(database_url) as receiver, ThreadPoolExecutor(1) as pool, engine.connect() as settlement:
        settlement.execute(text("SET deadlock_timeout = '1h'"))
        settlement.execute(lock, {"id": "the-message"})
        said = pool.submit(lambda: receiver.say_once(**email))
        # Within one transaction, pg_stat_activity would stay as it was seen first.
        with engine.connect().execution_options(isolation_level="AUTOCOMMIT") as watching:
            await_(lambda: bool(watching.execute(text(WAITS)).scalar_one()))
        settlement.execute(lock, {"id": "a-email"})
        settlement.commit()
        assert 200 == said.result()


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


# The postmaster as well: a receiver that finds its connection in use would open another one.
OTHER_BACKENDS = r"""
    SELECT split_part(pg_read_file('postmaster.pid'), E'\n', 1)::int AS pid UNION ALL
    SELECT pid FROM pg_stat_activity WHERE backend_type = 'client backend' AND pid <> pg_backend_pid()
"""


def test_while_postgres_hangs_senders_are_asked_to_come_again_and_then_it_goes_on(
    own_server: OwnServer, launch: Launch
) -> None:
    with launch(own_server.url) as receiver:
        assert 200 == receiver.say(webhookId="before")
        with frozen(own_server.url):
            assert [429, 429] == [receiver.say_once(webhookId="hung"), receiver.say_once(webhookId="hung too")]
            await_(lambda: receiver.get("/readyz").text == "database_slow\n")
        await_(lambda: receiver.say_once(webhookId="hung") == 200)


def test_it_stops_while_postgres_hangs(own_server: OwnServer, launch: Launch) -> None:
    with launch(own_server.url) as receiver:
        assert 200 == receiver.say(webhookId="before")
        with frozen(own_server.url):
            assert 429 == receiver.say_once(webhookId="hung")
            assert 0 == receiver.stop()


def test_an_event_that_nobody_stores_in_time_is_refused_and_let_go(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(endpoint, "ANSWER_SECONDS", 0.01)
    metrics = Metrics()

    async def take(_headers: Headers, read: endpoint.Read) -> Event:
        return Event("event", "", "ignored", await read())

    async def answer() -> Response:
        # Nothing is stored, so waiting events stay.
        storage = Storage(open_async_engine("postgresql://nobody@127.0.0.1:1/nothing"), metrics=metrics, keep_days=1)
        return await endpoint.Intake(storage, metrics).serve(take, post(whole))

    assert 429 == asyncio.run(answer()).status_code
    assert b"etl_webhook_waiting_events 0.0" in metrics.text()


async def whole() -> Message:
    """All of a body, whenever somebody asks."""
    return {"type": "http.request", "body": b"x" * 60}


def post(receive: Receive) -> Request:
    return Request({"type": "http", "headers": []}, receive)


def test_more_bytes_than_may_arrive_at_once_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(endpoint, "MAX_BYTES_IN_HAND", 100)

    async def take(_headers: Headers, read: endpoint.Read) -> Event:
        await read()
        raise WebhookRefusedError(200, "read")

    async def statuses() -> list[int]:
        intake = endpoint.Intake(Mock(), Metrics())
        slow: asyncio.Queue[Message] = asyncio.Queue()
        slow.put_nowait({"type": "http.request", "body": b"x" * 60, "more_body": True})

        first = asyncio.create_task(intake.serve(take, post(slow.get)))
        await asyncio.sleep(0)
        second = await intake.serve(take, post(whole))
        slow.put_nowait({"type": "http.disconnect"})
        answers = [await first, second, await intake.serve(take, post(whole))]
        return [answer.status_code for answer in answers]

    assert [400, 429, 200] == asyncio.run(statuses())


def test_more_posts_than_may_be_under_way_are_asked_to_come_again(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(endpoint, "MAX_REQUESTS", 1)

    async def take(_headers: Headers, read: endpoint.Read) -> Event:
        await read()
        raise WebhookRefusedError(200, "read")

    async def statuses() -> list[int]:
        intake = endpoint.Intake(Mock(), Metrics())
        slow: asyncio.Queue[Message] = asyncio.Queue()
        first = asyncio.create_task(intake.serve(take, post(slow.get)))
        await asyncio.sleep(0)
        second = await intake.serve(take, post(slow.get))
        slow.put_nowait({"type": "http.request", "body": b"{}"})
        return [(await first).status_code, second.status_code]

    assert [200, 429] == asyncio.run(statuses())


def test_a_body_that_is_never_complete_is_given_up() -> None:
    async def take(_headers: Headers, read: endpoint.Read) -> Event:
        await read()
        raise AssertionError

    async def status() -> int:
        intake = endpoint.Intake(Mock(), Metrics(), body_seconds=0.01)
        return (await intake.serve(take, post(asyncio.Queue[Message]().get))).status_code

    assert 408 == asyncio.run(status())


def test_events_too_old_are_deleted(launch: Launch, database_url: str, engine: Engine) -> None:
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


def test_a_deletion_that_fails_is_no_reason_not_to_store(launch: Launch, database_url: str, engine: Engine) -> None:
    with engine.begin() as connection:
        connection.execute(text(REFUSE_DELETION))
    with launch(database_url) as receiver:
        await_(lambda: "events_not_purged" in receiver.log)
        assert 200 == receiver.say(webhookId="new")


def test_as_many_events_as_there_are_too_old_are_deleted(engine: Engine, database_url: str) -> None:
    with engine.begin() as connection:
        connection.execute(text(MANY_OLD))

    async def purge() -> None:
        database = open_async_engine(database_url)
        await Storage(database, metrics=Metrics(), keep_days=30).purge()
        await database.dispose()

    asyncio.run(purge())
    with engine.connect() as connection:
        assert 0 == connection.execute(text("SELECT count(*) FROM etl.webhook_events")).scalar_one()


MANY_OLD = """
    INSERT INTO etl.webhook_events (webhook_id, received_at, type, location_id, outcome, body)
    SELECT 'old' || n, now() - interval '1 year', '', '', 'ignored', '' FROM generate_series(1, 1200) AS n
"""

REFUSE_DELETION = """
    INSERT INTO etl.webhook_events (webhook_id, received_at, type, location_id, outcome, body)
        VALUES ('old', now() - interval '1 year', '', '', 'ignored', '');
    CREATE FUNCTION public.refuse() RETURNS trigger LANGUAGE plpgsql AS
        $$ BEGIN RAISE EXCEPTION USING ERRCODE = 'query_canceled'; END $$;
    CREATE TRIGGER refuse BEFORE DELETE ON etl.webhook_events EXECUTE FUNCTION public.refuse();
"""


def test_a_body_that_is_never_complete_is_answered_429_when_the_receiver_stops(
    launch: Launch, database_url: str
) -> None:
    with launch(database_url) as receiver, socket.create_connection(("127.0.0.1", receiver.port), 20) as client:
        head = "POST /webhooks/highlevel HTTP/1.1\r\nHost: a\r\nX-GHL-Signature: " + "A" * 86 + "==\r\n"
        client.sendall((head + "Content-Length: 10\r\n\r\n{").encode())
        receiver.get("/healthz")
        receiver.process.terminate()
        assert client.recv(4096).startswith(b"HTTP/1.1 429")


def test_a_log_that_cannot_be_written_stops_nobody(launch: Launch, database_url: str) -> None:
    with launch(database_url, log=Path("/dev/full")) as receiver:
        assert [200, 200] == [receiver.say(webhookId="one"), receiver.say(webhookId="two")]


NOTE_DURABILITY = """
    CREATE TABLE public.noted (synchronous_commit text);
    CREATE FUNCTION public.note() RETURNS trigger LANGUAGE plpgsql AS
        $$ BEGIN INSERT INTO public.noted VALUES (current_setting('synchronous_commit')); RETURN NULL; END $$;
    CREATE TRIGGER note AFTER INSERT ON etl.webhook_events EXECUTE FUNCTION public.note();
"""


def test_a_commit_waits_for_the_disk_where_somebody_switched_that_off(
    launch: Launch, database_url: str, engine: Engine
) -> None:
    with engine.begin() as connection:
        connection.execute(text(f'ALTER DATABASE "{engine.url.database}" SET synchronous_commit = off'))
        connection.execute(text(NOTE_DURABILITY))
    with launch(database_url) as receiver:
        assert 200 == receiver.say(webhookId="durable")
    with engine.connect() as connection:
        assert ["on"] == list(connection.execute(text("SELECT synchronous_commit FROM public.noted")).scalars())


def test_a_database_that_takes_no_writes_is_not_ready(launch: Launch, database_url: str, engine: Engine) -> None:
    with launch(database_url) as receiver:
        with engine.begin() as connection:
            connection.execute(text(f'ALTER DATABASE "{engine.url.database}" SET default_transaction_read_only = on'))
        # Only once that is committed: whoever connects again before would not see it.
        with engine.begin() as connection:
            connection.execute(
                text(
                    "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = "
                    "current_database() AND pid <> pg_backend_pid()"
                )
            )
        await_(lambda: receiver.get("/readyz").text == "database_read_only\n")
        assert 429 == receiver.say_once(webhookId="new")


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
    for queue in ("SELECT etl.enqueue('m', 'loc1')", None):
        with engine.begin() as connection:
            connection.execute(text("TRUNCATE etl.message_queue"))
            connection.execute(text("SELECT etl.enqueue('m', 'loc1')"))
            connection.execute(text(before))
            if queue is None:
                message_queue.enqueue_items(connection, [NewItem("message", "m", "loc1")])
            else:
                connection.execute(text(queue))
            found.append(connection.execute(text(STATE)).one())
    assert found[0] == found[1]


def test_queueing_tells_how_much_is_new(engine: Engine) -> None:
    named = [NewItem("message", "known", "loc"), NewItem("email", "known", "loc"), NewItem("message", "new", "loc")]
    with engine.begin() as connection:
        message_queue.enqueue_items(connection, named[:1])
        assert 2 == message_queue.enqueue_items(connection, named)

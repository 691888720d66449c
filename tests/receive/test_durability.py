"""Receivers and servers that die under load: whatever was acknowledged is stored."""

import random
import signal
from concurrent.futures import ThreadPoolExecutor
from functools import partial

from sqlalchemy import text

from etl.database.connections import open_engine
from etl.sandbox.keys import SandboxKeys
from etl.sandbox.send import NO_ANSWER, Report, Traffic, send
from etl.sandbox.server import RunningSandbox
from tests.command import Command
from tests.job import Job
from tests.receive.receiver import Launch, Receiver
from tests.servers import OwnServer
from tests.waiting import await_

KILLS = 4

STORED = """
    SELECT e.webhook_id FROM etl.webhook_events e
    JOIN etl.message_queue q ON q.kind = 'message' AND q.message_id = e.message_id
"""
NAMED = """
    SELECT 'message', message_id FROM etl.webhook_events WHERE message_id IS NOT NULL
    UNION SELECT 'email', email_id FROM etl.webhook_events WHERE email_id IS NOT NULL
"""
EVENTS = "SELECT count(*) FROM etl.webhook_events"
QUEUED = "SELECT kind, message_id FROM etl.message_queue"


def test_a_receiver_killed_again_and_again_has_stored_once_whatever_it_acknowledged(
    job: Job, database_url: str, launch: Launch, keys: SandboxKeys, sandbox: RunningSandbox
) -> None:
    draw = random.Random(11)
    traffic = Traffic(count=100_000, rate=300, duplicates=0.2, retries=1000, retry_delay=0.2)
    stopping = False
    port = 0
    with ThreadPoolExecutor(1) as pool:
        for _ in range(KILLS):
            with launch(database_url, port=port) as receiver:
                if port == 0:
                    port = receiver.port
                    url = f"{receiver.url}/webhooks/highlevel"
                    sending = pool.submit(
                        send, url, dataset=sandbox.dataset, keys=keys, traffic=traffic, stop=lambda: stopping
                    )
                stored = job.value(EVENTS)
                more = draw.randrange(20, 200)
                await_(partial(stored_at_least, job, stored + more))
                receiver.kill()
        stopping = True
        report: Report = sending.result()
    assert set() == set(report.acknowledged) - {name for (name,) in job.rows(STORED)}
    # A receiver that has no processor for 1.5 s answers 429.
    assert {"200", NO_ANSWER} == set(report.statuses) - {"429"}
    assert sorted(job.rows(NAMED)) == sorted(job.rows(QUEUED))


def test_while_postgres_is_away_senders_are_asked_to_come_again_and_then_it_goes_on(
    own_server: OwnServer, launch: Launch, keys: SandboxKeys, sandbox: RunningSandbox
) -> None:
    traffic = Traffic(count=100_000, rate=150, retries=1000, retry_delay=0.3)
    stopping = False
    with launch(own_server.url) as receiver, ThreadPoolExecutor(1) as pool:
        url = f"{receiver.url}/webhooks/highlevel"
        sending = pool.submit(send, url, dataset=sandbox.dataset, keys=keys, traffic=traffic, stop=lambda: stopping)
        await_(lambda: '"event": "webhook"' in receiver.log)
        own_server.stop()
        await_(lambda: receiver.say_once(type="X", webhookId="away") == 429)
        own_server.start()
        await_(lambda: receiver.say_once(type="X", webhookId="back") == 200)
        before = receiver.log.count('"status": 200')
        await_(lambda: receiver.log.count('"status": 200') > before + 50)
        stopping = True
        report: Report = sending.result()
        assert {"200", "429"} == set(report.statuses)
        assert set() == set(report.acknowledged) - stored_on(own_server.url, receiver)


def stored_at_least(job: Job, events: int) -> bool:
    """Whether so many events are kept."""
    return bool(job.value(EVENTS) >= events)


def stored_on(database_url: str, receiver: Receiver) -> set[str]:
    """The ids of all events, once the receiver is stopped and can add none."""
    receiver.stop()
    warehouse = open_engine(database_url)
    try:
        with warehouse.connect() as connection:
            return set(connection.execute(text(STORED)).scalars())
    finally:
        warehouse.dispose()


def test_a_follower_loads_what_a_webhook_announces(
    job: Job, etl: Command, launch: Launch, database_url: str, sandbox: RunningSandbox
) -> None:
    message_id = job.ids[0]
    with launch(database_url) as receiver, etl.start("run", "--follow") as follower:
        assert 200 == receiver.say(**sandbox.dataset.event(message_id))
        await_(lambda: job.rows("SELECT message_id FROM highlevel.messages") == [(message_id,)])
        follower.send_signal(signal.SIGTERM)
        follower.communicate(timeout=20)

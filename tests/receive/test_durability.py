"""Receivers and servers that die under load: whatever was acknowledged is stored."""

import random
import signal
import time
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from sqlalchemy import text

from etl.database import open_engine
from etl.sandbox.deliveries import Traffic
from etl.sandbox.keys import SandboxKeys
from etl.sandbox.send import NO_ANSWER, Report, send
from etl.sandbox.server import RunningSandbox
from tests.waiting import await_

KILLS = 4
HANG = 5.0
"""Seconds within which every answer comes, on a machine with much else to do."""

STORED = """
    SELECT e.webhook_id FROM etl.webhook_events e
    JOIN etl.message_queue q ON q.kind = 'message' AND q.message_id = e.message_id
"""
NAMED = """
    SELECT 'message', message_id FROM etl.webhook_events WHERE message_id IS NOT NULL
    UNION SELECT 'email', email_id FROM etl.webhook_events WHERE email_id IS NOT NULL
"""
QUEUED = "SELECT kind, message_id FROM etl.message_queue"


def test_a_receiver_killed_again_and_again_has_stored_once_whatever_it_acknowledged(
    job: Any, database_url: str, launch: Any, keys: SandboxKeys, sandbox: RunningSandbox
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
                time.sleep(draw.uniform(0.2, 0.8))
                receiver.kill()
        stopping = True
        report: Report = sending.result()
    assert (set(), True, {"200", NO_ANSWER}) == (
        set(report.acknowledged) - {name for (name,) in job.rows(STORED)},
        len(report.acknowledged) > 50 * KILLS,
        set(report.statuses),
    )
    assert sorted(job.rows(NAMED)) == sorted(job.rows(QUEUED))


def test_while_postgres_is_away_senders_are_asked_to_come_again_and_then_it_goes_on(
    own_server: Any, launch: Any, keys: SandboxKeys, sandbox: RunningSandbox
) -> None:
    traffic = Traffic(count=100_000, rate=150, retries=1000, retry_delay=0.3)
    stopping = False
    with launch(own_server.url) as receiver, ThreadPoolExecutor(1) as pool:
        url = f"{receiver.url}/webhooks/highlevel"
        sending = pool.submit(send, url, dataset=sandbox.dataset, keys=keys, traffic=traffic, stop=lambda: stopping)
        await_(lambda: "webhook" in receiver.log)
        own_server.stop()
        await_(lambda: receiver.say(type="X", webhookId="away") == 429)
        time.sleep(1.0)
        own_server.start()
        await_(lambda: receiver.say(type="X", webhookId="back") == 200)
        time.sleep(1.0)
        stopping = True
        report: Report = sending.result()
        assert ({"200", "429"}, True) == (set(report.statuses), max(report.latencies) < HANG)
        assert set() == set(report.acknowledged) - stored_on(own_server.url, receiver)


def stored_on(database_url: str, receiver: Any) -> set[str]:
    """The ids of all events, once the receiver is stopped and can add none."""
    receiver.stop()
    warehouse = open_engine(database_url)
    try:
        with warehouse.connect() as connection:
            return set(connection.execute(text(STORED)).scalars())
    finally:
        warehouse.dispose()


def test_a_follower_loads_what_a_webhook_announces(
    job: Any, etl: Any, launch: Any, database_url: str, sandbox: RunningSandbox
) -> None:
    message_id = job.ids[0]
    with launch(database_url) as receiver, etl.start("run", "--follow") as follower:
        assert 200 == receiver.say(**sandbox.dataset.event(message_id))
        await_(lambda: job.rows("SELECT message_id FROM highlevel.messages") == [(message_id,)])
        follower.send_signal(signal.SIGTERM)
        follower.communicate(timeout=20)

"""A backlog of one location at HighLevel's limit: by pages of the export, beside one request for each message.

One by one, the limit alone decides how long it takes, so that is measured with fewer messages and scaled.
"""

import json
import sys
from dataclasses import dataclass
from datetime import datetime
from typing import Literal

from sqlalchemy import text

from bench import process
from bench.report import Target, print_table, print_targets
from bench.stage import Stage
from etl.sandbox.config import SandboxConfig
from etl.sandbox.server import SandboxProcess
from etl.state import message_queue
from etl.state.message_queue import NewItem

LIMIT, INTERVAL = 100, 10.0


@dataclass(frozen=True, slots=True)
class Drained:
    """How a backlog was loaded."""

    messages: int
    requests: int
    seconds: float
    processor: float
    """Seconds of a processor, the start of the process included."""


def measure(on: Stage, *, messages: int, singly: int) -> list[Target]:
    """Drain a backlog of ``messages`` in bulk and one of ``singly`` one by one, and return the targets."""
    bulk = _drain(on, messages, bulk="auto")
    single = _drain(on, singly, bulk="off")
    scaled = single.seconds * messages / singly
    print_table(
        f"A backlog of one location, {LIMIT} requests in {INTERVAL:g} s",
        [
            "bulk",
            "messages",
            "requests",
            "messages a request",
            "seconds",
            f"seconds for {messages:,}",
            "processor ms/row",
        ],
        [
            [
                "auto",
                bulk.messages,
                bulk.requests,
                bulk.messages / bulk.requests,
                bulk.seconds,
                bulk.seconds,
                _cost(bulk),
            ],
            [
                "off",
                single.messages,
                single.requests,
                single.messages / single.requests,
                single.seconds,
                scaled,
                _cost(single),
            ],
        ],
    )
    targets = [
        Target(claim="messages a request, in bulk", figure=bulk.messages / bulk.requests, at_least=100.0),
        Target(claim="times sooner than one by one (scaled)", figure=scaled / bulk.seconds, at_least=20.0),
        Target(claim="rows a second, in bulk", figure=bulk.messages / bulk.seconds, at_least=2500.0),
    ]
    print_targets(targets)
    return targets


def _cost(drained: Drained) -> float:
    return 1000 * drained.processor / drained.messages


def _drain(on: Stage, messages: int, *, bulk: Literal["auto", "off"]) -> Drained:
    on.clear()
    with on.engine.begin() as connection:
        # What another measurement heard from another sandbox about a location of the same name.
        connection.execute(text("TRUNCATE etl.rate_limits"))
    config = SandboxConfig(locations=1, messages=messages, limit=LIMIT, interval=INTERVAL)
    with SandboxProcess(config) as sandbox:
        (location_id,) = sandbox.location_ids
        dates = {known: sandbox.dataset.messages[known]["dateAdded"] for known in sandbox.dataset.ids()}
        named = [NewItem("message", known, "", None, datetime.fromisoformat(date)) for known, date in dates.items()]
        with on.engine.begin() as connection:
            message_queue.enqueue_items(connection, named)
        jobs = on.directory / f"jobs-bulk-{bulk}.yaml"
        jobs.write_text(f"jobs:\n  messages:\n    kind: message\n    bulk: {json.dumps(bulk)}\n")
        finished = process.run(
            [sys.executable, "-m", "etl", "run", "messages", "--json"],
            environment=on.environment(
                ETL_JOBS=str(jobs),
                HIGHLEVEL_BASE_URL=sandbox.url,
                HIGHLEVEL_TOKEN=sandbox.token(location_id),
                HIGHLEVEL_LOCATION_ID=location_id,
            ),
            directory=on.directory,
        )
        report = json.loads(finished.output.splitlines()[-1])
        stats = sandbox.stats()
    if (report["loaded"], on.count("highlevel.messages"), stats["statuses"].get("429", 0)) != (messages, messages, 0):
        raise RuntimeError(f"not everything was loaded, or the limit was passed: {report}, {stats}")
    on.clear()
    return Drained(messages, stats["requests"], report["seconds"], finished.processor)

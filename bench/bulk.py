"""A backlog of one location at HighLevel's limit: by pages of the export, beside one request for each message.

One by one, the limit alone decides how long it takes, so that is measured with fewer messages and scaled.
"""

from dataclasses import dataclass
from datetime import datetime
from typing import Literal

from bench.report import Target, print_table
from bench.stage import Stage, account
from etl.sandbox.config import SandboxConfig
from etl.sandbox.server import SandboxProcess
from etl.state import message_queue

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
            {
                "bulk": name,
                "messages": of.messages,
                "requests": of.requests,
                "messages a request": of.messages / of.requests,
                "seconds": of.seconds,
                f"seconds for {messages:,}": of.seconds * messages / of.messages,
                "processor ms/row": 1000 * of.processor / of.messages,
            }
            for name, of in (("auto", bulk), ("off", single))
        ],
    )
    return [
        Target("messages a request, in bulk", bulk.messages / bulk.requests, at_least=100.0),
        Target("times sooner than one by one (scaled)", scaled / bulk.seconds, at_least=20.0),
        Target("rows a second, in bulk", bulk.messages / bulk.seconds, at_least=2500.0),
    ]


def _drain(on: Stage, messages: int, *, bulk: Literal["auto", "off"]) -> Drained:
    on.clear(locations=True)
    config = SandboxConfig(locations=1, messages=messages, limit=LIMIT, interval=INTERVAL)
    with SandboxProcess(config) as sandbox:
        dates = {known: sandbox.dataset.messages[known]["dateAdded"] for known in sandbox.dataset.ids()}
        named = [
            message_queue.NewItem("message", known, "", None, datetime.fromisoformat(date))
            for known, date in dates.items()
        ]
        with on.engine.begin() as connection:
            message_queue.enqueue_items(connection, named)
        report, finished = on.run_messages(job={"bulk": bulk}, **account(sandbox))
        stats = sandbox.stats()
    if (report["loaded"], on.count("highlevel.messages"), stats["statuses"].get("429", 0)) != (messages, messages, 0):
        raise RuntimeError(f"not everything was loaded, or the limit was passed: {report}, {stats}")
    return Drained(messages, stats["requests"], report["seconds"], finished.processor)

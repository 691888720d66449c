"""The receiver under 64 connections, beside one that does nothing but log each request, taken in turns.

Then how long a message takes from the POST to its row, with ``etl run --follow`` and a sandbox without latency.
"""

import gc
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from statistics import median, quantiles
from urllib.parse import urlsplit

from sqlalchemy import text

from bench import receive_load
from bench.process import processor_of
from bench.report import Target, print_table, ratio
from bench.stage import Stage, account, unlimited_sandbox
from etl.sandbox.keys import SandboxKeys
from etl.sandbox.replies import encode
from etl.sandbox.server import SandboxProcess

HOST, PATH = "127.0.0.1", "/webhooks/highlevel"
OURS, EMPTY = "etl serve", "empty Starlette"
STOP_SECONDS = 20.0
ROW_SECONDS = 5.0
"""Longest wait for one message's row."""
PAUSE_SECONDS = 0.05
"""Seconds between two messages, so that each finds the worker asleep."""
MOST_MILLISECONDS = 100.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Conditions:
    """How much is measured."""

    rounds: int
    events: int
    """Posted to each receiver in a round."""
    connections: int
    messages: int
    """Of which the time until their row is there is taken, one after another."""


def measure(on: Stage, conditions: Conditions) -> list[Target]:
    """Measure both, print the tables, and return the targets."""
    on.clear()
    keys = SandboxKeys.load_or_create(on.directory / "keys", rsa_bits=2048)
    targets = _measure_load(on, conditions, keys) + _measure_arrival(on, conditions, keys)
    on.clear()
    return targets


def _measure_load(on: Stage, conditions: Conditions, keys: SandboxKeys) -> list[Target]:
    loads: dict[str, list[receive_load.Load]] = {OURS: [], EMPTY: []}
    costs: dict[str, list[float]] = {OURS: [], EMPTY: []}
    with unlimited_sandbox(conditions.events) as sandbox, _serve(on, keys) as ours, _empty(on) as empty:
        receivers = {OURS: ours, EMPTY: empty}
        for turn in range(-1, conditions.rounds):
            for name, (port, pid) in receivers.items():
                # No webhook_id comes twice: a duplicate would cost less than an event.
                _clear(on)
                requests = _requests(sandbox, keys, port, count=conditions.events)
                before = processor_of(pid)
                load = _load(requests, port, conditions.connections)
                # Each has a webhook_id of its own: whatever was posted twice is stored once.
                if name == OURS and (stored := on.count("etl.webhook_events")) != load.acknowledged:
                    raise RuntimeError(f"{name} acknowledged {load.acknowledged} events, and stored {stored}")
                if turn >= 0:
                    loads[name].append(load)
                    costs[name].append(1000 * (processor_of(pid) - before) / conditions.events)
    rates = {name: [load.rate for load in of] for name, of in loads.items()}
    print_table(
        f"Webhooks over {conditions.connections} connections, {conditions.events:,} events, "
        f"{conditions.rounds} rounds in turns",
        [
            {
                "": name,
                "events/s": median(rates[name]),
                "least": min(rates[name]),
                "most": max(rates[name]),
                "p50 ms": median(load.within(0.5) for load in of),
                "p99 ms": median(load.within(0.99) for load in of),
                "sent again": sum(load.refused for load in of),
                "processor ms/event": median(costs[name]),
                "÷ empty": ratio(rates[name], rates[EMPTY]),
            }
            for name, of in loads.items()
        ],
    )
    return [Target("events a second", median(rates[OURS]), at_least=100.0)]


def _requests(sandbox: SandboxProcess, keys: SandboxKeys, port: int, *, count: int) -> list[bytes]:
    """Signed beforehand, so that the load costs no more than writing them."""
    prepared = []
    for message_id in list(sandbox.dataset.ids())[:count]:
        body = encode(sandbox.dataset.event(message_id))
        prepared.append(receive_load.request(HOST, port, PATH, body, keys.sign(body)))
    return prepared


def _load(requests: list[bytes], port: int, connections: int) -> receive_load.Load:
    gc.collect()
    gc.disable()
    try:
        return receive_load.run(HOST, port, requests, connections=connections)
    finally:
        gc.enable()


def _measure_arrival(on: Stage, conditions: Conditions, keys: SandboxKeys) -> list[Target]:
    _clear(on)
    with unlimited_sandbox(conditions.messages * 3) as sandbox, _serve(on, keys) as (port, _), _follow(on, sandbox):
        # An email event queues two kinds, of which this job takes one; and the first messages warm everything up.
        ids = [each for each in sandbox.dataset.ids() if "messageId" in sandbox.dataset.event(each)]
        taken = [_arrival(on, sandbox, keys, port, message_id) for message_id in ids[: conditions.messages + 5]][5:]
    milliseconds = [1000 * seconds for seconds in taken]
    cuts = quantiles(milliseconds, n=100)
    print_table(
        f"From the POST to the row in highlevel.messages, {len(milliseconds)} one after another, milliseconds",
        [
            {
                "": "etl serve + etl run --follow",
                "p50": cuts[49],
                "p90": cuts[89],
                "p99": cuts[98],
                "least": min(milliseconds),
                "most": max(milliseconds),
            }
        ],
    )
    return [Target("milliseconds from the POST to the row, p50", cuts[49], at_most=MOST_MILLISECONDS)]


ARRIVED = text("SELECT EXISTS (SELECT FROM highlevel.messages WHERE message_id = :message_id)")


def _arrival(on: Stage, sandbox: SandboxProcess, keys: SandboxKeys, port: int, message_id: str) -> float:
    """Seconds from the first byte of the POST until another connection sees the row."""
    time.sleep(PAUSE_SECONDS)
    body = encode(sandbox.dataset.event(message_id))
    posted = receive_load.request(HOST, port, PATH, body, keys.sign(body))
    watching = on.engine.connect().execution_options(isolation_level="AUTOCOMMIT")
    with socket.create_connection((HOST, port)) as connection, watching as database:
        began = time.perf_counter()
        connection.sendall(posted)
        answer = connection.recv(65536)
        if b" 200 " not in answer[:16]:
            raise RuntimeError(f"the receiver answered {answer[:16]!r}")
        while not database.execute(ARRIVED, {"message_id": message_id}).scalar_one():
            if time.perf_counter() - began > ROW_SECONDS:
                raise RuntimeError(f"{message_id} was not loaded within {ROW_SECONDS:g} s")
            time.sleep(0.001)
        return time.perf_counter() - began


def _clear(on: Stage) -> None:
    on.clear()
    with on.engine.begin() as connection:
        connection.execute(text("TRUNCATE etl.webhook_events"))


@contextmanager
def _serve(on: Stage, keys: SandboxKeys) -> Iterator[tuple[int, int]]:
    """``etl serve``, with its log written as it is in production; its port and process id."""
    command = ["-m", "etl", "serve", "--port", "0"]
    with _process(on, command, on.environment(LOG_LEVEL="info", **keys.environment())) as receiver:
        yield urlsplit(_greeting(receiver).split()[2]).port or 0, receiver.pid


@contextmanager
def _empty(on: Stage) -> Iterator[tuple[int, int]]:
    with _process(on, ["-m", "bench.empty_receiver"], on.environment()) as receiver:
        yield int(_greeting(receiver)), receiver.pid


@contextmanager
def _follow(on: Stage, sandbox: SandboxProcess) -> Iterator[None]:
    with _process(on, ["-m", "etl", "run", "messages", "--follow"], on.environment(**account(sandbox))):
        time.sleep(2.0)
        yield


@contextmanager
def _process(on: Stage, arguments: list[str], environment: dict[str, str]) -> "Iterator[subprocess.Popen[str]]":
    """Run it with its log in a file, and end it with SIGTERM."""
    with (
        (on.directory / "receive.log").open("w") as log,
        subprocess.Popen(
            [sys.executable, *arguments],
            env=environment,
            cwd=on.directory,
            stdout=subprocess.PIPE,
            stderr=log,
            text=True,
        ) as process,
    ):
        try:
            yield process
        finally:
            process.terminate()
            process.wait(STOP_SECONDS)


def _greeting(process: "subprocess.Popen[str]") -> str:
    line = process.stdout.readline() if process.stdout else ""
    if not line:
        raise RuntimeError("a receiver did not start")
    return line

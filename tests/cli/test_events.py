"""``etl events`` as a user meets it: real processes on events that the receiver stored."""

import json
from collections.abc import Callable
from pathlib import Path
from subprocess import CompletedProcess
from typing import Any

import pytest
import requests
from sqlalchemy import Engine, text

from etl.receive import events, webhook
from etl.sandbox.keys import SandboxKeys
from tests.command import Command

Keep = Callable[..., None]


def outcome(done: CompletedProcess[str]) -> tuple[int, str]:
    """Exit code and everything that was printed; a traceback is never right."""
    assert "Traceback" not in done.stderr
    return done.returncode, done.stdout + done.stderr


def posted(number: int, **fields: str) -> bytes:
    """An event with an id of its own."""
    return json.dumps(
        {"webhookId": f"event-{number}", "type": "InboundMessage", "locationId": "loc1"} | fields
    ).encode()


@pytest.fixture
def keep(engine: Engine) -> Keep:
    """Stores events as the receiver does."""

    def keep(*bodies: bytes) -> None:
        with engine.begin() as connection:
            events.store(connection, [webhook.parse(body) for body in bodies])

    return keep


@pytest.fixture
def value(engine: Engine) -> Callable[[str], Any]:
    """The one value of a query."""

    def value(query: str) -> Any:
        with engine.connect() as connection:
            return connection.execute(text(query)).scalar_one()

    return value


def listed(etl: Command, *options: str) -> list[str]:
    """Ids of the events that are listed."""
    done = etl("events", "list", "--json", *options)
    assert (done.returncode, done.stderr) == (0, "")
    return sorted(json.loads(line)["webhook_id"] for line in done.stdout.splitlines())


def aged(engine: Engine, webhook_id: str, *, days: int) -> None:
    """Make an event older."""
    with engine.begin() as connection:
        connection.execute(
            text(
                "UPDATE etl.webhook_events SET received_at = now() - make_interval(days => :d) WHERE webhook_id = :id"
            ),
            {"d": days, "id": webhook_id},
        )


def test_an_event_that_serve_stored_is_listed(etl: Command, tmp_path: Path) -> None:
    keys = SandboxKeys.load_or_create(tmp_path / "keys", rsa_bits=2048)
    with etl.start("serve", "--port", "0", **keys.environment()) as receiver:
        try:
            url = next(word for word in receiver.printed.readline().split() if word.startswith("http://"))
            body = posted(1, messageId="m1")
            answer = requests.post(f"{url}/webhooks/highlevel", body, headers=keys.sign(body), timeout=10)
        finally:
            receiver.terminate()
            receiver.communicate(timeout=30)
    assert (answer.status_code, listed(etl)) == (200, ["event-1"])


def test_an_empty_list_says_so(etl: Command) -> None:
    assert outcome(etl("events", "list")) == (0, "no events\n")


def test_a_list_is_a_line_an_event_under_a_header(etl: Command, keep: Keep) -> None:
    keep(posted(1, messageId="m1"))
    header, line = etl("events", "list").stdout.splitlines()
    assert (header.split("\t"), [line.split("\t")[place] for place in (0, 2, 3, 4, 6)]) == (
        ["id", "received", "type", "location", "message", "email", "outcome", "replayed"],
        ["event-1", "InboundMessage", "loc1", "m1", "queued"],
    )


def test_the_newest_so_many_are_listed(etl: Command, keep: Keep, engine: Engine) -> None:
    keep(posted(1), posted(2), posted(3))
    aged(engine, "event-2", days=1)
    assert listed(etl, "--limit", "2") == ["event-1", "event-3"]


@pytest.mark.parametrize(
    ("options", "found"),
    [
        (("--outcome", "no_id"), ["event-2"]),
        (("--type", "OutboundMessage"), ["event-3"]),
        (("--location", "loc2"), ["event-4"]),
        (("--outcome", "queued", "--location", "loc1"), ["event-1", "event-3"]),
        (("--since", "2200-01-01 00:00"), []),
    ],
    ids=" ".join,
)
def test_a_list_can_be_narrowed(etl: Command, keep: Keep, options: tuple[str, ...], found: list[str]) -> None:
    keep(
        posted(1, messageId="m1"),
        posted(2),
        posted(3, messageId="m3", type="OutboundMessage"),
        posted(4, messageId="m4", locationId="loc2"),
    )
    assert listed(etl, *options) == found


def test_since_is_a_local_time(etl: Command, keep: Keep, engine: Engine) -> None:
    keep(posted(1), posted(2))
    with engine.begin() as connection:
        connection.execute(
            text("UPDATE etl.webhook_events SET received_at = '2026-01-01 12:00Z' WHERE webhook_id = 'event-1'")
        )
        connection.execute(
            text("UPDATE etl.webhook_events SET received_at = '2026-01-01 13:30Z' WHERE webhook_id = 'event-2'")
        )
    etl.environment["TZ"] = "UTC-3"
    assert listed(etl, "--since", "2026-01-01 16:00") == ["event-2"]


def test_events_are_counted_by_outcome(etl: Command, keep: Keep) -> None:
    keep(posted(1), posted(2), posted(3, type="ContactUpdate"))
    assert outcome(etl("events", "list", "--counts")) == (0, "no_id: 2, ignored: 1\n")


def test_counts_can_be_json(etl: Command, keep: Keep) -> None:
    keep(posted(1))
    assert json.loads(etl("events", "list", "--counts", "--json").stdout) == {"no_id": 1}


def test_counts_refuse_a_filter_rather_than_ignore_it(etl: Command) -> None:
    code, printed = outcome(etl("events", "list", "--counts", "--outcome", "no_id"))
    assert (code, "--counts counts all events" in printed) == (2, True)


def test_showing_prints_the_body(etl: Command, keep: Keep) -> None:
    body = b'{"webhookId":"event-1",  "type":"InboundMessage", "body":"\xc3\xa9 caf\\u00e9 1.50"}'
    keep(body)
    code, printed = outcome(etl("events", "show", "event-1", PYTHONUTF8="1"))
    assert (code, printed.partition("body:\n")[2].encode()) == (0, b"  " + body + b"\n")
    assert etl("events", "show", "event-1", "--raw").stdout.encode() == body


def test_lists_leave_customers_words_out(etl: Command, keep: Keep) -> None:
    keep(posted(1, messageId="m1", body="my secret wish"))
    assert "secret wish" not in etl("events", "list").stdout + etl("events", "list", "--json").stdout


def test_showing_an_unknown_event_says_so(etl: Command) -> None:
    code, printed = outcome(etl("events", "show", "event-9"))
    assert (code, "No event event-9 is kept" in printed) == (1, True)


def test_replaying_queues_what_was_loaded_since(etl: Command, keep: Keep, engine: Engine, value: Any) -> None:
    (etl.directory / "jobs.yaml").write_text("jobs:\n  messages:\n  emails:\n    kind: email\n")
    keep(posted(1, messageId="m1"), posted(2, type="OutboundMessage", emailMessageId="e2", threadId="m2"))
    with engine.begin() as connection:
        connection.execute(text("TRUNCATE etl.message_queue"))
    assert outcome(etl("events", "replay", "--all")) == (0, "2 replayed\n")
    items = "SELECT array_agg(kind || ' ' || message_id ORDER BY message_id) FROM etl.message_queue"
    assert value(items) == ["email e2", "message m1", "message m2"]


def test_replaying_an_id_leaves_the_others_alone(etl: Command, keep: Keep, value: Any) -> None:
    keep(posted(1, messageId="m1"), posted(2, messageId="m2"))
    assert outcome(etl("events", "replay", "event-2")) == (0, "1 replayed\n")
    assert value("SELECT webhook_id FROM etl.webhook_events WHERE replayed_at IS NOT NULL") == "event-2"


def test_replaying_reads_what_an_older_version_could_not(etl: Command, keep: Keep, engine: Engine, value: Any) -> None:
    keep(posted(1, messageId="m1"))
    with engine.begin() as connection:
        connection.execute(text("UPDATE etl.webhook_events SET outcome = 'ignored', message_id = NULL"))
    etl("events", "replay", "--outcome", "ignored")
    assert value("SELECT outcome || ' ' || message_id FROM etl.webhook_events") == "queued m1"


def test_replaying_goes_through_more_than_a_page(etl: Command, keep: Keep) -> None:
    keep(*(posted(number, messageId=f"m{number}") for number in range(2001)))
    assert outcome(etl("events", "replay", "--type", "InboundMessage")) == (0, "2001 replayed\n")


def test_replaying_leaves_installations_alone(etl: Command, keep: Keep, engine: Engine, value: Any) -> None:
    keep(posted(1, type="INSTALL", appId="app1"))
    with engine.begin() as connection:
        connection.execute(text("UPDATE etl.locations SET retired_at = now()"))
    assert outcome(etl("events", "replay", "--all")) == (0, "0 replayed\n")
    assert value("SELECT count(*) FROM etl.locations WHERE retired_at IS NOT NULL") == 1


@pytest.mark.parametrize("command", [("replay",), ("purge", "--yes")], ids=["replay", "purge"])
def test_nothing_is_done_to_events_nobody_named(etl: Command, keep: Keep, value: Any, command: tuple[str, ...]) -> None:
    keep(posted(1, messageId="m1"))
    code, printed = outcome(etl("events", *command))
    assert (code, "Say which" in printed) == (2, True)
    assert value("SELECT count(*) FROM etl.webhook_events WHERE replayed_at IS NULL") == 1


@pytest.mark.parametrize("command", [("replay",), ("purge", "--yes")], ids=["replay", "purge"])
def test_ids_and_all_contradict_each_other(etl: Command, command: tuple[str, ...]) -> None:
    code, printed = outcome(etl("events", *command, "--all", "event-1"))
    assert (code, "Either ids or --all, not both" in printed) == (2, True)


def test_purging_deletes_only_what_is_older(etl: Command, keep: Keep, engine: Engine) -> None:
    keep(posted(1), posted(2))
    aged(engine, "event-1", days=8)
    assert outcome(etl("events", "purge", "--older-than", "7", "--yes")) == (0, "1 deleted\n")
    assert listed(etl) == ["event-2"]


def test_purging_goes_through_more_than_a_lot(etl: Command, keep: Keep) -> None:
    keep(*(posted(number) for number in range(5001)))
    assert outcome(etl("events", "purge", "--all", "--yes")) == (0, "5001 deleted\n")


def test_purging_asks_first(etl: Command, keep: Keep) -> None:
    keep(posted(1), posted(2))
    code, printed = outcome(etl("events", "purge", "--all", stdin="n\n"))
    assert (code, "Delete 2 events for good" in printed) == (2, True)
    assert len(listed(etl)) == 2


def test_where_there_is_nothing_to_purge_nobody_is_asked(etl: Command) -> None:
    assert outcome(etl("events", "purge", "--all")) == (0, "0 deleted\n")

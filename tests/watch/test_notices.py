import http.server
import json
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

import pytest
from pydantic import SecretStr
from sqlalchemy import Engine, text

from etl.app import checking
from etl.config.settings import Settings, read
from etl.state import mart_changes, notices
from etl.state.notices import SentNotice
from etl.watch import sending
from etl.watch.figures import Figures
from etl.watch.findings import Finding
from etl.watch.notices import LINES, news
from tests.command import Command
from tests.waiting import await_

# Apprise looks at modules of the standard library that will go.
pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning:apprise", "ignore:'imghdr' is deprecated")

NOW = datetime(2026, 11, 28, 12, 0, tzinfo=UTC)
HOUR, DAY = timedelta(hours=1), timedelta(days=1)
WRONG = Finding("runs", "messages", "the job does not run", NOW - HOUR, "9 items wait", "etl run messages")
SECRET = "s3cr3t-of-the-address"
WORDS = "Tomorrow at nine, says Ann"


def told(*, since: timedelta, at: timedelta) -> SentNotice:
    return SentNotice(WRONG.name, WRONG.subject, NOW - since, NOW - at)


def test_new_findings_are_sent() -> None:
    message = news([WRONG], [], NOW)
    assert ("highlevel-etl: 1 new", [("runs", "messages")]) == (message.title, message.keys)
    assert message.body == f"NEW {WRONG.line(NOW)}"


def test_lasting_findings_are_sent_once_a_day() -> None:
    assert not news([WRONG], [told(since=HOUR, at=HOUR)], NOW)
    assert not news([WRONG], [told(since=2 * DAY, at=DAY - HOUR)], NOW)
    message = news([WRONG], [told(since=2 * DAY, at=DAY)], NOW)
    assert ("highlevel-etl: 1 not over", f"NOT OVER {WRONG.line(NOW)}") == (message.title, message.body)


def test_findings_that_are_over_are_sent_with_how_long_they_lasted() -> None:
    message = news([], [told(since=3 * HOUR, at=HOUR)], NOW)
    assert ("highlevel-etl: 1 over", "OVER runs messages, after 3 h", []) == (message.title, message.body, message.keys)


def test_a_notice_has_a_bound() -> None:
    many = [Finding("location", str(number), "paused", None, "", "") for number in range(LINES + 5)]
    lines = news(many, [], NOW).body.splitlines()
    assert (LINES + 1, "… 5 lines more: etl check") == (len(lines), lines[-1])


@dataclass
class Inbox:
    """A server that takes what is posted, unless it is told to refuse."""

    url: str = ""
    status: int = 200
    posts: list[dict[str, str]] = field(default_factory=list)
    gets: list[str] = field(default_factory=list)

    @property
    def address(self) -> str:
        return self.url.replace("http://", "json://") + f"/{SECRET}"


@pytest.fixture
def inbox() -> Iterator[Inbox]:
    inbox = Inbox()

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            if inbox.status == 200:
                inbox.posts.append(json.loads(body))
            self.send_response(inbox.status)
            self.end_headers()

        def do_GET(self) -> None:
            inbox.gets.append(self.path)
            self.send_response(inbox.status)
            self.end_headers()

        def log_message(self, *_: object) -> None:
            """Say nothing."""

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    inbox.url = f"http://127.0.0.1:{server.server_port}"
    threading.Thread(target=server.serve_forever).start()
    yield inbox
    server.shutdown()
    server.server_close()


@pytest.fixture
def etl(etl: Command, inbox: Inbox) -> Command:
    ping = f"{inbox.url}/ping/{SECRET}"
    (etl.directory / "jobs.yaml").write_text(
        f"jobs:\n  messages:\nnotify:\n  urls:\n    - {inbox.address}\n  ping: {ping}\n"
    )
    etl.environment["ETL_HOME"] = str(etl.directory / "home")
    return etl


def execute(engine: Engine, statement: str) -> None:
    with engine.begin() as connection:
        connection.execute(text(statement))


def pile_up(engine: Engine) -> None:
    execute(engine, "INSERT INTO etl.message_queue (message_id, scheduled_at) VALUES ('M', now() - interval '2 hours')")
    execute(
        engine,
        "INSERT INTO etl.dead_letters (kind, message_id, location_id, attempt, cause, detail, payload) "
        "VALUES ('message', 'D', 'L', 8, 'http_500', 'HTTP 500', 'Tomorrow at nine, says Ann')",
    )


def test_a_finding_is_sent_once_repeated_daily_and_sent_when_it_is_over(
    etl: Command, engine: Engine, inbox: Inbox
) -> None:
    assert 0 == etl("check", "--notify").returncode
    assert ([], [f"/ping/{SECRET}"]) == (inbox.posts, inbox.gets)
    pile_up(engine)
    for _ in range(2):
        assert 1 == etl("check", "--notify").returncode
    assert ["highlevel-etl: 2 new"] == [each["title"] for each in inbox.posts]
    assert "NEW queue message: the oldest of 1 due item waits" in inbox.posts[0]["message"]
    execute(engine, "UPDATE etl.notices SET told_at = told_at - interval '1 day', began_at = now() - interval '5 days'")
    for _ in range(2):
        etl("check", "--notify")
    execute(engine, "DELETE FROM etl.message_queue")
    for _ in range(2):
        etl("check", "--notify")
    assert ["highlevel-etl: 2 new", "highlevel-etl: 2 not over", "highlevel-etl: 1 over"] == [
        each["title"] for each in inbox.posts
    ]
    assert "OVER queue message, after 5 d" == inbox.posts[-1]["message"]
    assert 7 == len(inbox.gets)


def test_no_notice_has_a_word_of_a_customer(etl: Command, engine: Engine, inbox: Inbox) -> None:
    pile_up(engine)
    etl("check", "--notify")
    assert inbox.posts
    assert WORDS not in json.dumps(inbox.posts)


def test_what_nobody_took_is_told_again_and_no_address_is_shown(etl: Command, engine: Engine, inbox: Inbox) -> None:
    pile_up(engine)
    inbox.status = 500
    done = etl("check", "--notify")
    assert (1, []) == (done.returncode, inbox.posts)
    assert "notice_not_sent" in done.stderr
    assert "ping_not_sent" in done.stderr
    assert SECRET not in done.stdout + done.stderr
    inbox.status = 200
    etl("check", "--notify")
    assert ["highlevel-etl: 2 new"] == [each["title"] for each in inbox.posts]


def test_a_postgres_that_is_away_is_reported_once_and_when_it_is_back(etl: Command, inbox: Inbox) -> None:
    for _ in range(2):
        etl("check", "--notify", DATABASE_URL="postgresql://nobody@127.0.0.1:1/none")
    assert ["highlevel-etl: 1 new"] == [each["title"] for each in inbox.posts]
    assert inbox.posts[0]["message"].startswith("NEW database: Postgres cannot be reached")
    for _ in range(2):
        etl("check", "--notify")
    assert "OVER database, after 0 s" == inbox.posts[-1]["message"].replace("1 s", "0 s")
    assert 2 == len(inbox.posts)


def test_of_two_that_tell_at_the_same_time_one_tells(etl: Command, engine: Engine, inbox: Inbox) -> None:
    pile_up(engine)
    with engine.begin() as connection:
        assert notices.lock(connection)
        etl("check", "--notify")
    assert [] == inbox.posts


def test_it_notifies_while_the_marts_are_counted(etl: Command, engine: Engine, inbox: Inbox) -> None:
    pile_up(engine)
    with engine.begin() as connection:
        assert mart_changes.lock(connection, wait=False)
        etl("check", "--notify")
    assert ["highlevel-etl: 2 new"] == [each["title"] for each in inbox.posts]


def test_a_follower_sends_notices(etl: Command, engine: Engine, inbox: Inbox, monkeypatch: pytest.MonkeyPatch) -> None:
    pile_up(engine)
    monkeypatch.chdir(etl.directory)
    settings = read(etl.environment, dotenv=None)
    with checking.notifying(settings, every=0.01):
        await_(lambda: len(inbox.posts) > 0 and len(inbox.gets) > 2)
    assert ["highlevel-etl: 2 new"] == [each["title"] for each in inbox.posts]


def test_a_server_that_is_dead_stops_no_follower(etl: Command, monkeypatch: pytest.MonkeyPatch, engine: Engine) -> None:
    pile_up(engine)
    (etl.directory / "jobs.yaml").write_text("jobs:\n  messages:\nnotify:\n  urls: ['json://127.0.0.1:1']\n")
    monkeypatch.chdir(etl.directory)
    looks: list[Settings] = []
    real = checking.look

    def look(settings: Settings) -> tuple[Figures | None, list[Finding]]:
        looks.append(settings)
        return real(settings)

    monkeypatch.setattr(checking, "look", look)
    with checking.notifying(read(etl.environment, dotenv=None), every=0.01):
        await_(lambda: len(looks) > 2)


def test_notify_tests_every_address(etl: Command, inbox: Inbox) -> None:
    done = etl("notify", "--test", ETL_NOTIFY_URLS="json://127.0.0.1:1")
    assert 1 == done.returncode
    assert ["JSON: sent", "JSON: not sent", "ping: answered"] == done.stdout.splitlines()
    assert ["highlevel-etl: test"] == [each["title"] for each in inbox.posts]
    assert 0 == etl("notify", "--test").returncode


@pytest.mark.parametrize(
    ("notify", "says"),
    [
        ("", "Error: No address for notices: set notify in jobs.yaml, or ETL_NOTIFY_URLS.\n"),
        (f"notify:\n  urls: [{SECRET}]\n", "Error: Apprise does not know address 1 of notify: urls in jobs.yaml"),
        (f"notify:\n  urls: {SECRET}\n", "Error: jobs.yaml:4: notify: urls: "),
        (f"notify:\n  ping: [{SECRET}]\n", "Error: jobs.yaml:4: notify: ping: "),
    ],
)
def test_a_mistake_is_reported_without_the_address(etl: Command, notify: str, says: str) -> None:
    (etl.directory / "jobs.yaml").write_text(f"jobs:\n  messages:\n{notify}")
    done = etl("check", "--notify")
    assert 2 == done.returncode
    assert done.stderr.startswith(says)
    assert SECRET not in done.stderr


def test_addresses_have_no_repr() -> None:
    settings = read({"ETL_NOTIFY_URLS": f"json://{SECRET} mailto://u:{SECRET}@h"}, dotenv=None)
    assert 2 == len(settings.etl_notify_urls)
    assert SECRET not in repr(settings)


def test_a_plugin_that_fails_is_no_fault_of_ours() -> None:
    class Broken:
        service_name = "broken"

        def notify(self, **_: str) -> bool:
            raise RuntimeError(SECRET)

    assert [False] == sending.send([Broken()], title="t", body="b")
    assert not sending.ping(SecretStr("no url"))

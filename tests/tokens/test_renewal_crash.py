import json
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

from sqlalchemy import Engine

from etl.sandbox.config import SandboxConfig
from etl.sandbox.server import RunningSandbox
from tests.tokens.office import Office

RENEWER = Path(__file__).with_name("renewer.py")


class Renewer:
    """A process that renews the first location's token."""

    def __init__(self, office: Office, database_url: str) -> None:
        given = {
            "url": office.sandbox.url,
            "client_id": office.sandbox.client_id,
            "client_secret": office.sandbox.client_secret,
            "database_url": database_url,
            "key": office.key,
            "location_id": office.first,
        }
        self.process = subprocess.Popen(
            [sys.executable, str(RENEWER), json.dumps(given)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        self.is_ready = False

    def tell(self, what: str) -> None:
        if not self.is_ready:
            assert "ready" == self.hear()
            self.is_ready = True
        assert self.process.stdin is not None
        self.process.stdin.write(f"{what}\n")
        self.process.stdin.flush()

    def hear(self) -> str:
        """Its answer; empty when it died instead."""
        assert self.process.stdout is not None
        return self.process.stdout.readline().strip()

    def end(self) -> None:
        self.process.kill()
        self.process.communicate()


class Race:
    """Two processes told to renew the same expired token, again and again."""

    def __init__(self, office: Office, database_url: str) -> None:
        self.office = office
        self.database_url = database_url
        self.renewers = [Renewer(office, database_url) for _ in range(2)]
        self.deaths = 0

    def round(self, *orders: str) -> list[str]:
        """The answer of each process to its order; a process that died is replaced."""
        self.office.expire()
        for renewer, order in zip(self.renewers, orders, strict=True):
            renewer.tell(order)
        answers = [renewer.hear() for renewer in self.renewers]
        for place, answer in enumerate(answers):
            if answer == "":
                self.deaths += 1
                self.renewers[place].end()
                self.renewers[place] = Renewer(self.office, self.database_url)
        return answers

    def end(self) -> None:
        for renewer in self.renewers:
            renewer.end()


@contextmanager
def racing(office: Office, database_url: str) -> Iterator[Race]:
    office.connect(office.first)
    race = Race(office, database_url)
    try:
        yield race
    finally:
        race.end()


def test_a_hundred_races_with_kills_lock_nobody_out(office: Office, database_url: str) -> None:
    with racing(office, database_url) as race:
        locked_out = []
        for number in range(100):
            both_die, one_dies = number % 33 == 3, number % 10 == 5
            before = office.token(office.first)
            race.round("die" if both_die or one_dies else "renew", "die" if both_die else "renew")
            renewed = office.token(office.first) != before and office.status(office.first) == 200
            if not renewed and not both_die:
                locked_out.append(number)
    assert ([], None) == (locked_out, office.place(office.first).paused_at)
    assert race.deaths >= 6


def test_of_two_processes_one_refreshes(office: Office, database_url: str) -> None:
    with racing(office, database_url) as race:
        answers = [race.round("renew", "renew") for _ in range(20)]
    assert [["0", "1"]] * 20 == [sorted(pair) for pair in answers]


def test_a_crash_beyond_the_grace_is_mended_by_reconnecting(
    engine: Engine, database_url: str, key: str, office: Office
) -> None:
    config = SandboxConfig(limit=None, daily=None, messages=10, refresh_grace=0)
    with (
        RunningSandbox(config) as strict,
        closing(type(office)(engine, strict, key)) as strict_office,
        racing(strict_office, database_url) as race,
    ):
        for _ in range(3):
            race.round("die", "die")
            before = strict_office.token(strict_office.first)
            race.round("renew", "renew")
            assert before != strict_office.token(strict_office.first)
            assert 200 == strict_office.status(strict_office.first)
    assert race.deaths >= 3


def test_a_process_that_dies_after_the_answer_leaves_the_old_pair(office: Office, database_url: str) -> None:
    before = office.connect(office.first).access_token
    renewer = Renewer(office, database_url)
    office.expire()
    renewer.tell("die")
    assert ("", before) == (renewer.hear(), office.token(office.first))
    renewer.end()

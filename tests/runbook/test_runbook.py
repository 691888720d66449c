"""Each fault of docs/runbook.md is brought about, and its commands print what the page says."""

import re
import shlex
from collections.abc import Iterator
from pathlib import Path

import pytest

from etl.sandbox.server import RunningSandbox
from etl.tokens.vault import new_key
from tests.command import Command
from tests.job import Job

PAGE = (Path(__file__).parents[2] / "docs" / "runbook.md").read_text(encoding="utf-8")
HEARD = """
    INSERT INTO etl.webhook_events (webhook_id, received_at, type, location_id, outcome, body)
    VALUES ('first', '2020-01-01Z', '', :location_id, 'ignored', '{}')
"""
FULL = """
    CREATE FUNCTION public.is_full() RETURNS event_trigger LANGUAGE plpgsql AS $$ BEGIN
        RAISE 'could not extend file "base/1/2": No space left on device' USING ERRCODE = '53100'; END $$;
    CREATE EVENT TRIGGER is_full ON ddl_command_start WHEN TAG IN ('CREATE TABLE AS') EXECUTE FUNCTION public.is_full()
"""


class Step:
    """A command of the page, and the lines that it prints there."""

    def __init__(self, command: str, lines: list[str]) -> None:
        self.command, self.lines = command, lines

    def run(self, etl: Command, names: dict[str, str], *, stdin: str = "", **environment: str) -> None:
        """Run it with these names instead of the page's, and compare what it prints line by line."""
        words = shlex.split(self.command.partition(" < ")[0])[1:]
        done = etl(*(names.get(word, word) for word in words), stdin=stdin, **environment)
        printed = iter((done.stdout + done.stderr).splitlines())
        for line in self.lines:
            pattern = _pattern(line, names)
            assert any(pattern.fullmatch(each.strip()) for each in printed), f"{line}\n--\n{done.stdout}{done.stderr}"


def _pattern(line: str, names: dict[str, str]) -> re.Pattern[str]:
    """A line as a pattern: numbers differ, names are the test's, and so is what the page leaves out."""
    for name, value in names.items():
        line = line.replace(name, value)
    words = [re.sub(r"\d+", r"\\d+", re.escape(part)) for part in line.strip().split("…")]
    return re.compile(".*".join(words))


def steps(title: str) -> Iterator[Step]:
    """The commands of one part of the page."""
    part = PAGE.partition(f"\n## {title}\n")[2].partition("\n## ")[0]
    found = [
        Step(command, [line for line in lines.splitlines() if line.strip("…")])
        for block in re.findall(r"```console\n(.*?)```", part, flags=re.DOTALL)
        for command, lines in re.findall(r"^\$ (.*)\n((?:[^$].*\n)*)", block, flags=re.MULTILINE)
    ]
    assert found, title
    return iter(found)


def test_the_queue_grows(etl: Command, job: Job) -> None:
    job.execute(
        "INSERT INTO etl.message_queue (message_id, location_id) "
        "SELECT 'wrong-' || n, 'LOC2' FROM generate_series(1, 3) AS n"
    )
    for step in steps("The queue grows"):
        step.run(etl, {})
    assert job.queued() == []


def test_webhooks_stop(etl: Command, job: Job) -> None:
    job.execute(HEARD, location_id=job.location_id)
    for step in steps("Webhooks stop"):
        step.run(etl, {"7d": "900d"})
    assert job.value("SELECT count(*) FROM highlevel.messages") > 0


@pytest.fixture
def stored(etl: Command, job: Job) -> dict[str, str]:
    """A location with a token of its own; the names that the page has for it."""
    etl.environment |= {"HIGHLEVEL_TOKEN": "", "HIGHLEVEL_LOCATION_ID": "", "ETL_SECRET_KEY": new_key()}
    etl("connect", "--location", job.location_id, "--token", stdin=etl_token(job))
    job.enqueue(*job.ids[:5], location_id=job.location_id)
    return {"LOC1": job.location_id}


def etl_token(job: Job) -> str:
    token = job.settings().highlevel_token
    assert token is not None
    return token.get_secret_value()


@pytest.mark.parametrize("title", ["A token dies", "A location moves to another agency"])
def test_a_token_is_refused(
    title: str, etl: Command, job: Job, sandbox: RunningSandbox, stored: dict[str, str]
) -> None:
    sandbox.revoke(location_id=job.location_id)
    for step in steps(title):
        if "--token" in step.command:
            sandbox.reset()
        step.run(etl, stored, stdin=etl_token(job))
    assert job.queued() == []


def test_the_disk_is_full(etl: Command, job: Job) -> None:
    full, free = steps("The disk is full")
    job.execute(FULL)
    full.run(etl, {})
    job.execute("DROP EVENT TRIGGER is_full")
    free.run(etl, {})


def test_highlevel_is_down(etl: Command, job: Job, sandbox: RunningSandbox) -> None:
    job.enqueue(*job.ids[:20])
    sandbox.faults(shares={"5xx": 1.0})
    for step in steps("HighLevel is down"):
        if "retry" in step.command:
            sandbox.faults()
        step.run(etl, {"LOC1": job.location_id})
    assert job.value("SELECT count(*) FROM highlevel.messages") == 20


def test_highlevel_changes_a_shape(etl: Command, job: Job, sandbox: RunningSandbox) -> None:
    drift, broken, *after = steps("HighLevel changes a shape")
    sandbox.change(job.ids[0], sentiment="glad")
    job.enqueue(*job.ids[:2])
    drift.run(etl, {})
    sandbox.faults(ids={job.ids[2]: "html"})
    job.enqueue(*job.ids[2:4])
    broken.run(etl, {})
    sandbox.faults()
    for step in after:
        step.run(etl, {})
    assert job.value("SELECT count(*) FROM etl.dead_letters") == 0


def test_a_wrong_deploy(etl: Command, job: Job) -> None:
    wrong, *right = steps("A wrong deploy")
    job.enqueue(job.ids[0])
    at = job.value("SELECT version_num FROM etl.alembic_version")
    job.execute("UPDATE etl.alembic_version SET version_num = '9999'")
    wrong.run(etl, {})
    job.execute("UPDATE etl.alembic_version SET version_num = :at", at=at)
    for step in right:
        step.run(etl, {})


def test_after_a_restore(etl: Command, job: Job) -> None:
    for step in steps("After a restore"):
        step.run(etl, {"7d": "900d"})
    assert job.value("SELECT count(*) FROM highlevel.messages") > 0


def test_somebody_must_be_erased(etl: Command, job: Job) -> None:
    job.enqueue(*job.ids)
    job.run()
    contact = job.value("SELECT contact_id FROM highlevel.messages WHERE contact_id IS NOT NULL LIMIT 1")
    for step in steps("Somebody must be erased"):
        step.run(etl, {"CONTACT": contact})
    assert job.value("SELECT count(*) FROM highlevel.messages WHERE contact_id = :id", id=contact) == 0


def test_every_part_of_the_page_is_tried() -> None:
    titles = set(re.findall(r"^## (.*)$", PAGE, flags=re.MULTILINE))
    source = Path(__file__).read_text(encoding="utf-8")
    assert [] == [title for title in titles if f'"{title}"' not in source]

from pathlib import Path

import pytest

from etl.config import jobs
from etl.config.jobs import Job, Retention
from etl.errors import ConfigurationError


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "jobs.yaml"


def problems(path: Path, text: str) -> list[str]:
    path.write_text(text)
    with pytest.raises(ConfigurationError) as caught:
        jobs.read(path)
    return [problem.removeprefix(f"{path}:") for problem in str(caught.value).splitlines()]


def test_the_shipped_file_works_as_it_is() -> None:
    shipped = jobs.read(Path("jobs.yaml")).named
    assert shipped["messages"] == Job(name="messages")
    assert [job.kind for job in shipped.values()] == [
        "conversation",
        "message",
        "email",
        "recording",
        "transcription",
        "marts",
    ]


def test_the_jobs_that_need_other_scopes_are_ready_to_be_switched_on(path: Path) -> None:
    lines = Path("jobs.yaml").read_text().splitlines()
    path.write_text("\n".join(line.removeprefix("#") if line.startswith("#  ") else line for line in lines))
    assert {"contact", "user", "location"} <= jobs.read(path).kinds


def test_without_a_file_the_built_in_jobs_are_used(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert jobs.read(None) == jobs.read(Path(__file__).parents[2] / "jobs.yaml")


def test_every_key_has_a_default(path: Path) -> None:
    path.write_text("jobs:\n  messages:\n")
    assert jobs.read(path).named["messages"] == Job(name="messages")


def test_a_file_of_an_older_version_has_the_job_of_the_marts(path: Path) -> None:
    path.write_text("jobs:\n  messages:\n")
    assert jobs.read(path).named["marts"] == Job(name="marts", kind="marts")
    path.write_text("jobs:\n  figures:\n    kind: marts\n")
    assert list(jobs.read(path).named) == ["figures"]


def test_keys_are_read(path: Path) -> None:
    path.write_text("jobs:\n  busy:\n    concurrency: 32\n    batch_size: 500\n")
    job = jobs.read(path).named["busy"]
    assert (job.concurrency, job.batch_size) == (32, 500)


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("", "1: expected: jobs:"),
        ("- a", "1: expected: jobs:"),
        ("jobs:\n  - a", "1: expected a job's name and its keys"),
        ("jobs:\n  a: 5", "2: job 'a': expected keys and values"),
        ("jobs:\n  a:\nextra: 1", "3: unknown key 'extra'; known: jobs, retention, alarms, notify"),
        ("jobs:\n  a:\nretention: 5", "3: retention: expected keys and values"),
        (
            "jobs:\n  a:\nretention:\n  message: 5 days",
            "4: retention: unknown key 'message'; known: messages, status_changes, webhook_events, dead_letters, runs",
        ),
        ("jobs:\n  a:\nretention:\n  runs: 5", "4: retention: runs: expected a number of days, e.g. 730 days, not '5'"),
        (
            "jobs:\n  a:\nretention:\n  runs: [5]",
            "4: retention: runs: expected a number of days, e.g. 730 days, not 'a list or mapping'",
        ),
        (
            "retention:\n  messages: 7 days\njobs:\n  a:",
            (
                "2: retention: messages: 7 days is too short: the queue still looks at messages that are 7 days old. "
                "The least is 8 days"
            ),
        ),
        ("jobs:\n  a:\n  a:\n", "3: 'a' is defined twice, first in line 2"),
        ("jobs:\n  a:\n    concurrency: 1\n    concurrency: 2", "4: 'concurrency' is defined twice, first in line 3"),
        (
            "jobs:\n  a:\n    concurency: 1",
            (
                "3: job 'a': unknown key 'concurency'; known: kind, schedule, concurrency, batch_size, max_attempts, "
                "bulk, status_checks, media_checks, recordings_url"
            ),
        ),
        (
            "jobs:\n  a:\n    name: b",
            (
                "3: job 'a': unknown key 'name'; known: kind, schedule, concurrency, batch_size, max_attempts, "
                "bulk, status_checks, media_checks, recordings_url"
            ),
        ),
        (
            'jobs:\n  a:\n    schedule: "99 * * * *"',
            "3: job 'a': schedule: cron does not know this schedule (Bad minute), not '99 * * * *'",
        ),
        ("jobs:\n  a:\n    concurrency: many", "3: job 'a': concurrency: Input should be a valid integer, not 'many'"),
        ("jobs:\n  a:\n    batch_size: 0", "3: job 'a': batch_size: Input should be greater than or equal to 1, not 0"),
        ("jobs:\n  a:\n    status_checks: 60", "3: job 'a': status_checks: expected a list, not 60"),
        ("jobs:\n  a:\nnotify:\n  urls: mailto://a", "4: notify: urls: expected a list"),
        (
            "jobs:\n  a:\n    kind: fax",
            (
                "3: job 'a': kind: Input should be 'message', 'email', 'conversation', 'transcription', 'recording', "
                "'contact', 'user', 'location' or 'marts', not 'fax'"
            ),
        ),
        (
            "jobs:\n  a:\n    kind: email\n    recordings_url: /calls",
            "3: job 'a': recordings_url is for kind recording only",
        ),
        (
            "jobs:\n  a:\n    schedule: often",
            "3: job 'a': schedule: expected five fields, e.g. \"* * * * *\" for every minute, not 'often'",
        ),
        ("jobs:\n  a:\n    concurrency: !foo 3", "3: job 'a': concurrency: is not a value"),
        ("jobs:\n  a:\n    schedule: 2024-13-45", "3: job 'a': schedule: is not a value"),
        ("jobs: {a: [", "1: expected the node content, but found '<stream end>'"),
    ],
)
def test_a_mistake_is_refused_with_its_line_and_reason(path: Path, text: str, problem: str) -> None:
    assert problems(path, text) == [problem]


@pytest.mark.parametrize(("written", "meant"), [("off", "off"), ("no", "off"), ("on", "auto"), ("auto", "auto")])
def test_a_switch_is_what_yaml_makes_of_it(path: Path, written: str, meant: str) -> None:
    path.write_text(f"jobs:\n  a:\n    bulk: {written}\n")
    assert jobs.read(path).named["a"].bulk == meant


def test_every_mistake_is_listed(path: Path) -> None:
    assert len(problems(path, "jobs:\n  a:\n    x: 1\n    y: 2\n    batch_size: 0\n")) == 3


def test_a_file_that_is_not_there_names_the_cure(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="Set ETL_JOBS to your jobs file"):
        jobs.read(tmp_path / "nowhere.yaml")


def test_a_retention_is_read(path: Path) -> None:
    path.write_text("retention:\n  messages: 730 days\n  runs: 1 day\njobs:\n  a:\n")
    assert jobs.read(path).retention == Retention(messages=730, runs=1)


def test_without_one_everything_is_kept(path: Path) -> None:
    path.write_text("jobs:\n  a:\n")
    assert jobs.read(path).retention == Retention()


def test_the_least_retention_follows_the_checks(path: Path) -> None:
    path.write_text("retention:\n  messages: 3 days\njobs:\n  a:\n    status_checks: [86400]\n")
    assert jobs.read(path).retention == Retention(messages=3)

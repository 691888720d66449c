import json
import re
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
import requests
from sqlalchemy import Engine, text

from etl.app.checking import watching
from etl.config import jobs
from etl.config.settings import read
from etl.database import roles
from etl.receive.metrics import Metrics
from etl.sandbox.keys import SandboxKeys
from etl.state import runs
from etl.watch.metrics import text_of
from etl.watch.watcher import Watcher
from tests.command import Command
from tests.job import Job
from tests.login_role import login_role
from tests.receive.receiver import Launch

MONITORING = Path(__file__).parents[2] / "deploy" / "monitoring"
TYPE = re.compile(r"^# TYPE (\S+) (\S+)$", re.MULTILINE)
NAMES = re.compile(r"\betl_[a-z0-9_]+")


@pytest.fixture
def watcher(database_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Watcher]:
    monkeypatch.chdir(tmp_path)
    with watching(read({}, dotenv=None), jobs.read(None), database_url) as watcher:
        yield watcher


def series(etl: Command) -> dict[str, float]:
    done = etl("metrics")
    assert (0, "") == (done.returncode, done.stderr)
    lines = [line.rpartition(" ") for line in done.stdout.splitlines() if not line.startswith("#")]
    return {name: float(value) for name, _, value in lines}


def named() -> dict[str, str]:
    """Every series that rules or dashboard name, with where."""
    rules = (MONITORING / "alerts.yml").read_text()
    targets = [each for panel in dashboard() for each in panel["targets"]]
    exprs = {f"alerts.yml: {line}": line for line in rules.splitlines() if "etl_" in line}
    exprs |= {f"dashboard.json: {each['expr']}": each["expr"] for each in targets}
    return {name: where for where, expr in exprs.items() for name in NAMES.findall(expr)}


def dashboard() -> list[dict[str, list[dict[str, str]]]]:
    panels: list[dict[str, list[dict[str, str]]]] = json.loads((MONITORING / "dashboard.json").read_text())["panels"]
    return panels


def test_every_series_that_rules_and_dashboard_name_exists(watcher: Watcher) -> None:
    look = watcher.look()
    assert look is not None
    told = (Metrics().text() + text_of(look)).decode()
    types = dict(TYPE.findall(told))
    known = {*types, *(f"{name}_bucket" for name, kind in types.items() if kind == "histogram")}
    assert {} == {name: where for name, where in named().items() if name not in known}
    assert len(named()) > 15
    assert "_created" not in told


def test_every_panel_says_what_it_means() -> None:
    readme = (MONITORING / "README.md").read_text()
    assert [] == [each["title"] for each in dashboard() if f"| {each['title']} | {each['description']} |" not in readme]


@pytest.mark.skipif(shutil.which("promtool") is None, reason="promtool is not installed")
@pytest.mark.parametrize("arguments", [("check", "rules", "alerts.yml"), ("test", "rules", "alerts.test.yml")])
def test_promtool_finds_no_fault(arguments: tuple[str, ...]) -> None:
    done = subprocess.run(["promtool", *arguments], cwd=MONITORING, capture_output=True, text=True, check=False)  # noqa: S607
    assert 0 == done.returncode, done.stdout + done.stderr


@pytest.mark.skipif(shutil.which("promtool") is None, reason="promtool is not installed")
def test_the_metrics_are_named_as_prometheus_wants_it(etl: Command) -> None:
    told = etl("metrics").stdout
    done = subprocess.run(["promtool", "check", "metrics"], input=told, capture_output=True, text=True, check=False)  # noqa: S607
    assert (0, "") == (done.returncode, done.stderr)


def test_what_runs_did_is_counted(etl: Command, job: Job) -> None:
    etl("enqueue", *job.ids[:3])
    etl("enqueue", "not-there-1")
    etl("run", "--max-seconds", "20")
    told = series(etl)
    assert 3 == told['etl_items_total{job="messages",outcome="loaded"}']
    assert 3 == told['etl_api_answers_total{answer="2xx",job="messages"}']
    assert 1 <= told['etl_api_answers_total{answer="4xx",job="messages"}']
    assert 1 == told['etl_queue_items{kind="message",state="waiting"}']
    assert 1 == sum(told[name] for name in told if name.startswith("etl_runs_last_day") and "marts" not in name)
    assert not any(etl.environment["HIGHLEVEL_LOCATION_ID"] in name for name in told)


def test_totals_do_not_fall_when_runs_are_deleted(engine: Engine) -> None:
    with engine.begin() as connection:
        for loaded in (3, 4):
            connection.execute(
                text(
                    "INSERT INTO etl.runs (job, host, pid, version, started_at, loaded, answered_5xx) "
                    "VALUES ('messages', 'h', 1, '1', now() - interval '9 days', :loaded, 1)"
                ),
                {"loaded": loaded},
            )
        before = runs.totals(connection)
        assert (7, 2) == (before["messages"]["loaded"], before["messages"]["answered_5xx"])
        assert [1, 1, 0] == [runs.purge(connection, older_than_days=8, limit=1) for _ in range(3)]
        assert (0, before) == (runs.count(connection), runs.totals(connection))


def test_a_look_serves_for_a_while(watcher: Watcher) -> None:
    assert watcher.look() is watcher.look()


def test_looking_takes_two_percent_of_the_time_at_most(watcher: Watcher) -> None:
    # It is asked at 0, 152 and 154 seconds; a look takes 3, and the next one none.
    times = iter((0.0, 0.0, 3.0, 152.0, 154.0, 154.0, 154.0))
    watcher.clock = lambda: next(times)
    first, second, third = (watcher.look() for _ in range(3))
    assert first is second
    assert second is not third


@pytest.fixture
def launch(tmp_path: Path) -> Launch:
    return Launch(SandboxKeys.load_or_create(tmp_path, rsa_bits=2048), tmp_path)


def test_the_receiver_tells_of_the_whole_work(launch: Launch, database_url: str) -> None:
    with launch(database_url) as receiver:
        told = receiver.get("/metrics").text
    assert "etl_webhook_ready 1.0" in told
    assert "etl_work_up 1.0" in told
    assert "etl_build_info{" in told


def test_a_receiver_that_may_not_look_tells_of_itself(launch: Launch, engine: Engine) -> None:
    with login_role(engine, roles.grant_receiver) as (_, url), launch(url) as receiver:
        told = receiver.get("/metrics").text
        log = receiver.log
    assert "etl_webhook_ready 1.0" in told
    assert "etl_work_up 0.0" in told
    assert 1 == log.count("work_not_watched")


def test_a_follower_answers_that_it_lives(etl: Command) -> None:
    with etl.start("run", "--follow", "--health-port", "0") as process:
        assert process.stderr is not None
        found = None
        while found is None:
            found = re.search(r"http://127\.0\.0\.1:\d+", process.stderr.readline())
        alive = requests.get(f"{found[0]}/healthz", timeout=10)
        told = requests.get(f"{found[0]}/metrics", timeout=10)
        nothing = requests.get(f"{found[0]}/", timeout=10)
        process.terminate()
        process.communicate(timeout=60)
    assert (200, "alive\n", 200, 404) == (alive.status_code, alive.text, told.status_code, nothing.status_code)
    assert "etl_work_up 1.0" in told.text
    assert 0 == process.returncode


def test_a_follower_that_is_stopped_as_it_starts_ends_in_good_order(etl: Command) -> None:
    with etl.start("run", "--follow", "--health-port", "0") as process:
        assert process.stderr is not None
        while "Answering" not in process.stderr.readline():
            pass
        process.terminate()
        process.communicate(timeout=60)
    assert 0 == process.returncode


def test_a_port_that_is_taken_is_reported(etl: Command) -> None:
    done = etl("run", "--follow", "--health-port", "nowhere:1")
    assert 2 == done.returncode
    assert done.stderr.splitlines()[-1].startswith("Error: --health-port nowhere:1: nothing can listen there (")

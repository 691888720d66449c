"""``etl run --processes``: real processes, one output."""

import json
import os
import signal
from collections import Counter
from pathlib import Path
from unittest.mock import ANY

import pytest

from etl.app.processes import added, shares, together
from etl.cli.run import exit_code
from etl.sandbox.server import RunningSandbox
from etl.state.outcomes import RunOutcome
from etl.state.runs import RunCounts
from etl.worker.run import WORKING, Report, WorkerState
from tests.command import Command, Process
from tests.job import Job
from tests.waiting import await_, releasing

RUNNING = "SELECT pid FROM etl.runs WHERE finished_at IS NULL AND job <> 'marts'"


def is_alive(pid: int) -> bool:
    """Whether it runs; one that nobody has waited for yet does not."""
    try:
        return Path(f"/proc/{pid}/stat").read_text(encoding="ascii").rsplit(")", 1)[1].split()[0] != "Z"
    except OSError:
        return False


def hold_all(job: Job, sandbox: RunningSandbox) -> None:
    """Queue messages whose answers are held, of a location that is known to have no limit that matters."""
    job.execute(
        "INSERT INTO etl.rate_limits (location_id, max_requests, heard_at) VALUES (:location_id, 1000000, now())",
        location_id=job.location_id,
    )
    sandbox.faults(shares={"hold": 1.0})
    job.enqueue(*job.ids)


def is_gone_after_a_signal(process: Process) -> bool:
    process.send_signal(signal.SIGTERM)
    return process.poll() is not None


def report(outcome: RunOutcome, *, loaded: int = 0, seconds: float = 1.0) -> Report:
    return Report(outcome, RunCounts(loaded=loaded), seconds)


@pytest.mark.parametrize(
    (RunOutcome.LIMIT, "parts"), [(10, [3, 3, 2, 2]), (2, [1, 1]), (4, [1, 1, 1, 1]), (None, [None, None, None, None])]
)
def test_a_limit_is_shared_out_exactly(limit: int | None, parts: list[int | None]) -> None:
    assert shares(limit, 4) == parts


@pytest.mark.parametrize(
    ("outcomes", "together"),
    [
        ([RunOutcome.DRAINED, RunOutcome.LIMIT], RunOutcome.DRAINED),
        ([RunOutcome.DRAINED, RunOutcome.PAUSED], RunOutcome.PAUSED),
        ([RunOutcome.DRAINED, RunOutcome.STOPPED], RunOutcome.STOPPED),
        ([RunOutcome.LOST, RunOutcome.STOPPED], RunOutcome.LOST),
        ([RunOutcome.LOST, RunOutcome.API_UNREACHABLE], RunOutcome.API_UNREACHABLE),
    ],
)
def test_several_reports_end_as_the_worst_of_them(outcomes: list[RunOutcome], together: RunOutcome) -> None:
    assert added([report(outcome) for outcome in outcomes]).outcome == together


def test_a_worker_that_asked_for_one_silent_location_proves_nothing_about_others() -> None:
    away = Report(RunOutcome.API_UNREACHABLE, RunCounts(), 1.0, {"unanswered": {"x"}}, "…")
    assert added([away, report(RunOutcome.DRAINED, loaded=5)]).outcome == RunOutcome.PAUSED
    assert added([away, report(RunOutcome.API_UNREACHABLE, loaded=5)]).outcome == RunOutcome.API_UNREACHABLE


def test_reports_are_added_and_last_as_long_as_the_longest() -> None:
    one = Report(RunOutcome.PAUSED, RunCounts(loaded=2, drift=Counter({"a": 1})), 3.0, {"paused": {"x"}})
    other = Report(RunOutcome.PAUSED, RunCounts(loaded=3, drift=Counter({"a": 2})), 2.0, {"paused": {"y"}})
    assert added([one, other]) == Report(
        RunOutcome.PAUSED, RunCounts(loaded=5, drift=Counter({"a": 3})), 3.0, {"paused": {"x", "y"}}
    )


def test_workers_rest_only_if_all_do() -> None:
    resting = WorkerState("resting", {"rate": {"x"}}, 3.0)
    assert together([resting, WORKING]) == WORKING
    assert together([resting, WorkerState("resting", {"rate": {"y"}})]) == WorkerState(
        "resting", {"rate": {"x", "y"}}, 3.0
    )


def test_a_lost_worker_makes_exit_code_1() -> None:
    assert exit_code(report(RunOutcome.LOST, loaded=5)) == 1


def test_several_processes_share_the_work_and_print_one_summary(
    job: Job, etl: Command, sandbox: RunningSandbox
) -> None:
    hold_all(job, sandbox)
    # So few at a time that the first process leaves some to the others.
    (etl.directory / "jobs.yaml").write_text("jobs:\n  messages:\n    batch_size: 10\n")
    with etl.start("run", "--processes", "3", "--json") as process:
        await_(lambda: len(job.rows(RUNNING)) == 3)
        with releasing(sandbox):
            out, _ = process.communicate(timeout=90)
    summary, _marts = map(json.loads, out.splitlines())
    assert (process.returncode, summary["loaded"], summary["outcome"]) == (0, len(job.ids), RunOutcome.DRAINED)
    assert job.value("SELECT count(*) FROM highlevel.messages") == len(job.ids)
    assert job.value("SELECT count(DISTINCT pid) FROM etl.runs") == 3


def test_a_limit_is_for_all_processes_together(job: Job, etl: Command) -> None:
    job.enqueue(*job.ids)
    done = etl.alone("run", "--processes", "3", "--limit", "10", "--json")
    assert json.loads(done.stdout)["loaded"] == job.value("SELECT count(*) FROM highlevel.messages") == 10


def test_each_job_has_one_summary_of_all_processes(job: Job, etl: Command) -> None:
    (etl.directory / "jobs.yaml").write_text("jobs:\n  a:\n    kind: message\n  b:\n    kind: conversation\n")
    job.enqueue(*job.ids[:5])
    summaries = [json.loads(line) for line in etl.alone("run", "--processes", "2", "--json").stdout.splitlines()]
    assert [(each["job"], each["loaded"]) for each in summaries] == [("a", 5), ("b", 0), ("marts", ANY)]


def test_a_dry_run_needs_no_processes(job: Job, etl: Command) -> None:
    job.enqueue(*job.ids[:5])
    assert etl.alone("run", "--processes", "3", "--dry-run").stdout.startswith("messages: 5 due")
    assert job.value("SELECT count(*) FROM etl.runs") == 0


def test_an_error_that_stops_every_process_is_reported_once(etl: Command) -> None:
    done = etl.alone("run", "--processes", "3", HIGHLEVEL_TOKEN="", HIGHLEVEL_LOCATION_ID="")
    assert done.returncode == 2
    assert done.stderr.count("There is no token") == 1
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize("count", ["1", "2"])
def test_an_address_that_is_wrong_for_all_is_reported_once(
    job: Job, etl: Command, sandbox: RunningSandbox, count: str
) -> None:
    (etl.directory / "jobs.yaml").write_text("jobs:\n  a:\n  b:\n")
    sandbox.faults(shares={"redirect": 1.0})
    job.enqueue(*job.ids)
    done = etl.alone("run", "--processes", count)
    assert done.returncode == 2
    assert done.stderr.count("The API refuses every request") == 1


def test_a_signal_ends_all_processes_in_good_order(job: Job, etl: Command, sandbox: RunningSandbox) -> None:
    hold_all(job, sandbox)
    with etl.start("run", "--processes", "2") as process:
        sandbox.wait_for(held=16)
        # A service manager signals each process; a terminal, too.
        for pid in (process.pid, *(pid for (pid,) in job.rows(RUNNING))):
            os.kill(pid, signal.SIGTERM)
        assert process.stderr is not None
        assert "Finishing" in process.stderr.readline()
        with releasing(sandbox):
            out, err = process.communicate(timeout=90)
    asked = sandbox.stats()["requests"]
    assert (process.returncode, err) == (0, "")
    assert f"messages: {asked} loaded" in out
    # They may have asked for everything before they noticed.
    assert job.rows("SELECT count(*), coalesce(max(attempt), 0), count(lease_id) FROM etl.message_queue") == [
        (len(job.ids) - asked, 0, 0)
    ]


def test_a_second_signal_ends_all_processes_at_once(job: Job, etl: Command, sandbox: RunningSandbox) -> None:
    hold_all(job, sandbox)
    with etl.start("run", "--processes", "2") as process:
        sandbox.wait_for(held=16)
        workers = [pid for (pid,) in job.rows(RUNNING)]
        process.send_signal(signal.SIGTERM)
        assert process.stderr is not None
        assert "Finishing" in process.stderr.readline()
        # Signals within a second are one.
        await_(lambda: is_gone_after_a_signal(process))
        process.communicate()
    assert process.returncode == -signal.SIGTERM
    await_(lambda: not any(map(is_alive, workers)))


def test_processes_whose_parent_is_killed_end_in_good_order(job: Job, etl: Command, sandbox: RunningSandbox) -> None:
    hold_all(job, sandbox)
    with etl.start("run", "--processes", "2", "--follow") as process:
        sandbox.wait_for(held=16)
        process.kill()
        process.wait()
        with releasing(sandbox):
            await_(lambda: job.rows("SELECT outcome FROM etl.runs") == [(RunOutcome.STOPPED,)] * 4)
        process.communicate()
    # They may have fetched everything before they noticed.
    assert job.rows("SELECT count(lease_id), coalesce(max(attempt), 0) FROM etl.message_queue") == [(0, 0)]


def test_a_killed_process_is_reported_and_the_others_go_on(job: Job, etl: Command, sandbox: RunningSandbox) -> None:
    (etl.directory / "jobs.yaml").write_text("jobs:\n  a:\n    kind: message\n  b:\n    kind: conversation\n")
    hold_all(job, sandbox)
    with etl.start("run", "--processes", "2", "--no-quiet") as process:
        sandbox.wait_for(held=16)
        os.kill(job.rows(RUNNING)[0][0], signal.SIGKILL)
        with releasing(sandbox):
            out, err = process.communicate(timeout=90)
    assert process.returncode == 1
    assert "A worker was killed (SIGKILL). Its items are free again after 45 seconds." in err
    assert [line.rpartition(" ")[2] for line in out.splitlines() if line[:2] in ("a:", "b:")] == ["(lost)", "(drained)"]
    loaded = job.value("SELECT count(*) FROM highlevel.messages")
    # Nothing is lost: items of the killed process wait until their lease ends.
    assert loaded + job.value("SELECT count(*) FROM etl.message_queue WHERE lease_id IS NOT NULL") == len(job.ids)


def test_processes_that_crash_are_reported(job: Job, etl: Command) -> None:
    job.enqueue(*job.ids)
    crash = "import os, sys\nif '--multiprocessing-fork' in sys.orig_argv: os._exit(7)\n"
    (etl.directory / "sitecustomize.py").write_text(crash)
    done = etl.alone("run", "--processes", "2", PYTHONPATH=str(etl.directory))
    assert (done.returncode, done.stderr.count("A worker crashed (exit code 7).")) == (1, 2)
    assert job.value("SELECT count(*) FROM etl.message_queue") == len(job.ids)


def test_a_killed_follower_stops_the_others(job: Job, etl: Command) -> None:
    with etl.start("run", "--processes", "2", "--follow") as process:
        await_(lambda: len(job.rows(RUNNING)) == 2)
        os.kill(job.rows(RUNNING)[0][0], signal.SIGKILL)
        _, err = process.communicate(timeout=90)
    assert process.returncode == 1
    assert "A worker was killed (SIGKILL)" in err
    assert job.value("SELECT count(*) FROM etl.runs WHERE outcome = 'stopped' AND job <> 'marts'") == 1


def test_followers_are_announced_once(job: Job, etl: Command) -> None:
    with etl.start("run", "--processes", "2", "--follow") as process:
        await_(lambda: len(job.rows(RUNNING)) == 2)
        job.enqueue(*job.ids[:5])
        await_(lambda: job.value("SELECT count(*) FROM highlevel.messages") == 5)
        process.send_signal(signal.SIGINT)
        out, err = process.communicate(timeout=90)
    assert process.returncode == 0
    assert err.count("following messages") == 1
    assert json.loads(out.splitlines()[0])["loaded"] == 5

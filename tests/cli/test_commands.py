"""The command line as a user meets it: real processes, their output and exit codes."""

import json
import signal
from pathlib import Path
from subprocess import CompletedProcess

import pytest
from sqlalchemy import make_url

from etl.cli import COMMANDS
from etl.database.urls import parse_url, shown
from etl.sandbox.server import RunningSandbox
from tests.command import Command, Process
from tests.job import Job
from tests.servers import OwnServer
from tests.waiting import await_, releasing


def outcome(done: CompletedProcess[str]) -> tuple[int, str]:
    """Exit code and everything that was printed; a traceback is never right."""
    assert "Traceback" not in done.stderr
    return done.returncode, done.stdout + done.stderr


def test_help_lists_every_command(etl: Command) -> None:
    code, printed = outcome(etl("--help"))
    assert code == 0
    assert all(f"\n  {name} " in printed for name in COMMANDS)


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_has_help(etl: Command, command: str) -> None:
    code, printed = outcome(etl(command, "--help"))
    assert (code, "Usage: etl" in printed or "Usage: python -m etl" in printed) == (0, True)


def test_an_unknown_command_is_a_usage_error(etl: Command) -> None:
    assert outcome(etl("fly"))[0] == 2


@pytest.mark.parametrize("value", ["nan", "inf", "0", "soon"])
def test_what_is_no_number_of_seconds_is_a_usage_error(etl: Command, value: str) -> None:
    code, printed = outcome(etl("run", "--max-seconds", value))
    assert (code, "Invalid value for '--max-seconds'" in printed) == (2, True)


def test_queue_run_and_status(job: Job, etl: Command) -> None:
    assert outcome(etl("enqueue", *job.ids[:3])) == (0, "3 queued\n")
    assert outcome(etl("enqueue", "-", stdin=f"{job.ids[2]}\r\n\n {job.ids[3]} \n")) == (
        0,
        "1 queued, 1 already queued\n",
    )
    code, printed = outcome(etl("run", "messages"))
    assert (code, printed.startswith("messages: 4 loaded in ")) == (0, True)
    code, printed = outcome(etl("status"))
    assert (code, "queue: empty\ndead letters: none\n" in printed) == (0, True)


@pytest.mark.parametrize("command", ["dead", "events"])
def test_an_age_that_no_row_can_have_is_a_usage_error(etl: Command, command: str) -> None:
    code, printed = outcome(etl(command, "purge", "--older-than", "1e30", "--yes"))
    assert (code, "0<=x<=36500" in printed) == (2, True)


@pytest.mark.parametrize("bad", ["", "  ", "a b", "../x", "é", "x" * 200])
def test_a_bad_id_is_refused_at_the_door(etl: Command, job: Job, bad: str) -> None:
    code, printed = outcome(etl("enqueue", job.ids[0], bad))
    assert (code, "an id is 1 to 128 letters" in printed or "an empty id" in printed) == (2, True)
    assert (printed.endswith(". Nothing was queued.\n"), "problems" in printed) == (True, False)
    assert job.value("SELECT count(*) FROM etl.message_queue") == 0


def test_standard_input_that_is_not_text_is_refused(etl: Command) -> None:
    with etl.start("enqueue", "-") as process:
        process.typed.buffer.write(b"\xff\xfe")
        _, err = process.communicate()
    assert (process.returncode, "not UTF-8" in err) == (2, True)


def test_a_summary_can_be_json(job: Job, etl: Command) -> None:
    job.enqueue(job.ids[0])
    code, printed = outcome(etl("run", "--json"))
    report, marts = map(json.loads, printed.splitlines())
    assert (code, report["job"], report["outcome"], report["loaded"]) == (0, "messages", "drained", 1)
    assert (marts["job"], marts["outcome"]) == ("marts", "drained")


def test_status_can_be_json(job: Job, etl: Command) -> None:
    job.enqueue(job.ids[0])
    code, printed = outcome(etl("status", "--json"))
    report = json.loads(printed)
    assert (code, report["queue"][0]["items"], report["dead_letters"]) == (0, 1, {})


def test_a_dry_run_touches_nothing(job: Job, etl: Command, sandbox: RunningSandbox) -> None:
    job.enqueue(job.ids[0])
    assert outcome(etl("run", "--dry-run")) == (0, "messages: 1 due, nothing fetched\n  (default location): 1\n")
    assert (sandbox.stats()["requests"], job.value("SELECT max(attempt) FROM etl.message_queue")) == (0, 0)


def test_items_that_died_make_exit_code_1(job: Job, etl: Command, sandbox: RunningSandbox) -> None:
    sandbox.faults(ids={job.ids[0]: "html"})
    job.enqueue(*job.ids[:2])
    code, printed = outcome(etl("run"))
    assert (code, "1 dead" in printed, "etl dead list" in printed) == (1, True, True)


def test_a_refused_token_makes_exit_code_3(job: Job, etl: Command) -> None:
    job.enqueue(job.ids[0])
    code, printed = outcome(etl("run", HIGHLEVEL_TOKEN="pit-revoked"))
    assert (code, job.location_id in printed, "pit-revoked" in printed) == (3, True, False)


def test_an_api_that_is_away_makes_exit_code_3(job: Job, etl: Command) -> None:
    job.enqueue(*job.ids[:20])
    assert outcome(etl("run", HIGHLEVEL_BASE_URL="http://127.0.0.1:9"))[0] == 3


@pytest.mark.parametrize(
    ("address", "says"),
    [
        ("http://127.0.0.1:9", "nobody listens at that address"),
        ("http://nowhere.invalid:80", "the name of the host is not known"),
    ],
)
def test_a_wrong_address_of_the_api_is_named_with_its_setting(job: Job, etl: Command, address: str, says: str) -> None:
    job.enqueue(*job.ids[:20])
    printed = outcome(etl("run", HIGHLEVEL_BASE_URL=address))[1] + outcome(etl("doctor", HIGHLEVEL_BASE_URL=address))[1]
    assert (printed.count(f"HIGHLEVEL_BASE_URL is {address}"), says in printed) == (2, True)


def test_the_doctor_takes_a_page_for_no_answer_of_the_api(etl: Command, sandbox: RunningSandbox) -> None:
    sandbox.faults(shares={"html": 1.0})
    code, printed = outcome(etl("doctor"))
    assert (code, f"HIGHLEVEL_BASE_URL is {sandbox.url}" in printed) == (1, True)


def test_a_missing_password_is_a_matter_of_configuration(own_server: OwnServer, etl: Command) -> None:
    own_server.ask_for_passwords()
    code, printed = outcome(etl("run", DATABASE_URL=own_server.url))
    assert (code, len(printed.splitlines()), "password" in printed) == (2, 1, True)


def test_dead_letters_are_listed_shown_and_retried(job: Job, etl: Command, sandbox: RunningSandbox) -> None:
    sandbox.faults(ids={job.ids[0]: "html"})
    job.enqueue(job.ids[0])
    etl("run")
    sandbox.faults()
    code, printed = outcome(etl("dead", "list"))
    assert (code, job.ids[0] in printed, "1 not_json" in printed) == (0, True, True)
    assert "<html" in outcome(etl("dead", "show", job.ids[0]))[1].lower()
    assert outcome(etl("dead", "retry", job.ids[0])) == (0, "1 queued again\n")
    assert outcome(etl("run"))[0] == 0
    assert outcome(etl("dead", "list")) == (0, "no dead letters\n")


def test_dead_letters_are_purged_when_confirmed(job: Job, etl: Command, sandbox: RunningSandbox) -> None:
    sandbox.faults(ids={job.ids[0]: "html"})
    job.enqueue(job.ids[0])
    etl("run")
    code, printed = outcome(etl("dead", "purge", "--all", stdin="y\n"))
    assert (code, "Delete 1 dead letter for good" in printed, "add --yes" in printed) == (2, True, True)
    assert outcome(etl("dead", "purge", "--all", "--yes")) == (0, "1 deleted\n")


@pytest.mark.parametrize("what", [("dead", "retry"), ("dead", "purge", "--yes"), ("events", "replay")])
def test_an_id_that_nobody_knows_is_no_success(etl: Command, what: tuple[str, ...]) -> None:
    code, printed = outcome(etl(*what, "nonsense"))
    assert (code, "nonsense" in printed) == (1, True)


def test_a_location_that_nobody_knows_is_not_paused(etl: Command) -> None:
    assert outcome(etl("locations", "pause", "nonsense"))[0] == 2


def test_an_item_that_no_job_takes_is_not_queued(etl: Command) -> None:
    code, printed = outcome(etl("enqueue", "--kind", "email", "EML1"))
    assert (code, "No job in jobs.yaml takes items of kind email" in printed) == (2, True)


def test_items_that_no_job_takes_are_reported_by_status(job: Job, etl: Command) -> None:
    job.execute("INSERT INTO etl.message_queue (kind, message_id) VALUES ('email', 'EML1')")
    assert "No job in jobs.yaml takes items of kind email: they wait." in outcome(etl("status"))[1]


def test_a_database_that_takes_no_writes_is_distinguished(job: Job, etl: Command) -> None:
    job.execute(
        "DO $$ BEGIN EXECUTE format('ALTER DATABASE %I SET default_transaction_read_only = on', "
        "current_database()); END $$"
    )
    code, printed = outcome(etl("run"))
    assert (code, "Postgres takes no writes" in printed) == (3, True)


@pytest.mark.parametrize("role", ["etl", "highlevel"])
def test_a_role_named_like_a_schema_finds_no_differences(job: Job, etl: Command, role: str) -> None:
    url = make_url(etl.environment["DATABASE_URL"])
    job.execute(f"DO $$ BEGIN CREATE ROLE {role}; EXCEPTION WHEN duplicate_object THEN NULL; END $$")
    job.execute(f"ALTER ROLE {role} LOGIN SUPERUSER PASSWORD '{url.password or 'none'}'")
    theirs = url.set(username=role).render_as_string(hide_password=False)
    try:
        assert outcome(etl("db", "check", DATABASE_URL=theirs)) == (0, "models and schema agree\n")
    finally:
        job.execute(f"DROP ROLE {role}")


def test_differences_are_reported_in_plain_words(job: Job, etl: Command) -> None:
    job.execute("ALTER TABLE highlevel.messages DROP COLUMN alt_id")
    code, printed = outcome(etl("db", "check"))
    assert code == 1
    assert "column highlevel.messages.alt_id is missing in the database" in printed


def test_retrying_needs_to_know_which(etl: Command) -> None:
    assert outcome(etl("dead", "retry")) == (2, "Error: Say which: ids, --cause or --all\n")


def test_several_upgrades_at_once_all_succeed(etl: Command, empty_database_url: str) -> None:
    processes = [etl.start("db", "upgrade", DATABASE_URL=empty_database_url) for _ in range(3)]
    for process in processes:
        process.communicate(timeout=60)
    assert [process.returncode for process in processes] == [0, 0, 0]
    assert outcome(etl("db", "check", DATABASE_URL=empty_database_url))[0] == 0


def test_check_agrees_and_disagrees(job: Job, etl: Command) -> None:
    assert outcome(etl("db", "check")) == (0, "models and schema agree\n")
    job.execute("ALTER TABLE highlevel.messages ADD COLUMN mood text")
    assert outcome(etl("db", "check"))[0] == 1


def test_the_url_is_one_that_psql_takes(etl: Command) -> None:
    code, printed = outcome(etl("db", "url"))
    assert (code, printed.startswith("postgresql://")) == (0, True)


PROBLEMS = {
    "not a url": ({"DATABASE_URL": "nonsense"}, 2, "DATABASE_URL is not a URL"),
    "another database": ({"DATABASE_URL": "mysql://u:marked-secret@h/d"}, 2, "only PostgreSQL is supported"),
    "nobody there": ({"DATABASE_URL": "postgresql://u:marked-secret@127.0.0.1:9/d"}, 3, "Postgres cannot be reached"),
    "no such database": ({"DATABASE_URL": "{server}/nowhere"}, 2, "does not exist"),
    "a setting of libpq": ({"DATABASE_URL": "{server}?sslmode=bogus"}, 2, 'invalid sslmode value: "bogus"'),
    "another setting": ({"DATABASE_URL": "{server}?target_session_attrs=bogus"}, 2, "Check DATABASE_URL"),
    "a bad number": ({"DATABASE_URL": "{server}?connect_timeout=soon"}, 2, "Check DATABASE_URL"),
    "an unknown setting": ({"DATABASE_URL": "{server}?speed=9"}, 2, "Check DATABASE_URL"),
    "no token": ({"HIGHLEVEL_TOKEN": ""}, 2, "HIGHLEVEL_TOKEN is not set"),
    "no jobs file": ({"ETL_JOBS": "nowhere.yaml"}, 2, "nowhere.yaml cannot be read"),
    "a bad level": ({"LOG_LEVEL": "loud"}, 2, "LOG_LEVEL"),
}


@pytest.mark.parametrize(("environment", "code", "says"), PROBLEMS.values(), ids=PROBLEMS.keys())
def test_what_is_set_up_wrongly_is_one_clear_message(
    etl: Command, database_url: str, environment: dict[str, str], code: int, says: str
) -> None:
    server = database_url + ("&" if "?" in database_url else "?")
    other = {
        name: value.replace("{server}/nowhere", _elsewhere(database_url)).replace("{server}?", server)
        for name, value in environment.items()
    }
    got, printed = outcome(etl("run", **other))
    assert (got, says in printed, "marked-secret" in printed) == (code, True, False)


def test_a_database_that_cannot_be_used_is_named_without_its_password(etl: Command, database_url: str) -> None:
    away = "postgresql://u:marked-secret@127.0.0.1:9/d"
    for url in (away, _elsewhere(database_url)):
        printed = outcome(etl("run", DATABASE_URL=url))[1]
        assert printed.endswith(f"(database: {shown(parse_url(url))})\n"), printed
        assert "marked-secret" not in printed


def _elsewhere(url: str) -> str:
    return make_url(url).set(database="nowhere").render_as_string(hide_password=False)


SECRETS = {
    "an @ in the password": "postgresql://u:p@marked-secret@127.0.0.1:9/d",
    "an @ and a slash": "postgresql://u:p@marked-secret/x@127.0.0.1:9/d",
    "a slash and an @": "postgresql://u:x/p@marked-secret@127.0.0.1:9/d",
    "an @ and a question mark": "postgresql://u:p@marked-secret?x=y@127.0.0.1:9/d",
    "an @ and a colon": "postgresql://u:p@marked-secret:x@127.0.0.1:9/d",
    "a slash in the user": "postgresql://u/v:marked-secret@127.0.0.1:9/d",
    "a password in the query": "postgresql://u@127.0.0.1:9/d?password=marked-secret",
    "one with a slash": "postgresql://u@127.0.0.1:9/d?password=marked-secret/x&sslpassword=marked-secret",
}


@pytest.mark.parametrize("url", SECRETS.values(), ids=SECRETS.keys())
@pytest.mark.parametrize("command", [("doctor", "--offline"), ("run",), ("db", "upgrade"), ("serve",)])
def test_no_part_of_a_password_is_printed(etl: Command, url: str, command: tuple[str, ...]) -> None:
    # The receiver starts without a database, so something else stops it.
    code, printed = outcome(
        etl(*command, DATABASE_URL=url, WEBHOOK_RSA_PUBLIC_KEY="nowhere.pem" if command == ("serve",) else "")
    )
    assert (code > 0, "marked-secret" in printed) == (True, False), printed


def test_the_doctor_names_the_database_without_a_password(etl: Command, database_url: str) -> None:
    url = make_url(database_url).update_query_dict({"password": "marked-secret/x", "application_name": "marked-secret"})
    told = outcome(etl("doctor", "--offline", DATABASE_URL=url.render_as_string(hide_password=False)))[1]
    assert (str(url.database) in told, "marked-secret" in told) == (True, False), told


def test_psql_is_given_no_secret_as_an_argument(etl: Command, tmp_path: Path) -> None:
    program = tmp_path / "psql"
    program.write_text('#!/bin/sh\necho "given $*"\necho "PGPASSWORD is $PGPASSWORD"\n')
    program.chmod(0o700)
    for given in ("u:sec%2Fret@h/d?sslmode=require", "u@h/d?password=sec/ret&sslmode=require&sslpassword=other"):
        told = etl.alone("db", "psql", "-c", "SELECT 1", DATABASE_URL=f"postgresql://{given}", PATH=str(tmp_path))
        assert told.stdout == "given postgresql://u@h/d?sslmode=require -c SELECT 1\nPGPASSWORD is sec/ret\n", (
            told.stderr
        )


def test_psql_executes_nothing_that_somebody_planted_in_public(etl: Command, job: Job) -> None:
    job.execute(
        "CREATE FUNCTION public.differ(text, varchar) RETURNS boolean LANGUAGE sql AS 'SELECT false'; "
        "CREATE OPERATOR public.= (LEFTARG = text, RIGHTARG = varchar, FUNCTION = public.differ)"
    )
    told = etl.alone("db", "psql", "-Atc", "SELECT 'a'::text = 'a'::varchar, count(*) FROM messages")
    assert told.stdout == "t|0\n", told.stderr


def test_a_broken_jobs_file_names_file_and_line(etl: Command) -> None:
    (etl.directory / "jobs.yaml").write_text("jobs:\n  a:\n    speed: 9\n")
    code, printed = outcome(etl("run"))
    assert (code, "jobs.yaml:3: job 'a': unknown key 'speed'" in printed) == (2, True)


def test_a_signal_stops_all_jobs_and_not_only_the_first(job: Job, etl: Command, sandbox: RunningSandbox) -> None:
    sandbox.faults(shares={"hold": 1.0})
    (etl.directory / "jobs.yaml").write_text("jobs:\n  a:\n  b:\n")
    job.enqueue(*job.ids[:200])
    with etl.start("run") as process:
        sandbox.wait_for(held=8)
        process.send_signal(signal.SIGTERM)
        with releasing(sandbox):
            process.communicate(timeout=90)
    assert job.rows("SELECT job, outcome FROM etl.runs") == [("a", "stopped")]


def follow_two_jobs(etl: Command, job: Job) -> Process:
    """A follower of two jobs, which have begun, as has the job of the marts."""
    (etl.directory / "jobs.yaml").write_text("jobs:\n  a:\n  b:\n")
    process = etl.start("run", "--follow")
    await_(lambda: job.value("SELECT count(*) FROM etl.runs") == 3)
    return process


def test_following_without_a_job_follows_all_until_a_signal(job: Job, etl: Command) -> None:
    with follow_two_jobs(etl, job) as process:
        job.enqueue(*job.ids[:30])
        await_(lambda: job.value("SELECT count(*) FROM highlevel.messages") == 30)
        process.send_signal(signal.SIGTERM)
        out, err = process.communicate(timeout=90)
    assert (process.returncode, [json.loads(line)["job"] for line in out.splitlines()]) == (0, ["a", "b", "marts"])
    says = [json.loads(line).get("says", "") for line in err.splitlines()]
    assert says[0].startswith("following a, b: loads what is queued in ")
    assert job.rows("SELECT job, outcome FROM etl.runs ORDER BY job") == [
        (name, "stopped") for name in ("a", "b", "marts")
    ]


def test_a_fault_that_one_follower_meets_stops_all(job: Job, etl: Command, sandbox: RunningSandbox) -> None:
    sandbox.faults(shares={"redirect": 1.0})
    with follow_two_jobs(etl, job) as process:
        job.enqueue(job.ids[0])
        out, _ = process.communicate(timeout=90)
    assert (process.returncode, "check HIGHLEVEL_BASE_URL" in out) == (2, True)
    outcomes = job.rows("SELECT outcome FROM etl.runs WHERE job <> 'marts'")
    # The other follower may claim the item, which is put back, before it is told to stop.
    assert ("misconfigured",) in outcomes
    assert set(outcomes) <= {("misconfigured",), ("stopped",)}


def test_a_kind_that_is_redirected_leaves_the_jobs_after_it_alone(
    job: Job, etl: Command, sandbox: RunningSandbox
) -> None:
    (etl.directory / "jobs.yaml").write_text(
        "jobs:\n  messages:\n  contacts:\n    kind: contact\n  users:\n    kind: user\n"
    )
    contacts = sandbox.dataset.ids_of("contact", job.location_id)
    user = sandbox.dataset.ids_of("user", job.location_id)[0]
    sandbox.faults(ids=dict.fromkeys(contacts, "redirect"))
    job.enqueue(job.ids[0])
    job.enqueue(*contacts[:3], kind="contact")
    job.enqueue(user, kind="user")
    done = etl("run")
    assert (done.returncode, "The API does not answer properly" in done.stderr) == (0, True)
    assert set(job.queued()) >= {("contact", each) for each in contacts[:3]}
    assert job.value("SELECT count(*) FROM highlevel.users WHERE user_id = :id", id=user) == 1


def test_a_lost_run_is_reported_until_its_job_runs_again(job: Job, etl: Command) -> None:
    job.execute(
        "INSERT INTO etl.runs (job, host, pid, version, started_at, seen_at, finished_at) "
        "SELECT job, '', 1, '', now() - interval '1 hour', now() - interval '1 hour', finished_at "
        "FROM unnest(ARRAY['messages', 'gone']) AS job, unnest(ARRAY[NULL, now() - interval '1 hour']) AS finished_at"
    )
    for _ in range(6):
        job.enqueue(job.ids[0])
        etl("run")
    lines = etl("status").stdout.partition("# last runs\n")[2].splitlines()
    lost = [line for line in lines if "killed?" in line or "failed" in line]
    assert ("killed?" in lines[1], sorted(lost)) == (False, sorted(lines[-2:]))
    assert ["\tgone\t" in line for line in lost] == [True, True]


def test_a_run_that_does_nothing_says_nothing_to_cron(job: Job, etl: Command) -> None:
    assert outcome(etl("run")) == (0, "")
    assert "messages: 0 loaded" in outcome(etl("run", "--no-quiet"))[1]
    job.enqueue(job.ids[0])
    assert "messages: 1 loaded" in outcome(etl("run"))[1]


def test_cron_hears_of_a_paused_location_when_that_changes(job: Job, etl: Command) -> None:
    job.enqueue(job.ids[0])
    job.enqueue("M2", location_id="LOC2")
    first, second = (etl("run", HIGHLEVEL_TOKEN="pit-revoked") for _ in range(2))
    assert [(3, True), (3, False)] == [(done.returncode, bool(done.stdout + done.stderr)) for done in (first, second)]
    job.enqueue("M3", location_id="LOC3")
    assert "LOC3" in etl("run", HIGHLEVEL_TOKEN="pit-revoked").stderr


def test_a_run_says_why_items_wait_and_not_that_they_are_paused(job: Job, etl: Command) -> None:
    job.enqueue("M2", location_id="LOC2")
    printed = outcome(etl("run"))[1]
    assert ("(not connected)" in printed, "paused" in printed) == (True, False)
    assert "\tnot connected\t" in etl("status").stdout


def test_status_knows_a_healthy_follower_from_a_killed_one(job: Job, etl: Command) -> None:
    with follow_two_jobs(etl, job) as process:
        process.kill()
        process.communicate()
    job.execute("UPDATE etl.runs SET seen_at = CASE job WHEN 'a' THEN now() ELSE now() - interval '12 minutes' END")
    printed, as_json = etl("status").stdout, etl("status", "--json").stdout
    assert ("running, seen " in printed, "killed? seen 12 min ago" in printed) == (True, True)
    assert {run["job"]: run["state"] for run in json.loads(as_json)["runs"] if run["job"] != "marts"} == {
        "a": "running",
        "b": "lost",
    }


def test_two_signals_at_once_are_one(job: Job, etl: Command) -> None:
    with follow_two_jobs(etl, job) as process:
        process.send_signal(signal.SIGTERM)
        process.send_signal(signal.SIGINT)
        process.communicate(timeout=90)
    assert process.returncode == 0


def test_an_orderly_stop_needs_no_terminal(job: Job, etl: Command, sandbox: RunningSandbox) -> None:
    sandbox.faults(shares={"hold": 1.0})
    job.enqueue(*job.ids[:100])
    process = etl.start("run")
    assert process.stderr is not None
    process.stderr.close()
    sandbox.wait_for(held=8)
    process.send_signal(signal.SIGTERM)
    with releasing(sandbox):
        process.wait(timeout=90)
    process.typed.close()
    process.printed.close()
    assert job.value("SELECT count(lease_id) FROM etl.message_queue") == 0


def test_an_unknown_job_names_the_known_ones(etl: Command) -> None:
    assert outcome(etl("run", "calls")) == (2, "Error: No job 'calls' in jobs.yaml; there are: messages, marts\n")


def test_a_database_without_tables_says_what_to_run(etl: Command, empty_database_url: str) -> None:
    assert outcome(etl("run", DATABASE_URL=empty_database_url)) == (
        2,
        f"Error: The database {shown(parse_url(empty_database_url))} has no tables yet. Run: etl db upgrade\n",
    )


@pytest.mark.parametrize("command", [("run",), ("doctor", "--offline"), ("db", "url"), ("db", "psql"), ("serve",)])
def test_only_an_upgrade_and_the_demo_make_a_database(etl: Command, home: Path, command: tuple[str, ...]) -> None:
    code, printed = outcome(etl(*command, DATABASE_URL="", ETL_HOME=str(home)))
    assert (code, list(home.iterdir())) in [(1, []), (2, [])]
    assert f"DATABASE_URL is not set, neither in the environment nor in {etl.directory}/.env" in printed
    assert f"no embedded Postgres in {home}/postgres. Set DATABASE_URL, or make one: etl db upgrade" in printed


def test_the_embedded_postgres_starts_stays_and_stops(etl: Command, home: Path) -> None:
    embedded = {"DATABASE_URL": "", "ETL_HOME": str(home / "My Home"), "PGPORT": "9"}
    assert outcome(etl("db", "upgrade", **embedded))[0] == 0
    url = outcome(etl("db", "url", **embedded))[1].strip()
    assert outcome(etl("run", DATABASE_URL=url))[0] == 0
    assert outcome(etl("db", "stop", **embedded)) == (0, "stopped\n")
    assert outcome(etl("db", "stop", **embedded)) == (0, "it was not running\n")


def test_the_demo_tells_the_whole_story_twice_whatever_is_set(etl: Command, job: Job, home: Path) -> None:
    (etl.directory / ".env").write_text("WEBHOOK_APP_ID=another\nHIGHLEVEL_CLIENT_ID=ours\n")
    (etl.directory / "jobs.yaml").write_text("jobs:\n  emails:\n    kind: email\n")
    told = [
        outcome(etl.alone("demo", "--messages", "50", WEBHOOK_LOCATIONS="another", ETL_HOME=str(home)))
        for _ in range(2)
    ]
    assert job.value("SELECT count(*) FROM highlevel.messages") == 0
    etl("db", "stop", DATABASE_URL="", ETL_HOME=str(home / "demo"))
    assert [code for code, _ in told] == [0, 0]
    assert ["messages: 40 loaded in " in text for _, text in told] == [True, True]
    assert ["50 messages (10 new or changed)" in text for _, text in told] == [True, True]
    assert ["other messages" in text for _, text in told] == [False, True]


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (("--host", "203.0.113.1"), "Try another --host or --port."),
        (("--faults", "{"), "--faults is not understood: Invalid JSON"),
        (("--faults", '{"latency": "x"}'), "--faults is not understood: latency: Input should be a valid number"),
    ],
)
def test_a_sandbox_that_cannot_start_says_why(etl: Command, arguments: tuple[str, ...], told: str) -> None:
    done = etl("sandbox", *arguments)
    assert (done.returncode, told in done.stderr) == (2, True), done.stderr

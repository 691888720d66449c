import json
from subprocess import CompletedProcess
from typing import Any

import pytest

from etl.cli.doctor import of_work
from etl.config import jobs
from etl.config.settings import read
from etl.database import roles
from etl.tokens.probe import PROBE_ID
from etl.tokens.vault import new_key
from tests.command import Command
from tests.login_role import login_role
from tests.tokens.office import Office


def environment(office: Office) -> dict[str, str]:
    return {
        "HIGHLEVEL_TOKEN": "",
        "HIGHLEVEL_LOCATION_ID": "",
        "HIGHLEVEL_BASE_URL": office.sandbox.url,
        "HIGHLEVEL_CLIENT_ID": office.sandbox.client_id,
        "HIGHLEVEL_CLIENT_SECRET": office.sandbox.client_secret,
        "ETL_SECRET_KEY": office.key,
    }


def fixes(office: Office, **changed: str) -> dict[str, str]:
    """The failed checks, and what to do about each."""
    found = read(environment(office) | changed, dotenv=None)
    with office.engine.connect() as connection:
        checks = list(of_work(connection, found, jobs.read(None), offline=False, limit=None))
    return {check.name: check.fix or "" for check in checks if not check.ok}


def test_where_everything_is_right_it_finds_nothing(office: Office) -> None:
    office.connect(office.first)
    office.connect_private(office.second)
    assert {} == fixes(office)


def test_it_spends_one_request_a_location(office: Office) -> None:
    office.connect(office.first)
    office.connect_private(office.second)
    fixes(office)
    assert 2 == sum(office.sandbox.stats()["ids"].values())


def test_a_refused_token_is_found(office: Office) -> None:
    office.connect_private(office.first)
    office.sandbox.revoke(location_id=office.first)
    assert {f"token of {office.first}"} == fixes(office).keys()


def test_an_empty_answer_does_not_show_that_a_token_is_accepted(office: Office) -> None:
    office.connect_private(office.first)
    office.sandbox.faults(ids={PROBE_ID: {"kind": "answer", "text": ""}})
    assert {"api"} == fixes(office).keys()


def test_the_token_of_a_paused_location_is_not_tried(office: Office) -> None:
    office.connect_private(office.first)
    office.execute("UPDATE etl.locations SET paused_at = now(), pause_cause = 'not_authorized', pause_detail = 'no'")
    cure = "Give the token the scope conversations/message.readonly, or the location a token of its own; "
    told = f"{office.first} is paused: not authorized (no). {cure}then: etl locations resume {office.first}"
    assert {f"location {office.first}": told} == fixes(office)


def test_a_key_that_opens_nothing_is_found(office: Office) -> None:
    office.connect(office.first)
    assert {"keys"} == fixes(office, ETL_SECRET_KEY=new_key()).keys()


def test_items_that_nobody_serves_are_found(office: Office) -> None:
    office.connect(office.first)
    office.enqueue(office.second)
    assert {f"location {office.second}"} == fixes(office).keys()


def test_a_missing_app_is_found_where_tokens_need_it(office: Office) -> None:
    office.connect(office.first)
    assert {"app": "Set HIGHLEVEL_CLIENT_ID and HIGHLEVEL_CLIENT_SECRET"} == fixes(office, HIGHLEVEL_CLIENT_ID="")


def test_a_missing_app_is_nothing_where_no_token_needs_it(office: Office) -> None:
    office.connect_private(office.first)
    assert {} == fixes(office, HIGHLEVEL_CLIENT_ID="")


def test_without_any_token_it_says_how_to_get_one(office: Office) -> None:
    assert {"tokens"} == fixes(office).keys()


@pytest.mark.parametrize(
    ("changed", "failed"),
    [
        ({}, []),
        ({"HIGHLEVEL_BASE_URL": "nonsense"}, ["settings"]),
        ({"ETL_JOBS": "/nowhere.yaml", "DATABASE_URL": "postgresql://nobody@127.0.0.1:1/none"}, ["jobs", "database"]),
    ],
)
def test_its_exit_code_tells_whether_a_check_failed(
    etl: Command, office: Office, changed: dict[str, str], failed: list[str]
) -> None:
    office.connect(office.first)
    done = etl("doctor", "--json", **(environment(office) | changed))
    checks = list(map(json.loads, done.stdout.splitlines()))
    assert (int(bool(failed)), failed) == (done.returncode, [check["name"] for check in checks if not check["ok"]])


def checks_of(done: CompletedProcess[str]) -> dict[str, dict[str, Any]]:
    return {check["name"]: check for check in map(json.loads, done.stdout.splitlines())}


FULL = """
    CREATE FUNCTION public.is_full() RETURNS event_trigger LANGUAGE plpgsql AS $$ BEGIN
        RAISE 'could not extend file "base/1/2": No space left on device' USING ERRCODE = '53100'; END $$;
    CREATE EVENT TRIGGER is_full ON ddl_command_start WHEN TAG IN ('CREATE TABLE AS') EXECUTE FUNCTION public.is_full()
"""


def test_a_full_disk_is_found_by_writing(etl: Command, office: Office) -> None:
    office.connect(office.first)
    office.execute(FULL)
    database = checks_of(etl("doctor", "--offline", "--json", **environment(office)))["database"]
    assert not database["ok"]
    assert database["says"].startswith("The disk of Postgres is full: could not extend file")
    assert "Free space on the disk of Postgres, or enlarge it" in database["says"]


def test_for_a_role_that_may_make_no_temporary_tables_doctor_says_what_was_not_tried(
    etl: Command, office: Office
) -> None:
    office.execute(f'REVOKE TEMPORARY ON DATABASE "{office.engine.url.database}" FROM PUBLIC')
    with login_role(office.engine, roles.grant_worker) as (_, url):
        done = etl("doctor", "--offline", "--json", DATABASE_URL=url)
    assert (done.returncode, "this role may not make temporary tables" in checks_of(done)["database"]["says"]) == (
        0,
        True,
    )


def test_under_the_receiver_s_role_it_checks_what_that_may_see(etl: Command, office: Office) -> None:
    with login_role(office.engine, roles.grant_receiver) as (_, url):
        done = etl("doctor", "--offline", "--json", DATABASE_URL=url)
    checks = checks_of(done)
    assert (0, True, "") == (done.returncode, checks["database"]["ok"], done.stderr)
    assert "Run etl doctor with the role of etl run, too" in checks["tokens and queue"]["says"]


def test_an_outage_of_highlevel_is_one_failure_and_nobody_s_base_url(office: Office) -> None:
    office.connect(office.first)
    office.connect_private(office.second)
    office.sandbox.faults(shares={"5xx": 1.0})
    assert ["api"] == list(fixes(office))
    assert "HIGHLEVEL_BASE_URL" not in fixes(office)["api"]


def test_a_base_url_where_nothing_listens_is_reported_once(office: Office) -> None:
    office.connect(office.first)
    office.connect_private(office.second)
    found = fixes(office, HIGHLEVEL_BASE_URL="http://127.0.0.1:9")
    assert (["api"], True) == (list(found), "HIGHLEVEL_BASE_URL is http://127.0.0.1:9: check it" in found["api"])


SPENT = """
    INSERT INTO etl.rate_limits (location_id, daily_remaining, blocked_until, blocked_at, blocked_cause)
    VALUES (:location_id, 0, now() + interval '1 hour', now(), 'daily_budget')
"""


def test_a_spent_allowance_is_found_and_its_wait_can_be_ended(etl: Command, office: Office) -> None:
    office.connect_private(office.first)
    office.execute(SPENT, location_id=office.first)
    (cure,) = fixes(office).values()
    assert f"If HighLevel allows more already: etl locations resume {office.first}" in cure
    assert "1 resumed\n" == etl("locations", "resume", office.first).stdout
    assert {} == fixes(office)
    office.enqueue(office.first)
    assert 5 == office.run().counts.loaded


def test_what_is_fine_is_said_as_it_is(office: Office) -> None:
    office.connect(office.first)
    found = read(environment(office), dotenv=None)
    with office.engine.connect() as connection:
        checks = of_work(connection, found, jobs.read(None), offline=True, limit=None)
        says = {check.name: check.says for check in checks}
    assert "each location with items is served, and each kind of item has a job" == says["work"]

import json

import pytest

from etl.cli.doctor import of_locations
from etl.config.settings import read
from etl.tokens.probe import PROBE_ID
from etl.tokens.vault import new_key
from tests.command import Command
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
        checks = list(of_locations(connection, found, offline=False, limit=None))
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
    assert {f"token of {office.first}"} == fixes(office).keys()


def test_the_token_of_a_paused_location_is_not_tried(office: Office) -> None:
    office.connect_private(office.first)
    office.execute("UPDATE etl.locations SET paused_at = now(), pause_cause = 'not_authorized', pause_detail = 'no'")
    cure = "Give the token the scope conversations/message.readonly, or the location a token of its own; "
    told = f"{office.first} is paused: not authorized (no). {cure}then: etl locations resume {office.first}"
    assert {"locations": told} == fixes(office)


def test_a_key_that_opens_nothing_is_found(office: Office) -> None:
    office.connect(office.first)
    assert {"keys"} == fixes(office, ETL_SECRET_KEY=new_key()).keys()


def test_items_that_nobody_serves_are_found(office: Office) -> None:
    office.connect(office.first)
    office.enqueue(office.second)
    assert {"queue"} == fixes(office).keys()


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

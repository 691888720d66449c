import json
import re
from pathlib import Path

import pytest

from tests.command import Command
from tests.tokens.office import Office


@pytest.fixture
def command(office: Office, database_url: str, tmp_path: Path) -> Command:
    """The command line, set up for the office, without a token in the environment."""
    return Command(
        tmp_path,
        {
            "DATABASE_URL": database_url,
            "HIGHLEVEL_BASE_URL": office.sandbox.url,
            "HIGHLEVEL_CLIENT_ID": office.sandbox.client_id,
            "HIGHLEVEL_CLIENT_SECRET": office.sandbox.client_secret,
            "ETL_SECRET_KEY": office.key,
        },
    )


def pause(office: Office, cause: str) -> None:
    office.execute("UPDATE etl.locations SET paused_at = now(), pause_cause = :cause, pause_detail = 'no'", cause=cause)


def test_resuming_ends_a_pause(command: Command, office: Office) -> None:
    office.connect(office.first)
    pause(office, "by_hand")
    command("locations", "resume", office.first)
    assert None is office.place(office.first).paused_at


def test_resuming_all_ends_every_pause(command: Command, office: Office) -> None:
    office.connect_company()
    pause(office, "by_hand")
    assert "3 resumed\n" == command("locations", "resume", "--all").stdout


def test_pausing_by_hand_gives_the_reason(command: Command, office: Office) -> None:
    office.enqueue(office.first, 1)
    command("locations", "pause", "--reason", "stocktaking", office.first)
    place = office.place(office.first)
    assert ("by_hand", "stocktaking") == (place.pause_cause, place.pause_detail)


def test_the_default_location_is_named_as_it_is_shown(command: Command, office: Office) -> None:
    command("locations", "pause", "(default)")
    assert "by_hand" == office.place("").pause_cause


def test_what_is_no_location_id_is_refused(command: Command) -> None:
    assert 2 == command("locations", "pause", "no/id").returncode


def test_removing_a_location_deletes_its_tokens(command: Command, office: Office) -> None:
    office.connect(office.first)
    command("locations", "remove", "--yes", office.first)
    assert 0 == office.value("SELECT count(*) FROM etl.locations")


def test_removing_a_company_deletes_the_locations_it_serves(command: Command, office: Office) -> None:
    company_id = office.connect_company().company_id
    office.connect_private(office.first)
    command("locations", "remove", "--yes", "--company", str(company_id))
    assert office.first == office.value("SELECT string_agg(location_id, ' ') FROM etl.locations")


def test_removing_an_unknown_location_exits_1(command: Command) -> None:
    assert 1 == command("locations", "remove", "--yes", "nowhere").returncode


def test_syncing_adds_the_locations_that_joined_later(command: Command, office: Office) -> None:
    office.connect_company()
    office.execute("DELETE FROM etl.locations")
    command("locations", "sync")
    assert 3 == office.value("SELECT count(*) FROM etl.locations")


def test_the_list_says_what_to_do_about_a_paused_location(command: Command, office: Office) -> None:
    office.connect_private(office.first)
    pause(office, "token_refused")
    (row,) = map(json.loads, command("locations", "list", "--json").stdout.splitlines())
    cure = f"Make a new token in HighLevel and store it: etl connect --location {office.first} --token"
    assert ("token_refused", cure) == (row["pause_cause"], row["cure"])


def test_status_says_what_to_do_about_a_paused_location(command: Command, office: Office) -> None:
    office.connect(office.first)
    pause(office, "by_hand")
    advice = f"{office.first} is paused: by hand (no). Resume it: etl locations resume {office.first}"
    assert advice in command("status").stdout


def test_a_location_that_no_token_serves_is_listed_when_items_wait(command: Command, office: Office) -> None:
    office.connect(office.first)
    office.enqueue(office.second, 12)
    told = f"{office.second} is not connected, 12 items wait. Connect it: etl connect"
    assert told in command("locations", "list").stdout


def test_the_list_says_which_locations_are_served(command: Command, office: Office) -> None:
    office.connect(office.first)
    office.enqueue(office.first, 1)
    office.enqueue(office.second, 12)
    rows = map(json.loads, command("locations", "list", "--json").stdout.splitlines())
    assert {office.first: (True, 1), office.second: (False, 12)} == {
        row["location_id"]: (row["served"], row["items"]) for row in rows
    }


def test_everything_that_is_missing_is_reported_at_once(command: Command) -> None:
    missing = ("HIGHLEVEL_CLIENT_ID", "HIGHLEVEL_CLIENT_SECRET", "ETL_SECRET_KEY")
    told = command("connect", **dict.fromkeys(missing, "")).stderr
    assert list(missing) == re.findall(r"- (\w+) is not set", told)


def test_without_any_token_a_run_says_how_to_get_one(command: Command) -> None:
    assert "HIGHLEVEL_TOKEN is not set and no location is connected" in " ".join(command("run").stderr.split())

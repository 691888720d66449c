"""Commands that work on every location that has a token."""

import signal

import pytest

from tests.command import Command
from tests.tokens.office import Office
from tests.waiting import releasing

LOADED = "SELECT array_agg(DISTINCT location_id ORDER BY location_id) FROM highlevel.messages"


@pytest.fixture
def agency(etl: Command, office: Office) -> Command:
    """The command line with a token for each of three locations, and none in the environment."""
    for name in (office.first, office.second, office.third):
        office.connect_private(name)
    etl.environment |= {
        "HIGHLEVEL_TOKEN": "",
        "HIGHLEVEL_LOCATION_ID": "",
        "HIGHLEVEL_BASE_URL": office.sandbox.url,
        "ETL_SECRET_KEY": office.key,
    }
    return etl


def test_every_location_is_backfilled_and_one_without_a_valid_token_holds_up_none(
    agency: Command, office: Office
) -> None:
    bad, *good = sorted((office.first, office.second, office.third))
    office.sandbox.revoke(location_id=bad)
    done = agency("backfill", "--all", "--since", "2026-01-01")
    assert (0, True) == (done.returncode, bad in done.stderr), done.stderr
    assert [f"backfill of {name}" in done.stdout for name in (bad, *good)] == [False, True, True]
    assert office.value(LOADED) == good


def test_where_no_location_can_be_backfilled_that_is_exit_code_3(agency: Command, office: Office) -> None:
    for name in (office.first, office.second, office.third):
        office.sandbox.revoke(location_id=name)
    assert 3 == agency("backfill", "--all", "--since", "2026-01-01").returncode


def test_one_location_and_all_of_them_contradict(agency: Command) -> None:
    assert 2 == agency("backfill", "--all", "--location", "LOC1", "--since", "2026-01-01").returncode


def test_a_signal_ends_all_and_not_only_the_location_under_way(agency: Command, office: Office) -> None:
    office.sandbox.faults(shares={"hold": 1.0})
    with agency.start("backfill", "--all", "--since", "2026-01-01") as process:
        office.sandbox.wait_for(held=1)
        process.send_signal(signal.SIGTERM)
        with releasing(office.sandbox):
            out, _ = process.communicate(timeout=90)
    assert out.count("backfill of ") <= 1
    assert (process.returncode, len(office.value(LOADED) or []) <= 1) == (0, True)

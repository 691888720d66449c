import threading
import time
from itertools import count
from typing import Any

import pytest

from etl.api.oauth import Grant, GrantRefusedError, OAuth, OAuthUnavailableError
from etl.bearer import fingerprint
from etl.state import stored_tokens
from etl.state.outcomes import SkipCause
from etl.tokens.renewal import Refusal, Renewal, RenewalFailedError
from etl.tokens.renewal_threads import PATIENCE, PAUSES, Renewals
from tests.tokens.office import Office
from tests.waiting import await_


def refusal(office: Office) -> Refusal:
    return Refusal(fingerprint(office.token(office.first)), "the API answered 401: Invalid JWT")


def using(office: Office, oauth: OAuth | None) -> Renewal:
    return Renewal(engine=office.engine, vault=office.vault, oauth=oauth)


def test_an_expired_token_is_replaced_by_one_that_works(office: Office) -> None:
    before = office.connect(office.first).access_token
    office.expire()
    office.renewal.renew(office.first)
    assert (True, 200) == (office.token(office.first) != before, office.status(office.first))


def test_the_new_refresh_token_is_stored_too(office: Office) -> None:
    office.connect(office.first)
    for _ in range(3):
        office.expire()
        office.renewal.renew(office.first)
    assert 200 == office.status(office.first)


def test_a_fresh_token_is_left_alone(office: Office) -> None:
    before = office.connect(office.first).access_token
    office.renewal.renew(office.first)
    assert before == office.token(office.first)


def test_a_refused_token_is_replaced(office: Office) -> None:
    before = office.connect(office.first).access_token
    office.renewal.renew(office.first, refusal(office))
    assert before != office.token(office.first)


def test_a_refusal_of_a_token_that_was_already_replaced_changes_nothing(office: Office) -> None:
    office.connect(office.first)
    refused = refusal(office)
    office.renewal.renew(office.first, refused)
    before = office.token(office.first)
    office.renewal.renew(office.first, refused)
    assert before == office.token(office.first)


def test_a_second_refusal_pauses_the_location(office: Office) -> None:
    office.connect(office.first)
    office.renewal.renew(office.first, refusal(office))
    office.renewal.renew(office.first, refusal(office))
    assert "token_refused" == office.place(office.first).pause_cause


def test_an_expired_token_that_is_refused_counts_as_expired(office: Office) -> None:
    office.connect(office.first)
    for _ in range(2):
        office.expire()
        office.renewal.renew(office.first, refusal(office))
    assert None is office.place(office.first).pause_cause


def test_a_paused_location_is_left_alone(office: Office) -> None:
    before = office.connect(office.first).access_token
    office.expire()
    office.execute("UPDATE etl.locations SET paused_at = now(), pause_cause = 'by_hand'")
    office.renewal.renew(office.first)
    assert before == office.token(office.first)


def test_a_used_refresh_token_is_mended_by_reconnecting(office: Office) -> None:
    office.connect(office.first)
    office.execute("UPDATE etl.locations SET refresh_token = :sealed", sealed=office.vault.encrypt("used up"))
    office.expire()
    office.renewal.renew(office.first)
    assert 200 == office.status(office.first)


def test_a_location_of_a_company_gets_its_first_token_through_it(office: Office) -> None:
    office.connect_company()
    office.renewal.renew(office.second)
    assert ("company", 200) == (office.place(office.second).token_source, office.status(office.second))


def test_the_companys_own_token_is_renewed_on_the_way(office: Office) -> None:
    office.connect_company()
    office.expire("companies")
    office.renewal.renew(office.second)
    assert 200 == office.status(office.second)


def test_a_company_whose_token_was_revoked_is_renewed_on_the_way(office: Office) -> None:
    grant = office.connect_company()
    office.sandbox.revoke(token=grant.access_token)
    office.renewal.renew(office.second)
    assert 200 == office.status(office.second)


def test_a_company_that_lost_its_refresh_token_is_reconnected(office: Office) -> None:
    office.connect_company()
    office.execute("UPDATE etl.companies SET refresh_token = :sealed", sealed=office.vault.encrypt("used up"))
    office.expire("companies")
    office.renewal.renew(office.second)
    assert 200 == office.status(office.second)


class Refusing(OAuth):
    """An app that was uninstalled: nothing it asks for is given."""

    def __init__(self, office: Office) -> None:
        super().__init__(office.transport(), client_id="a-b", client_secret="c")

    def refresh(self, *_: Any, **__: Any) -> Grant:
        raise GrantRefusedError("Invalid grant: refresh token is invalid")

    def reconnect(self, **_: Any) -> str:
        raise GrantRefusedError("app is not installed")


def test_when_no_way_is_left_the_location_is_paused_with_the_reasons(office: Office) -> None:
    office.connect(office.first)
    office.expire()
    using(office, Refusing(office)).renew(office.first)
    place = office.place(office.first)
    assert ("renewal_refused", "Invalid grant: refresh token is invalid; app is not installed") == (
        place.pause_cause,
        place.pause_detail,
    )


def test_connecting_again_lifts_that_pause(office: Office) -> None:
    office.connect(office.first)
    office.expire()
    using(office, Refusing(office)).renew(office.first)
    office.connect(office.first)
    assert None is office.place(office.first).paused_at


def test_connecting_the_company_again_lifts_the_pauses_of_its_locations(office: Office) -> None:
    office.connect_company()
    office.expire("companies")
    using(office, Refusing(office)).renew(office.second)
    assert office.place(office.second).paused_at is not None
    office.connect_company()
    assert None is office.place(office.second).paused_at


def test_a_wrong_client_secret_pauses_nobody(office: Office) -> None:
    office.connect(office.first)
    office.expire()
    with pytest.raises(RenewalFailedError, match="check HIGHLEVEL_CLIENT_ID and HIGHLEVEL_CLIENT_SECRET"):
        using(office, office.app(client_secret="wrong")).renew(office.first)
    assert None is office.place(office.first).paused_at


def test_without_an_app_nobody_is_paused(office: Office) -> None:
    office.connect(office.first)
    office.expire()
    with pytest.raises(RenewalFailedError, match="they are not set"):
        using(office, None).renew(office.first)


def test_a_token_endpoint_that_is_away_pauses_nobody(office: Office) -> None:
    office.connect(office.first)
    office.expire()
    with pytest.raises(RenewalFailedError, match="the token endpoint is not available"):
        using(office, office.app(url="http://127.0.0.1:1")).renew(office.first)
    assert None is office.place(office.first).paused_at


class LosingTheDatabase(OAuth):
    """Cuts every other connection to Postgres right after the token endpoint gave a pair."""

    office: Office
    calls = 0

    def refresh(self, *arguments: Any, **named: Any) -> Grant:
        grant = super().refresh(*arguments, **named)
        self.calls += 1
        if self.calls == 1:
            self.office.execute(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
                "WHERE datname = current_database() AND pid <> pg_backend_pid()"
            )
        return grant


def test_a_pair_that_could_not_be_stored_is_stored_by_the_next_attempt(office: Office) -> None:
    office.connect(office.first)
    office.expire()
    app = LosingTheDatabase(
        office.transport(), client_id=office.sandbox.client_id, client_secret=office.sandbox.client_secret
    )
    app.office = office
    renewal = using(office, app)
    with pytest.raises(RenewalFailedError, match="Postgres"):
        renewal.renew(office.first)
    renewal.renew(office.first)
    assert (1, 200) == (app.calls, office.status(office.first))


def test_pausing_a_location_does_not_wait_for_its_renewal(office: Office) -> None:
    office.connect(office.first)
    with office.engine.begin() as connection:
        stored_tokens.lock(connection, "location", office.first)
        office.execute("SET lock_timeout = '1s'; UPDATE etl.locations SET paused_at = now()")
    assert office.place(office.first).paused_at is not None


def test_a_slow_renewal_holds_up_no_other_location() -> None:
    slow, done = threading.Event(), threading.Event()

    class Slow(Renewal):
        def __init__(self) -> None:
            pass

        def renew(self, location_id: str, _refusal: Refusal | None = None) -> None:
            if location_id == "slow":
                slow.wait(90)
            else:
                done.set()

    renewals = Renewals(Slow(), time.monotonic)
    renewals.ask("slow", None)
    renewals.ask("fast", None)
    assert done.wait(90)
    slow.set()


def test_after_some_failures_nobody_waits_for_the_location_any_more() -> None:
    class Away(Renewal):
        def __init__(self) -> None:
            pass

        def renew(self, _location_id: str, _refusal: Refusal | None = None) -> None:
            raise OAuthUnavailableError("away")

    renewals = Renewals(Away(), count(0.0, PAUSES[-1]).__next__)
    answers: list[SkipCause] = []

    def gives_up() -> bool:
        answers.append(renewals.ask("place", None))
        return answers[-1] is SkipCause.NO_TOKEN

    await_(gives_up)
    assert PATIENCE <= len(answers)

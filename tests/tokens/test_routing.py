import pytest

from etl.bearer import fingerprint
from etl.errors import LocationError, SnoozedError, TokenError
from etl.state import locations
from etl.tokens.routing import NO_TOKEN, LocationTokens, Refusal, Renew, TokenRouting
from etl.tokens.vault import Vault, new_key
from tests.tokens.office import Office


class Asked:
    """Renewals that only take note."""

    def __init__(self) -> None:
        self.names: list[str] = []

    def ask(self, location_id: str, refusal: Refusal | None) -> str:
        self.names.append(location_id if refusal is None else f"{location_id} refused")
        return "renewing"


def looking(
    office: Office,
    *names: str,
    routing: TokenRouting | None = None,
    vault: Vault | None = None,
    renew: Renew | None = None,
) -> LocationTokens:
    """Tokens that have looked at these locations."""
    tokens = LocationTokens(routing=routing or TokenRouting(), vault=vault or office.vault, renew=renew or Asked().ask)
    with office.engine.connect() as connection:
        tokens.look(connection, names)
    return tokens


def test_a_connected_location_serves_itself(office: Office) -> None:
    office.connect(office.first)
    assert office.first == looking(office, office.first).token_location_id(office.first)


def test_its_stored_token_is_sent(office: Office) -> None:
    grant = office.connect(office.first)
    assert grant.access_token == looking(office, office.first).token_of(office.first)


def test_a_location_never_connected_is_served_by_nobody(office: Office) -> None:
    assert None is looking(office, office.first).token_location_id(office.first)


def test_a_location_of_a_connected_company_serves_itself(office: Office) -> None:
    office.connect_company()
    assert office.third == looking(office, office.third).token_location_id(office.third)


def test_an_installed_location_of_no_connected_company_waits_to_be_connected(office: Office) -> None:
    with office.engine.begin() as connection:
        locations.install(connection, location_id=office.first, company_id="C", app_id="A")
    assert None is looking(office, office.first).token_location_id(office.first)


def test_installing_adds_a_location_that_its_connected_company_serves(office: Office) -> None:
    company_id = office.connect_company().company_id
    with office.engine.begin() as connection:
        locations.install(connection, location_id="later", company_id=company_id, app_id="A")
    assert "later" == looking(office, "later").token_location_id("later")


def test_an_uninstalled_location_is_served_by_nobody(office: Office) -> None:
    office.connect(office.first)
    with office.engine.begin() as connection:
        locations.uninstall(connection, location_id=office.first)
    assert None is looking(office, office.first).token_location_id(office.first)


def test_uninstalling_a_company_retires_all_its_locations(office: Office) -> None:
    company_id = office.connect_company().company_id
    with office.engine.begin() as connection:
        locations.uninstall(connection, company_id=company_id)
    tokens = looking(office, *office.sandbox.location_ids)
    assert {None} == {tokens.token_location_id(name) for name in office.sandbox.location_ids}


def test_installing_again_undoes_an_uninstall(office: Office) -> None:
    office.connect(office.first)
    with office.engine.begin() as connection:
        locations.uninstall(connection, location_id=office.first)
        locations.install(connection, location_id=office.first)
    assert office.first == looking(office, office.first).token_location_id(office.first)


def test_an_uninstall_from_before_a_location_was_connected_changes_nothing(office: Office) -> None:
    before = office.value("SELECT now()")
    office.connect(office.first)
    company_id = office.connect_company().company_id
    with office.engine.begin() as connection:
        locations.uninstall(connection, location_id=office.first, at=before)
        locations.uninstall(connection, company_id=company_id, at=before)
    names = [office.first, office.third]
    tokens = looking(office, *names)
    assert names == [tokens.token_location_id(name) for name in names]


def test_an_uninstall_from_before_a_token_was_renewed_changes_nothing(office: Office) -> None:
    office.connect(office.first)
    office.execute("UPDATE etl.locations SET app_changed_at = now() - interval '1 day'")
    with office.engine.begin() as connection:
        locations.uninstall(connection, location_id=office.first, at=office.value("SELECT now() - interval '1 hour'"))
    assert office.first == looking(office, office.first).token_location_id(office.first)


def test_an_uninstall_from_the_future_is_one_of_now(office: Office) -> None:
    office.connect(office.first)
    with office.engine.begin() as connection:
        locations.uninstall(connection, location_id=office.first, at=office.value("SELECT now() + interval '70 years'"))
    with office.engine.begin() as connection:
        locations.install(connection, location_id=office.first, at=office.value("SELECT now()"))
    assert office.first == looking(office, office.first).token_location_id(office.first)


def test_an_install_from_before_an_uninstall_changes_nothing(office: Office) -> None:
    office.connect(office.first)
    before = office.value("SELECT now()")
    with office.engine.begin() as connection:
        locations.uninstall(connection, location_id=office.first)
        locations.install(connection, location_id=office.first, at=before)
    assert None is looking(office, office.first).token_location_id(office.first)


def test_uninstalling_the_app_leaves_a_private_token_alone(office: Office) -> None:
    office.connect_private(office.first)
    office.execute("UPDATE etl.locations SET company_id = 'COM1'")
    with office.engine.begin() as connection:
        locations.uninstall(connection, location_id=office.first)
        locations.uninstall(connection, company_id="COM1")
    assert office.first == looking(office, office.first).token_location_id(office.first)


def test_uninstalling_a_company_leaves_a_grant_of_a_locations_own_alone(office: Office) -> None:
    office.connect(office.first)
    company_id = office.connect_company().company_id
    with office.engine.begin() as connection:
        locations.uninstall(connection, company_id=company_id)
    assert office.first == looking(office, office.first).token_location_id(office.first)


def test_resuming_a_location_is_newer_than_an_uninstall_that_comes_late(office: Office) -> None:
    office.connect(office.first)
    before = office.value("SELECT now()")
    with office.engine.begin() as connection:
        locations.uninstall(connection, location_id=office.first)
        locations.resume(connection, office.first)
    with office.engine.begin() as connection:
        locations.uninstall(connection, location_id=office.first, at=before)
    assert office.first == looking(office, office.first).token_location_id(office.first)


def test_the_environments_token_serves_items_without_a_location(office: Office) -> None:
    assert office.first == looking(office, routing=TokenRouting("t", office.first)).token_location_id("")


def test_the_environments_token_goes_before_a_stored_one(office: Office) -> None:
    office.connect(office.first)
    assert "t" == looking(office, office.first, routing=TokenRouting("t", office.first)).token_of(office.first)


def test_the_environments_token_does_not_serve_other_locations(office: Office) -> None:
    assert None is looking(office, office.second, routing=TokenRouting("t", office.first)).token_location_id(
        office.second
    )


def test_a_token_of_unknown_location_serves_only_items_without_one(office: Office) -> None:
    tokens = looking(office, office.second, "", routing=TokenRouting("t"))
    assert ("", None) == (tokens.token_location_id(""), tokens.token_location_id(office.second))


def test_a_token_of_unknown_location_leaves_connected_locations_alone(office: Office) -> None:
    office.connect(office.second)
    assert office.second == looking(office, office.second, routing=TokenRouting("t")).token_location_id(office.second)


def test_without_a_token_of_its_own_the_default_location_may_be_connected(office: Office) -> None:
    office.connect(office.first)
    assert office.first == looking(office, "", routing=TokenRouting(None, office.first)).token_location_id("")


def test_a_stored_token_that_no_key_opens_is_not_at_hand(office: Office) -> None:
    office.connect(office.first)
    tokens = looking(office, office.first, vault=Vault([new_key()]))
    assert NO_TOKEN == tokens.unavailable_reason(office.first)


def test_a_fresh_token_is_at_hand(office: Office) -> None:
    office.connect(office.first)
    assert None is looking(office, office.first).unavailable_reason(office.first)


def test_an_expired_token_is_renewed_first(office: Office) -> None:
    office.connect(office.first)
    office.expire()
    asked = Asked()
    assert ("renewing", [office.first]) == (
        looking(office, office.first, renew=asked.ask).unavailable_reason(office.first),
        asked.names,
    )


def test_a_token_about_to_expire_is_used_while_it_is_renewed(office: Office) -> None:
    office.connect(office.first)
    office.execute(
        "UPDATE etl.locations SET token_issued_at = now() - interval '1 day', "
        "token_expires_at = now() + interval '5 minutes'"
    )
    asked = Asked()
    assert (None, [office.first]) == (
        looking(office, office.first, renew=asked.ask).unavailable_reason(office.first),
        asked.names,
    )


def test_a_private_token_is_never_renewed(office: Office) -> None:
    office.connect_private(office.first)
    asked = Asked()
    assert (None, []) == (looking(office, office.first, renew=asked.ask).unavailable_reason(office.first), asked.names)


def test_a_refused_token_is_renewed(office: Office) -> None:
    token = office.connect(office.first).access_token
    asked = Asked()
    tokens = looking(office, office.first, renew=asked.ask)
    error = tokens.refused(office.first, token, TokenError("token_refused", "no"))
    tokens.unavailable_reason(office.first)
    assert (SnoozedError, [f"{office.first} refused"]) == (type(error), asked.names)


def test_a_refused_token_is_not_sent_again(office: Office) -> None:
    token = office.connect(office.first).access_token
    tokens = looking(office, office.first)
    tokens.refused(office.first, token, TokenError("token_refused", "no"))
    with pytest.raises(SnoozedError):
        tokens.token_of(office.first)


def test_a_refusal_of_the_token_before_does_not_hurt_the_new_one(office: Office) -> None:
    token = office.connect(office.first).access_token
    tokens = looking(office, office.first)
    tokens.refused(office.first, "the one before", TokenError("token_refused", "no"))
    assert token == tokens.token_of(office.first)


def test_a_missing_scope_is_nothing_that_a_new_token_mends(office: Office) -> None:
    token = office.connect(office.first).access_token
    error = LocationError("not_authorized", "no")
    assert error is looking(office, office.first).refused(office.first, token, error)


def test_a_private_token_that_is_refused_stays_refused(office: Office) -> None:
    office.connect_private(office.first)
    error = TokenError("token_refused", "no")
    tokens = looking(office, office.first)
    assert error is tokens.refused(office.first, office.sandbox.token(office.first), error)


def test_a_refusal_names_the_token_that_was_refused_and_not_its_successor(office: Office) -> None:
    office.connect_private(office.first)
    error = TokenError("token_refused", "no")
    looking(office, office.first).refused(office.first, "the one before", error)
    assert fingerprint("the one before") == error.fingerprint


def test_ten_thousand_locations_are_looked_up_by_page(office: Office) -> None:
    office.execute(
        "INSERT INTO etl.locations (location_id, token_source, access_token, token_fingerprint) "
        "SELECT 'L' || n, 'private', :sealed, n::text FROM generate_series(1, 10000) AS n",
        sealed=office.vault.encrypt("t"),
    )
    names = [f"L{number}" for number in range(1, 65)]
    tokens = looking(office, *names)
    assert (names, {"t"}) == (
        [tokens.token_location_id(name) for name in names],
        {tokens.token_of(name) for name in names},
    )

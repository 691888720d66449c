import time
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

from sqlalchemy import event

from etl.api.client import Client
from etl.bearer import fingerprint
from etl.errors import LocationError, SnoozedError, TokenError
from etl.state import locations
from etl.state.message_queue import Item
from etl.state.outcomes import SkipCause
from etl.tokens.renewal import Refusal
from etl.tokens.renewal_threads import Renewals
from etl.tokens.routing import LocationTokens, Token, TokenRouting
from etl.tokens.vault import Vault, new_key
from etl.worker.pipeline import Claimed, Pipeline
from etl.worker.settlement import stop_location
from tests.tokens.office import Office


class Asked(Renewals):
    """Renewals that only take note."""

    def __init__(self) -> None:
        self.names: list[str] = []

    def ask(self, location_id: str, refusal: Refusal | None) -> SkipCause:
        self.names.append(location_id if refusal is None else f"{location_id} refused")
        return SkipCause.RENEWING


def of(
    office: Office, *, routing: TokenRouting | None = None, vault: Vault | None = None, renewals: Renewals | None = None
) -> LocationTokens:
    """Tokens that have resolved nothing yet."""
    return LocationTokens(
        routing=routing or TokenRouting(),
        vault=vault or office.vault,
        renewals=renewals or Asked(),
        clock=time.monotonic,
    )


def resolved(
    office: Office, tokens: LocationTokens, *location_ids: str
) -> tuple[dict[str, Token], dict[str, list[str]]]:
    """The tokens that serve these locations, and why others are not served."""
    with office.engine.begin() as connection:
        return tokens.resolve(connection, location_ids)


def token(office: Office, tokens: LocationTokens, location_id: str) -> Token:
    """The token of a location that is served."""
    return resolved(office, tokens, location_id)[0][location_id]


def cause(office: Office, tokens: LocationTokens, location_id: str) -> str | None:
    """Why a location is not served."""
    return next(iter(resolved(office, tokens, location_id)[1]), None)


def serving(office: Office, location_id: str, *, routing: TokenRouting | None = None) -> str | None:
    """The location whose token serves this one, even if it has to be renewed first."""
    asked = Asked()
    served, stopped = resolved(office, of(office, routing=routing, renewals=asked), location_id)
    assert bool(asked.names) == (SkipCause.RENEWING in stopped)
    return served[location_id].location_id if served else next(iter(asked.names), None)


def test_a_connected_location_serves_itself(office: Office) -> None:
    office.connect(office.first)
    assert office.first == serving(office, office.first)


def test_its_stored_token_is_sent(office: Office) -> None:
    grant = office.connect(office.first)
    assert grant.access_token == token(office, of(office), office.first).bearer


def test_a_location_never_connected_is_served_by_nobody(office: Office) -> None:
    assert None is serving(office, office.first)


def test_a_location_of_a_connected_company_serves_itself(office: Office) -> None:
    office.connect_company()
    assert office.third == serving(office, office.third)


def test_an_installed_location_of_no_connected_company_waits_to_be_connected(office: Office) -> None:
    with office.engine.begin() as connection:
        locations.install(connection, location_id=office.first, company_id="C", app_id="A")
    assert None is serving(office, office.first)


def test_installing_adds_a_location_that_its_connected_company_serves(office: Office) -> None:
    company_id = office.connect_company().company_id
    with office.engine.begin() as connection:
        locations.install(connection, location_id="later", company_id=company_id, app_id="A")
    assert "later" == serving(office, "later")


def test_an_uninstalled_location_is_served_by_nobody(office: Office) -> None:
    office.connect(office.first)
    with office.engine.begin() as connection:
        locations.uninstall(connection, location_id=office.first)
    assert None is serving(office, office.first)


def test_uninstalling_a_company_retires_all_its_locations(office: Office) -> None:
    company_id = office.connect_company().company_id
    with office.engine.begin() as connection:
        locations.uninstall(connection, company_id=company_id)
    assert {None} == {serving(office, name) for name in office.sandbox.location_ids}


def test_installing_again_undoes_an_uninstall(office: Office) -> None:
    office.connect(office.first)
    with office.engine.begin() as connection:
        locations.uninstall(connection, location_id=office.first)
        locations.install(connection, location_id=office.first)
    assert office.first == serving(office, office.first)


def test_an_uninstall_from_before_a_location_was_connected_changes_nothing(office: Office) -> None:
    before = office.value("SELECT now()")
    office.connect(office.first)
    company_id = office.connect_company().company_id
    with office.engine.begin() as connection:
        locations.uninstall(connection, location_id=office.first, at=before)
        locations.uninstall(connection, company_id=company_id, at=before)
    names = [office.first, office.third]
    assert names == [serving(office, name) for name in names]


def test_an_uninstall_from_before_a_token_was_renewed_changes_nothing(office: Office) -> None:
    office.connect(office.first)
    office.execute("UPDATE etl.locations SET app_changed_at = now() - interval '1 day'")
    with office.engine.begin() as connection:
        locations.uninstall(connection, location_id=office.first, at=office.value("SELECT now() - interval '1 hour'"))
    assert office.first == serving(office, office.first)


def test_an_uninstall_from_the_future_is_one_of_now(office: Office) -> None:
    office.connect(office.first)
    with office.engine.begin() as connection:
        locations.uninstall(connection, location_id=office.first, at=office.value("SELECT now() + interval '70 years'"))
    with office.engine.begin() as connection:
        locations.install(connection, location_id=office.first, at=office.value("SELECT now()"))
    assert office.first == serving(office, office.first)


def test_an_install_from_before_an_uninstall_changes_nothing(office: Office) -> None:
    office.connect(office.first)
    before = office.value("SELECT now()")
    with office.engine.begin() as connection:
        locations.uninstall(connection, location_id=office.first)
        locations.install(connection, location_id=office.first, at=before)
    assert None is serving(office, office.first)


def test_uninstalling_the_app_leaves_a_private_token_alone(office: Office) -> None:
    office.connect_private(office.first)
    office.execute("UPDATE etl.locations SET company_id = 'COM1'")
    with office.engine.begin() as connection:
        locations.uninstall(connection, location_id=office.first)
        locations.uninstall(connection, company_id="COM1")
    assert office.first == serving(office, office.first)


def test_uninstalling_a_company_leaves_a_grant_of_a_locations_own_alone(office: Office) -> None:
    office.connect(office.first)
    company_id = office.connect_company().company_id
    with office.engine.begin() as connection:
        locations.uninstall(connection, company_id=company_id)
    assert office.first == serving(office, office.first)


def test_resuming_a_location_is_newer_than_an_uninstall_that_comes_late(office: Office) -> None:
    office.connect(office.first)
    before = office.value("SELECT now()")
    with office.engine.begin() as connection:
        locations.uninstall(connection, location_id=office.first)
        locations.resume(connection, office.first)
    with office.engine.begin() as connection:
        locations.uninstall(connection, location_id=office.first, at=before)
    assert office.first == serving(office, office.first)


def test_the_environments_token_serves_items_without_a_location(office: Office) -> None:
    assert office.first == serving(office, "", routing=TokenRouting("t", office.first))


def test_the_environments_token_goes_before_a_stored_one(office: Office) -> None:
    office.connect(office.first)
    assert "t" == token(office, of(office, routing=TokenRouting("t", office.first)), office.first).bearer


def test_the_environments_token_does_not_serve_other_locations(office: Office) -> None:
    assert None is serving(office, office.second, routing=TokenRouting("t", office.first))


def test_a_token_of_unknown_location_serves_only_items_without_one(office: Office) -> None:
    routing = TokenRouting("t")
    assert ("", None) == (serving(office, "", routing=routing), serving(office, office.second, routing=routing))


def test_a_token_of_unknown_location_leaves_connected_locations_alone(office: Office) -> None:
    office.connect(office.second)
    assert office.second == serving(office, office.second, routing=TokenRouting("t"))


def test_without_a_token_of_its_own_the_default_location_may_be_connected(office: Office) -> None:
    office.connect(office.first)
    assert office.first == serving(office, "", routing=TokenRouting(None, office.first))


def test_a_stored_token_that_no_key_opens_is_not_at_hand(office: Office) -> None:
    office.connect(office.first)
    assert SkipCause.NO_TOKEN == cause(office, of(office, vault=Vault([new_key()])), office.first)


def test_a_fresh_token_is_at_hand(office: Office) -> None:
    office.connect(office.first)
    assert None is cause(office, of(office), office.first)


def test_an_expired_token_is_renewed_first(office: Office) -> None:
    office.connect(office.first)
    office.expire()
    asked = Asked()
    assert ("renewing", [office.first]) == (
        cause(office, of(office, renewals=asked), office.first),
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
        cause(office, of(office, renewals=asked), office.first),
        asked.names,
    )


def test_a_private_token_is_never_renewed(office: Office) -> None:
    office.connect_private(office.first)
    asked = Asked()
    assert (None, []) == (cause(office, of(office, renewals=asked), office.first), asked.names)


REFUSED = TokenError("token_refused", "no")


def test_a_refused_token_is_renewed(office: Office) -> None:
    office.connect(office.first)
    asked = Asked()
    tokens = of(office, renewals=asked)
    error = tokens.after_refusal(token(office, tokens, office.first), REFUSED)
    assert SkipCause.RENEWING == cause(office, tokens, office.first)
    assert (SnoozedError, [f"{office.first} refused"]) == (type(error), asked.names)


def test_a_refused_token_is_not_sent_again(office: Office) -> None:
    office.connect(office.first)
    tokens = of(office)
    tokens.after_refusal(token(office, tokens, office.first), REFUSED)
    assert {} == resolved(office, tokens, office.first)[0]


def test_a_refusal_of_the_token_before_does_not_hurt_the_new_one(office: Office) -> None:
    office.connect(office.first)
    tokens = of(office)
    before = token(office, tokens, office.first)
    renewed = office.connect(office.first).access_token
    assert renewed == token(office, tokens, office.first).bearer
    assert (True, SnoozedError) == (tokens.is_outdated(before), type(tokens.after_refusal(before, REFUSED)))
    assert renewed == token(office, tokens, office.first).bearer


def test_a_missing_scope_is_not_fixed_by_a_new_token(office: Office) -> None:
    office.connect(office.first)
    error = LocationError("not_authorized", "no")
    tokens = of(office)
    assert error is tokens.after_refusal(token(office, tokens, office.first), error)


def test_a_private_token_that_is_refused_stays_refused(office: Office) -> None:
    office.connect_private(office.first)
    tokens = of(office)
    private = token(office, tokens, office.first)
    assert (False, REFUSED) == (tokens.is_outdated(private), tokens.after_refusal(private, REFUSED))


def test_a_pause_names_the_token_that_was_refused_and_not_its_successor(office: Office) -> None:
    office.connect_private(office.first)
    before = Token(office.first, "the one before", fingerprint("the one before"))
    with office.engine.begin() as connection:
        stop_location(connection, before, REFUSED)
    assert fingerprint("the one before") == office.value("SELECT paused_token FROM etl.locations")
    assert "the one before" not in repr(before)


def test_a_token_that_has_expired_since_it_was_claimed_is_not_sent(office: Office) -> None:
    office.connect(office.first)
    tokens = of(office)
    expiring = replace(token(office, tokens, office.first), expires_at=0.0)
    item = Item("message", "MSG1", office.first, 1, 1, None, datetime(2026, 3, 1, tzinfo=UTC))
    client = Client(office.transport(), api_version="2021-07-28")
    before = office.sandbox.stats()["requests"]
    outcome = Pipeline({}, client, time.monotonic).process(Claimed(item, expiring, 0.0))
    assert (SnoozedError, True) == (type(outcome.error), tokens.is_outdated(expiring))
    assert before == office.sandbox.stats()["requests"]


def test_tokens_and_pauses_are_read_with_one_statement_for_a_whole_page(office: Office) -> None:
    office.execute(
        "INSERT INTO etl.locations (location_id, token_source, access_token, token_fingerprint) "
        "SELECT 'L' || n, 'private', :sealed, n::text FROM generate_series(1, 10000) AS n",
        sealed=office.vault.encrypt("t"),
    )
    names = [f"L{number}" for number in range(1, 65)]
    sent: list[str] = []

    def note(*arguments: Any) -> None:
        sent.append(arguments[2])

    event.listen(office.engine, "before_cursor_execute", note)
    served, stopped = resolved(office, of(office), *names)
    event.remove(office.engine, "before_cursor_execute", note)
    assert (names, {"t"}, {}) == (list(served), {each.bearer for each in served.values()}, stopped)
    assert len(sent) == 1

"""``etl locations``: lists, pauses, resumes and removes locations. Prints no token."""

import dataclasses
import sys
from collections import Counter

import click
from sqlalchemy import Connection

from etl.app.composition import oauth_of, routing_of, transport_of
from etl.app.warehouse import load_settings, warehouse
from etl.cli.options import JSON_LINES, YES, confirm
from etl.errors import ConfigurationError
from etl.ids import is_fetchable, problem_of
from etl.output import print_json, print_line, print_sentence, print_table
from etl.state import limits, message_queue, stored_tokens
from etl.state import locations as location_state
from etl.tokens import connecting
from etl.tokens.routing import TokenRouting
from etl.tokens.vault import UnreadableError, Vault
from etl.watch.advice import advice_on, as_served, cure_of, shown, state_of, unserved


def _read_ids(_context: click.Context, _parameter: click.Parameter, typed: tuple[str, ...]) -> tuple[str, ...]:
    """Return the ids; the word for the default location means the empty id."""
    ids = tuple("" if each == shown("") else each for each in typed)
    if problems := [problem_of(each) for each in ids if each and not is_fetchable(each)]:
        raise ConfigurationError(*problems)
    return ids


IDS = click.argument("ids", nargs=-1, required=True, metavar="ID…", callback=_read_ids)


@click.group()
def locations() -> None:
    """List, pause, resume or remove locations."""


@locations.command("list")
@JSON_LINES
def list_(*, as_json: bool) -> None:
    """List the locations, their tokens, and what to do where items wait.

    Also lists locations that are known only from items.
    """
    settings = load_settings()
    routing = routing_of(settings)
    with warehouse(settings) as engine, engine.connect() as connection:
        overviews = as_served(location_state.overview(connection), routing)
        companies = location_state.companies(connection)
        waiting = Counter[str]()
        for each in message_queue.depth(connection):
            waiting[each.location_id] += each.items
    names = {location.location_id for location in overviews}
    overviews += [location_state.Overview(name) for name in sorted(waiting.keys() - names)]
    without = set(unserved((location.location_id for location in overviews), overviews, routing))
    if as_json:
        for location in overviews:
            name = location.location_id
            more = {"items": waiting[name], "served": name not in without, "cure": cure_of(location)}
            print_json(dataclasses.asdict(location) | more)
        return
    if not overviews:
        print_line("no locations yet; connect some with: etl connect")
        return
    _print_overviews(overviews, waiting, without, routing)
    _print_companies(companies)
    for location in overviews:
        advice = advice_on(location)
        items = waiting[location.location_id]
        if advice is None and items and location.location_id in without:
            wait = f"{items} items wait" if items > 1 else "1 item waits"
            advice = f"{shown(location.location_id)} is not connected, {wait}. Connect it: etl connect"
        if advice is not None:
            print_sentence(advice)


@locations.command()
@IDS
@click.option("--reason", default="paused by hand", show_default=True, help="The reason that etl status shows.")
def pause(ids: tuple[str, ...], reason: str) -> None:
    """Stop fetching for locations. Their items wait until you resume them."""
    with warehouse(load_settings()) as engine, engine.begin() as connection:
        _require_known(connection, ids)
        for location_id in ids:
            location_state.pause(connection, location_id, cause=location_state.BY_HAND, detail=reason, token=None)
    print_line(f"{len(ids)} paused")


@locations.command()
@click.argument("ids", nargs=-1, metavar="[ID]…", callback=_read_ids)
@click.option(
    "--all", "every", is_flag=True, help="All that are paused or uninstalled, or wait for their daily allowance."
)
def resume(ids: tuple[str, ...], *, every: bool) -> None:
    """Fetch again for locations that are paused, uninstalled the app, or spent their daily allowance.

    Fix the cause of a pause first: etl locations list says how.
    """
    if bool(ids) == every:
        raise ConfigurationError("Say which: ids or --all")
    with warehouse(load_settings()) as engine, engine.begin() as connection:
        if every:
            ids = tuple(
                location.location_id
                for location in location_state.overview(connection)
                if cure_of(location) or location.blocked_cause
            )
        # A location may be both paused and blocked.
        resumed = [
            name for name in ids if any([location_state.resume(connection, name), limits.unblock(connection, name)])
        ]
    idle = [] if every else sorted(map(shown, set(ids) - set(resumed)))
    print_line(f"{len(resumed)} resumed" + (f"; not paused: {', '.join(idle)}" if idle else ""))


@locations.command()
@IDS
@click.option(
    "--company", is_flag=True, help="The ids are companies. Also removes the locations that use their tokens."
)
@YES
def remove(ids: tuple[str, ...], *, company: bool, yes: bool) -> None:
    """Delete the tokens of locations. Messages and waiting items stay."""
    confirm(f"Delete the tokens of {', '.join(map(shown, ids))} for good?", yes=yes)
    forget = location_state.remove_company if company else location_state.remove
    unknown = []
    with warehouse(load_settings()) as engine:
        for name in ids:
            with engine.begin() as connection:
                stored_tokens.lock(connection, "company" if company else "location", name)
                if not forget(connection, name):
                    unknown.append(shown(name))
    print_line(f"{len(ids) - len(unknown)} removed" + (f"; not known: {', '.join(unknown)}" if unknown else ""))
    sys.exit(1 if unknown else 0)


@locations.command()
def sync() -> None:
    """Add the new locations of connected companies."""
    settings = load_settings()
    with warehouse(settings) as engine, transport_of(settings) as transport:
        app = oauth_of(settings, transport)
        if app is None:
            raise ConfigurationError("HIGHLEVEL_CLIENT_ID and HIGHLEVEL_CLIENT_SECRET are not set")
        with engine.connect() as connection:
            companies = [
                each for each in location_state.companies(connection) if each.connected and not each.retired_at
            ]
        for company in companies:
            count = connecting.list_company(engine, Vault(settings.secret_keys), app, company.company_id)
            print_line(f"company {company.company_id}: {count} locations")
    if not companies:
        print_line("no company is connected; connect one with: etl connect --company")


@locations.command()
def rekey() -> None:
    """Encrypt every stored token with the newest key of ETL_SECRET_KEY.

    Afterwards you can remove the older keys.
    """
    settings = load_settings()
    if not settings.secret_keys:
        raise ConfigurationError("ETL_SECRET_KEY is not set")
    with warehouse(settings) as engine:
        try:
            count = connecting.rekey(engine, Vault(settings.secret_keys))
        except UnreadableError as error:
            raise ConfigurationError(f"A stored token cannot be read: {error}. See: etl doctor") from None
    print_line(f"{count} encrypted anew" if count else "everything is encrypted with the newest key")


def _require_known(connection: Connection, ids: tuple[str, ...]) -> None:
    """Check that each id is that of a location with a token, an event or items.

    Raises:
        ConfigurationError: some is not, so probably it is mistyped.
    """
    there = {location.location_id for location in location_state.overview(connection)}
    there |= {each.location_id for each in message_queue.depth(connection)}
    unknown = [each for each in ids if each and each not in there]
    if unknown:
        raise ConfigurationError(f"Not known: {', '.join(unknown)}. Nothing was paused. See: etl locations list")


def _print_overviews(
    overviews: list[location_state.Overview], waiting: Counter[str], without: set[str], routing: TokenRouting
) -> None:
    rows = []
    for each in overviews:
        state = state_of(each) if each.location_id not in without or cure_of(each) else "not connected"
        token, items = _token(each, routing), waiting[each.location_id]
        rows.append((shown(each.location_id), each.name, token, each.token_expires_at, items, state))
    print_table(("location", "name", "token", "expires", "items", "state"), rows, optional=("expires", "token"))


def _token(location: location_state.Overview, routing: TokenRouting) -> str:
    if routing.is_environment(location.location_id):
        return "environment"
    return location.token_source or ("company" if location.connected else "")


def _print_companies(companies: list[location_state.CompanyOverview]) -> None:
    rows = [(each.company_id, each.name, each.connected, each.token_expires_at, each.locations) for each in companies]
    if rows:
        print_table(("company", "name", "connected", "expires", "locations"), rows, title="companies")

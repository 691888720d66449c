"""``etl doctor``: checks everything that a run needs, and says how to fix what is wrong. Leaves nothing changed."""

import sys
from collections.abc import Iterator
from contextlib import ExitStack, suppress

import click
from sqlalchemy import Connection
from sqlalchemy.exc import DBAPIError, ProgrammingError

from etl.app.composition import address_of, client_of, require_known_recordings_urls, routing_of, transport_of
from etl.app.warehouse import described, load_settings, warehouse
from etl.cli.checks import (
    RENEWABLE,
    Check,
    of_api,
    of_app,
    of_budgets,
    of_days,
    of_keys,
    of_kinds,
    of_marts,
    of_pauses,
    of_probe,
    of_public,
    of_unserved,
    of_warehouse,
)
from etl.cli.options import JSON_LINES
from etl.config import jobs
from etl.config.jobs import Job
from etl.config.settings import Settings
from etl.database import distribution, roles, schema, views
from etl.database.connections import probe_writes
from etl.database.failures import NOT_GRANTED, first_line, sqlstate_of, unavailable
from etl.errors import EtlError, LocationError
from etl.kinds.audio import AudioStore
from etl.load import marts
from etl.output import counted, print_json, print_sentence
from etl.state import locations, mart_changes, message_queue, stored_tokens, windows
from etl.state.locations import Overview
from etl.tokens import probe
from etl.tokens.vault import UnreadableError, Vault
from etl.watch.advice import whose_webhooks

PROBED = 20
"""Locations whose tokens are tried, unless told to try all."""


@click.command()
@click.option("--offline", is_flag=True, help="Do not ask HighLevel.")
@click.option("--all", "every", is_flag=True, help=f"Try the tokens of all locations, not only of {PROBED}.")
@JSON_LINES
def doctor(*, offline: bool, every: bool, as_json: bool) -> None:
    """Check settings, jobs, database, keys and tokens, and say how to fix what is wrong.

    Sends at most one request for each location. Exits with 1 if a check fails.
    """
    failed = False
    for check in _checks(offline=offline, limit=None if every else PROBED):
        failed = failed or not check.ok
        if as_json:
            print_json(check)
            continue
        print_sentence(f"{'ok  ' if check.ok else 'FAIL'}  {check.name}: {check.says}", hang=6)
        for fix in (check.fix or "").splitlines() if not check.ok else ():
            print_sentence(fix, indent=6)
    sys.exit(1 if failed else 0)


def _checks(*, offline: bool, limit: int | None) -> Iterator[Check]:
    """Every check, as soon as it is done; what depends on a failed one is left out."""
    try:
        settings = load_settings()
    except EtlError as error:
        yield _failed("settings", error, fix="See the table of settings in docs/operations.md")
        return
    yield Check("settings", ok=True, says="understood")
    entries: dict[str, Job] = {}
    try:
        entries = jobs.read(settings.etl_jobs).named
        yield Check("jobs", ok=True, says=", ".join(entries))
    except EtlError as error:
        yield _failed("jobs", error)
    for job in entries.values():
        if job.recordings_url is not None:
            yield _of_recordings(job, job.recordings_url)
    with ExitStack() as opened:
        try:
            connection = opened.enter_context(opened.enter_context(warehouse(settings)).connect())
        except EtlError as error:
            yield _failed("database", error)
            return
        yield _of_database(connection, settings)
        yield of_public(roles.creators(connection))
        yield from of_warehouse(lambda: distribution.read(connection))
        yield Check("webhooks", ok=True, says=whose_webhooks(settings))
        try:
            yield from of_locations(connection, settings, offline=offline, limit=limit)
        except ProgrammingError as error:
            if sqlstate_of(error) != NOT_GRANTED:
                raise
            says = f"not checked: {first_line(error)}. Run etl doctor with the role of etl run, too"
            yield Check("tokens and queue", ok=True, says=says)


def _of_database(connection: Connection, settings: Settings) -> Check:
    """Whether it takes writes: a full disk shows only where something new is written."""
    try:
        is_tried = probe_writes(connection)
    except DBAPIError as error:
        return Check("database", ok=False, says=str(unavailable(error, connection.engine)))
    untried = "not read-only (more cannot be tried: the role may make no temporary tables)"
    writes = "takes writes" if is_tried else untried
    says = f"{described(settings)}, reachable, UTF8, {writes}, at revision {schema.HEAD}"
    return Check("database", ok=True, says=says)


def of_locations(connection: Connection, settings: Settings, *, offline: bool, limit: int | None) -> Iterator[Check]:
    """Yield the checks of keys, tokens and locations; of ``limit`` locations (None: all) the token is tried."""
    overviews = locations.overview(connection)
    vault = Vault(settings.secret_keys)
    yield of_keys(stored_tokens.all_encrypted(connection), vault, given=bool(settings.secret_keys))
    yield of_app(overviews, given=bool(settings.highlevel_client_id and settings.highlevel_client_secret))
    routing = routing_of(settings)
    connected = sum(location.connected for location in overviews)
    alone = ", but HIGHLEVEL_LOCATION_ID is not: it serves only items that name no location"
    is_set = "not set" if routing.token is None else "set" + ("" if routing.location_id else alone)
    yield Check(
        "tokens",
        ok=routing.token is not None or connected > 0,
        says=f"HIGHLEVEL_TOKEN is {is_set}; {counted(connected, 'location')} connected",
        fix="Set HIGHLEVEL_TOKEN to a private integration token, or connect locations with: etl connect",
    )
    yield of_pauses(overviews)
    yield from of_budgets(overviews)
    depth = message_queue.depth(connection)
    yield from of_days(views.without_zone(connection))
    yield of_marts(marts.as_of(connection), mart_changes.backlog(connection))
    yield of_unserved({each.location_id for each in depth if each.items}, overviews, routing)
    with suppress(EtlError):  # a jobs file that cannot be read was told above
        yield of_kinds({each.kind for each in depth} - {windows.KIND}, jobs.read(settings.etl_jobs).kinds)
    if offline:
        return
    tokens = _tokens(connection, settings, overviews, vault)
    renewable = {location.location_id for location in overviews if location.token_source in RENEWABLE}
    with transport_of(settings) as transport:
        client = client_of(settings, transport)
        unanswered: dict[str, list[str]] = {}
        for location_id, token in list(tokens.items())[:limit]:
            problem = probe.refusal(client, token)
            if problem is None or isinstance(problem, LocationError):
                yield of_probe(location_id, problem, may_expire=location_id in renewable)
            else:
                unanswered.setdefault(problem.detail, []).append(location_id)
        for detail, location_ids in unanswered.items():
            yield of_api(detail, location_ids, address=address_of(settings))
    if limit is not None and len(tokens) > limit:
        yield Check("token", ok=True, says=f"{len(tokens) - limit} more were not tried; --all tries them")


def _tokens(connection: Connection, settings: Settings, overviews: list[Overview], vault: Vault) -> dict[str, str]:
    """Return the token of each location that a run would use now, the environment's first."""
    routing = routing_of(settings)
    paused = {location.location_id for location in overviews if location.paused_at}
    tokens: dict[str, str] = {}
    if routing.token is not None and routing.location_id not in paused:
        tokens[routing.location_id] = routing.token
    names = [location.location_id for location in overviews if not location.paused_at and not location.retired_at]
    for name, status in stored_tokens.statuses(connection, names).items():
        expired = (status.seconds_left or 1.0) <= 0 and status.source != "private"
        if status.access_token is not None and not expired:
            with suppress(UnreadableError):  # told by the check of the keys
                tokens.setdefault(name, vault.decrypt(status.access_token))
    return tokens


def _of_recordings(job: Job, url: str) -> Check:
    """Whether audio can be kept: writes a small file and removes it."""
    name = f"recordings_url of {job.name}"
    try:
        require_known_recordings_urls([job])
        AudioStore(url).probe()
    except EtlError as error:
        fix = "Fix that address, or name another one in jobs.yaml; etl dead retry brings back what died meanwhile"
        return _failed(name, error, fix=fix)
    return Check(name, ok=True, says="can be written to")


def _failed(name: str, error: EtlError, *, fix: str | None = None) -> Check:
    return Check(name, ok=False, says="; ".join(str(error).splitlines()), fix=fix)

"""``etl doctor``: checks everything that a run needs, and says how to fix what is wrong. Leaves nothing changed.

No text holds a token.
"""

import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import KW_ONLY, dataclass
from datetime import datetime

import click
from sqlalchemy import Connection
from sqlalchemy.exc import DBAPIError, ProgrammingError

from etl.app.composition import address_of, audio_problem, client_of, routing_of, transport_of
from etl.app.warehouse import described, load_settings, warehouse
from etl.cli.options import JSON_LINES
from etl.config import jobs
from etl.config.settings import Settings
from etl.database import distribution, roles, schema, views
from etl.database.connections import probe_writes
from etl.database.failures import NOT_GRANTED, first_line, sqlstate_of, unavailable
from etl.errors import ConfigurationError, EtlError, LocationError
from etl.load import marts
from etl.output import counted, duration, print_json, print_sentence
from etl.state import mart_changes, stored_tokens
from etl.state.locations import Overview
from etl.tokens import probe
from etl.tokens.routing import LocationTokens
from etl.tokens.vault import UnreadableError, Vault
from etl.watch.advice import advice_on, shown, some, whose_webhooks
from etl.watch.figures import Figures, Surroundings, gather
from etl.watch.findings import findings

PROBED = 20
"""Most locations whose tokens are tried without --all."""
RENEWABLE = ("app", "company")
"""Sources of tokens that expire and are renewed."""
PATIENCE_SECONDS = 600.0
"""How long a change may wait for the job marts, which runs each minute and counts a long history in one run."""
ZONES = "Run the job locations, or: UPDATE highlevel.settings SET default_time_zone = …"
RENEWED = "A run renews it once; if that does not help: etl connect"
NEW_TOKEN = "Make a token with the scope conversations/message.readonly in HighLevel, and set it again"  # noqa: S105
AUDIO = "Fix that address, or name another one in jobs.yaml; then retry the dead letters: etl dead retry"


@dataclass(frozen=True, slots=True)
class Check:
    """One check and its verdict."""

    name: str
    _: KW_ONLY
    ok: bool
    says: str
    fix: str | None = None
    """The fix when it failed; None when ``says`` has it."""


@click.command()
@click.option("--offline", is_flag=True, help="Do not ask HighLevel.")
@click.option("--all", "every", is_flag=True, help=f"Try the tokens of all locations, not only of {PROBED}.")
@JSON_LINES
def doctor(*, offline: bool, every: bool, as_json: bool) -> None:
    """Check settings, jobs, database, keys and tokens, and say how to fix what is wrong.

    Also says what etl check finds in the database. Sends at most one request for each location. Exits with 1 if a check
    fails.
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
    """Yield every check as soon as it is done; what depends on a failed one is left out."""
    try:
        settings = load_settings()
    except EtlError as error:
        yield _failed("settings", error, fix="See the table of settings in docs/operations.md")
        return
    yield Check("settings", ok=True, says="understood")
    file: jobs.JobsFile | None = None
    try:
        file = jobs.read(settings.etl_jobs)
        yield Check("jobs", ok=True, says=", ".join(file.named))
    except EtlError as error:
        yield _failed("jobs", error)
    for job in file.named.values() if file else ():
        if job.recordings_url is not None:
            problem = audio_problem(job)
            says = problem or "can be written to"
            yield Check(f"recordings_url of {job.name}", ok=problem is None, says=says, fix=AUDIO)
    with ExitStack() as opened:
        try:
            connection = opened.enter_context(opened.enter_context(warehouse(settings)).connect())
        except EtlError as error:
            yield _failed("database", error)
            return
        yield _of_database(connection, settings)
        yield of_public(roles.creators(connection))
        yield from of_warehouse(connection)
        yield Check("webhooks", ok=True, says=whose_webhooks(settings))
        try:
            yield from of_work(connection, settings, file, offline=offline, limit=limit)
        except ProgrammingError as error:
            if sqlstate_of(error) != NOT_GRANTED:
                raise
            says = f"not checked: {first_line(error)}. Run etl doctor with the role of etl run, too"
            yield Check("tokens and queue", ok=True, says=says)


def _of_database(connection: Connection, settings: Settings) -> Check:
    """Check that it takes writes: a full disk shows only when something is written."""
    try:
        is_tried = probe_writes(connection)
    except DBAPIError as error:
        return Check("database", ok=False, says=str(unavailable(error, connection.engine)))
    untried = "not read-only (writing was not tried: this role may not make temporary tables)"
    writes = "takes writes" if is_tried else untried
    says = f"{described(settings)}, reachable, UTF8, {writes}, at revision {schema.HEAD}"
    return Check("database", ok=True, says=says)


def of_public(creators: Sequence[str]) -> Check:
    """Warn of roles that may plant functions in public; it never fails, since no session of ours looks there."""
    if not creators:
        return Check("schema public", ok=True, says="nobody else may create in it")
    who = ", ".join(creators)
    says = (
        f"open to {who}: what they define there is run by others who name no schema, though not by etl. "
        f"To close it: REVOKE CREATE ON SCHEMA public FROM {who}"
    )
    return Check("schema public", ok=True, says=says)


def of_warehouse(connection: Connection) -> Iterator[Check]:
    """Check that the tables are where they should be; nothing on a Postgres that is no Citus, or not used as one."""
    try:
        cluster = distribution.read(connection)
        if cluster is None or (cluster.is_coordinator and not cluster.is_distributed):
            return
        left = distribution.plan(cluster)
    except ConfigurationError as error:
        yield _failed("warehouse", error)
        return
    says = "; ".join(distribution.differences(cluster)) or f"{len(cluster.nodes)} nodes hold its rows"
    yield Check("warehouse", ok=not left, says=says)


def of_work(
    connection: Connection, settings: Settings, file: jobs.JobsFile | None, *, offline: bool, limit: int | None
) -> Iterator[Check]:
    """Yield the checks of keys, tokens and the work; of ``limit`` locations (None: all) the token is tried."""
    routing, vault = routing_of(settings), Vault(settings.secret_keys)
    figures = gather(connection, settings, routing)
    yield of_keys(stored_tokens.all_encrypted(connection), vault, given=bool(settings.secret_keys))
    yield of_app(figures.locations, given=bool(settings.highlevel_client_id and settings.highlevel_client_secret))
    connected = sum(location.connected for location in figures.locations)
    alone = ", but HIGHLEVEL_LOCATION_ID is not: it serves only items that name no location"
    is_set = "not set" if routing.token is None else "set" + ("" if routing.location_id else alone)
    yield Check(
        "tokens",
        ok=routing.token is not None or connected > 0,
        says=f"HIGHLEVEL_TOKEN is {is_set}; {counted(connected, 'location')} connected",
        fix="Set HIGHLEVEL_TOKEN to a private integration token, or connect locations with: etl connect",
    )
    yield from of_days(views.without_zone(connection))
    yield of_marts(marts.as_of(connection), mart_changes.backlog(connection))
    if file is not None:
        yield from of_findings(figures, file)
    if not offline:
        tokens = _tokens(connection, settings, figures.locations)
        yield from _of_tokens(settings, figures.locations, tokens, limit=limit)


def of_findings(figures: Figures, file: jobs.JobsFile) -> Iterator[Check]:
    """Yield a failed check for each finding of ``etl check`` in the database."""
    found = findings(figures, Surroundings(), alarms=file.alarms, jobs=file.named)
    advice = {shown(each.location_id): advice_on(each) for each in figures.locations}
    for each in found:
        fix = advice.get(each.subject) or each.fix
        yield Check(each.about, ok=False, says=each.summary(figures.taken_at), fix=fix)
    if not found:
        yield Check("work", ok=True, says="each location with items is served, and each kind of item has a job")


def _of_tokens(
    settings: Settings, overviews: Sequence[Overview], tokens: Mapping[str, str], *, limit: int | None
) -> Iterator[Check]:
    """Try tokens, each with one request."""
    renewable = {location.location_id for location in overviews if location.token_source in RENEWABLE}
    unanswered: dict[str, list[str]] = {}
    with transport_of(settings) as transport:
        client = client_of(settings, transport)
        for location_id, token in list(tokens.items())[:limit]:
            problem = probe.refusal(client, token)
            name = f"token of {shown(location_id)}"
            if problem is None:
                yield Check(name, ok=True, says="accepted")
            elif isinstance(problem, LocationError):
                yield Check(name, ok=False, says=problem.detail, fix=RENEWED if location_id in renewable else NEW_TOKEN)
            else:
                unanswered.setdefault(problem.detail, []).append(shown(location_id))
    for detail, names in unanswered.items():
        # An error of the API, or a wrong address.
        fix = f"HIGHLEVEL_BASE_URL is {address_of(settings)}: check it, and the network"
        if detail.startswith("the API answered 5"):
            fix = "HighLevel has trouble of its own, see https://status.gohighlevel.com. Items wait meanwhile"
        yield Check("api", ok=False, says=f"{detail}; asked for {some(names)}", fix=fix)
    if limit is not None and len(tokens) > limit:
        yield Check("token", ok=True, says=f"{len(tokens) - limit} more were not tried; --all tries them")


def _tokens(connection: Connection, settings: Settings, overviews: Sequence[Overview]) -> dict[str, str]:
    """Return the token of each location that a run would use now, the environment's first; renew none."""
    routing, vault = routing_of(settings), Vault(settings.secret_keys)
    tokens = LocationTokens(routing=routing, vault=vault, renewals=None, clock=time.monotonic)
    paused = {location.location_id for location in overviews if location.paused_at}
    names = [routing.location_id, *(location.location_id for location in overviews if not location.retired_at)]
    served, _ = tokens.resolve(connection, [name for name in names if name not in paused])
    return {name: token.bearer for name, token in served.items()}


def of_keys(stored: Sequence[tuple[stored_tokens.Owner, str, list[str]]], vault: Vault, *, given: bool) -> Check:
    """Check that the keys decrypt every stored token."""
    if not stored:
        return Check("keys", ok=True, says="no token is stored" + ("" if given else ", so no ETL_SECRET_KEY is needed"))
    unreadable = [shown(id_) for _, id_, texts in stored if not all(_opens(vault, each) for each in texts)]
    if unreadable:
        says = f"{len(unreadable)} of {len(stored)} stored tokens cannot be read: {some(unreadable)}"
        fix = "Put the key they were stored with back into ETL_SECRET_KEY (separated by a comma), or connect anew"
        return Check("keys", ok=False, says=says, fix=fix)
    old = sum(not all(map(vault.is_current, texts)) for _, _, texts in stored)
    more = f"; {old} need an older key: run etl locations rekey before you remove it" if old else ""
    return Check("keys", ok=True, says=f"ETL_SECRET_KEY decrypts all of {len(stored)} stored tokens{more}")


def of_app(overviews: Sequence[Overview], *, given: bool) -> Check:
    """Check that tokens that expire can be renewed."""
    renewed = sum(location.connected and location.token_source in (None, *RENEWABLE) for location in overviews)
    if renewed and not given:
        fix = "Set HIGHLEVEL_CLIENT_ID and HIGHLEVEL_CLIENT_SECRET"
        return Check("app", ok=False, says=f"the tokens of {renewed} locations cannot be renewed", fix=fix)
    needs = "1 location needs" if renewed == 1 else f"{renewed} locations need"
    return Check("app", ok=True, says=f"{needs} the OAuth app" + (", which is set" if given else ""))


def of_marts(as_of: datetime | None, backlog: mart_changes.Backlog) -> Check:
    """Check that the job of the marts keeps up with what is loaded."""
    filled = "not filled yet" if as_of is None else f"as of {as_of:%Y-%m-%d %H:%M}Z"
    waits = f"{counted(backlog.changes, 'change')} not counted yet"
    if backlog.changes:
        waits += f", the oldest {duration(backlog.seconds)} old"
    fix = "Run the job marts each minute: etl crontab prints its line, and etl run --follow does it by itself"
    return Check("marts", ok=backlog.seconds < PATIENCE_SECONDS, says=f"{filled}, {waits}", fix=fix)


def of_days(unzoned: Mapping[str, int]) -> Iterator[Check]:
    """Name the time zone of days where a location's own is not known; nothing where all are known."""
    for zone, count in unzoned.items():
        says = f"in {zone} for {counted(count, 'location')} without a known time zone. {ZONES}"
        yield Check("days", ok=True, says=says)


def _opens(vault: Vault, encrypted: str) -> bool:
    try:
        vault.decrypt(encrypted)
    except UnreadableError:
        return False
    return True


def _failed(name: str, error: EtlError, *, fix: str | None = None) -> Check:
    return Check(name, ok=False, says="; ".join(str(error).splitlines()), fix=fix)

"""Turns what the doctor finds into checks; pure except for decrypting. No text holds a token."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import KW_ONLY, dataclass
from datetime import datetime

from etl.database import distribution
from etl.database.distribution import Cluster
from etl.errors import ConfigurationError, LocationError
from etl.output import counted, duration
from etl.state.locations import Overview
from etl.state.mart_changes import Backlog
from etl.state.outcomes import SkipCause
from etl.state.stored_tokens import Owner
from etl.tokens.routing import TokenRouting
from etl.tokens.vault import UnreadableError, Vault
from etl.watch.advice import CONNECT, SHOWN, advice_on, shown, some, unserved

RENEWABLE = ("app", "company")
"""Sources of tokens that expire and are renewed."""


@dataclass(frozen=True, slots=True)
class Check:
    """One check and its verdict."""

    name: str
    _: KW_ONLY
    ok: bool
    says: str
    fix: str | None = None
    """The fix when it failed; None when ``says`` has it."""


def of_warehouse(read: Callable[[], Cluster | None]) -> Iterator[Check]:
    """Whether the tables are where they should be; nothing on a Postgres that is no Citus, or not used as one."""
    name = "warehouse"
    try:
        cluster = read()
        if cluster is None or (cluster.is_coordinator and not cluster.is_distributed):
            return
        left = distribution.plan(cluster)
    except ConfigurationError as error:
        yield Check(name, ok=False, says="; ".join(str(error).splitlines()))
        return
    says = "; ".join(distribution.differences(cluster)) or f"{len(cluster.nodes)} nodes hold its rows"
    yield Check(name, ok=not left, says=says)


def of_public(creators: Sequence[str]) -> Check:
    """Who may define what others run unawares; no session of ours looks there, so that nothing of ours fails."""
    if not creators:
        return Check("schema public", ok=True, says="nobody else may create in it")
    who = ", ".join(creators)
    says = (
        f"open to {who}: what they define there is run by others who name no schema, though not by etl. "
        f"To close it: REVOKE CREATE ON SCHEMA public FROM {who}"
    )
    return Check("schema public", ok=True, says=says)


def of_keys(stored: Sequence[tuple[Owner, str, list[str]]], vault: Vault, *, given: bool) -> Check:
    """Check that the keys decrypt every stored token."""
    if not stored:
        return Check("keys", ok=True, says="no token is stored" + ("" if given else ", so no ETL_SECRET_KEY is needed"))
    unreadable = [shown(id_) for _, id_, texts in stored if not all(_opens(vault, each) for each in texts)]
    if unreadable:
        says = f"{len(unreadable)} of {len(stored)} stored tokens cannot be read: {some(unreadable)}"
        fix = "Put the key they were stored with back into ETL_SECRET_KEY (separated by a comma), or connect anew"
        return Check("keys", ok=False, says=says, fix=fix)
    old = sum(not all(map(vault.is_current, texts)) for _, _, texts in stored)
    more = f"; {old} need an older key: etl locations rekey before dropping it" if old else ""
    return Check("keys", ok=True, says=f"ETL_SECRET_KEY decrypts all of {len(stored)} stored tokens{more}")


def of_app(overviews: Sequence[Overview], *, given: bool) -> Check:
    """Check that tokens that expire can be renewed."""
    renewed = sum(location.connected and location.token_source in (None, *RENEWABLE) for location in overviews)
    if renewed and not given:
        fix = "Set HIGHLEVEL_CLIENT_ID and HIGHLEVEL_CLIENT_SECRET"
        return Check("app", ok=False, says=f"the tokens of {renewed} locations cannot be renewed", fix=fix)
    needs = "1 location needs" if renewed == 1 else f"{renewed} locations need"
    return Check("app", ok=True, says=f"{needs} the OAuth app" + (", which is set" if given else ""))


def of_pauses(overviews: Sequence[Overview]) -> Check:
    """Check that no location is paused."""
    paused = [location for location in overviews if location.paused_at]
    if not paused:
        return Check("locations", ok=True, says="none is paused")
    fix = "\n".join(filter(None, map(advice_on, paused[:SHOWN])))
    names = [shown(location.location_id) for location in paused]
    return Check("locations", ok=False, says=f"paused: {some(names)}", fix=fix)


def of_budgets(overviews: Sequence[Overview]) -> Iterator[Check]:
    """Yield the locations whose allowance of the day is spent; nothing where it is not."""
    if spent := [location for location in overviews if location.blocked_cause == SkipCause.DAILY_BUDGET]:
        until = min(location.blocked_until for location in spent if location.blocked_until)
        names = [shown(location.location_id) for location in spent]
        says = f"spent for today: {some(names)}. Their items wait; HighLevel is asked again from {until:%H:%M %Z} on"
        fix = f"It comes back by itself. If HighLevel allows more already: etl locations resume {names[0]}"
        yield Check("daily allowance", ok=False, says=says, fix=fix)


def of_unserved(waiting: set[str], overviews: Sequence[Overview], routing: TokenRouting) -> Check:
    """Check that every location with items has a token."""
    waits = [shown(each) for each in unserved(waiting, overviews, routing)]
    return Check(
        "queue",
        ok=not waits,
        says=f"no token serves {some(waits)}, whose items wait" if waits else "every location with items has a token",
        fix=CONNECT,
    )


def of_kinds(waiting: set[str], taken: AbstractSet[str]) -> Check:
    """Check that every queued kind has a job."""
    untaken = sorted(waiting - taken)
    return Check(
        "kinds",
        ok=not untaken,
        says=f"no job takes items of kind {some(untaken)}, which wait" if untaken else "every queued kind has a job",
        fix="Upgrade, or add a job for that kind to jobs.yaml",
    )


PATIENCE_SECONDS = 600.0
"""How long a change may wait for the job of the marts: it runs each minute, and works out a long history in one go."""


def of_marts(as_of: datetime | None, backlog: Backlog) -> Check:
    """Whether the job of the marts keeps up with what is loaded."""
    filled = "never filled yet" if as_of is None else f"as of {as_of:%Y-%m-%d %H:%M}Z"
    waits = f"{counted(backlog.changes, 'change')} to be worked out"
    if backlog.changes:
        waits += f", the oldest {duration(backlog.seconds)} old"
    fix = "Run the job marts each minute: etl crontab prints its line, and etl run --follow does it by itself"
    return Check("marts", ok=backlog.seconds < PATIENCE_SECONDS, says=f"{filled}, {waits}", fix=fix)


ZONES = "Run the job locations, or: UPDATE highlevel.settings SET default_time_zone = …"


def of_days(unzoned: Mapping[str, int]) -> Iterator[Check]:
    """Where days are told in another time zone than the location's own; nothing where they are not."""
    for zone, count in unzoned.items():
        says = f"told in {zone} for {counted(count, 'location')} without a known time zone. {ZONES}"
        yield Check("days", ok=True, says=says)


def of_api(detail: str, location_ids: Sequence[str], *, address: str) -> Check:
    """Return the check for an API that did not answer: its own fault, or a wrong address."""
    if detail.startswith("the API answered 5"):
        fix = "HighLevel has trouble of its own, see https://status.gohighlevel.com. Items wait meanwhile"
    else:
        fix = f"HIGHLEVEL_BASE_URL is {address}: check it, and the way there"
    return Check("api", ok=False, says=f"{detail}; asked for {some(list(map(shown, location_ids)))}", fix=fix)


def of_probe(location_id: str, problem: LocationError | None, *, may_expire: bool) -> Check:
    """Return the check of one request with a location's token."""
    name = f"token of {shown(location_id)}"
    if problem is None:
        return Check(name, ok=True, says="accepted")
    if may_expire:
        fix = "A run renews it once; if that does not help: etl connect"
    else:
        fix = "Make a token with the scope conversations/message.readonly in HighLevel, and set it again"
    return Check(name, ok=False, says=problem.detail, fix=fix)


def _opens(vault: Vault, encrypted: str) -> bool:
    try:
        vault.decrypt(encrypted)
    except UnreadableError:
        return False
    return True

"""Reads the figures that say how the work goes."""

import shutil
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import datetime, timedelta

import requests
from sqlalchemy import Connection
from sqlalchemy.exc import DBAPIError

from etl.config.settings import Settings
from etl.database.connections import OpenTransaction, moment_of, open_transactions
from etl.database.failures import first_line
from etl.load import known
from etl.state import dead_letters, locations, message_queue, runs, samples, webhook_events, windows
from etl.state.locations import CompanyOverview, Overview
from etl.state.runs import ANSWERS, COUNTS
from etl.tokens.routing import TokenRouting
from etl.watch.advice import as_served, unserved

LATELY = timedelta(minutes=15)
"""Age of the oldest message that counts for the lag."""
RECEIVER_SECONDS = 5.0
"""How long the receiver may take to answer."""


@dataclass(frozen=True, slots=True)
class Figures:
    """The figures in the tables at one moment."""

    taken_at: datetime
    """By the clock of Postgres."""
    depth: Sequence[message_queue.Depth] = ()
    letters: Sequence[dead_letters.Tally] = ()
    locations: Sequence[Overview] = ()
    companies: Sequence[CompanyOverview] = ()
    unserved: Sequence[str] = ()
    """Locations that have items and no token."""
    last_seen: Mapping[str, datetime] = field(default_factory=dict)
    """When a run of each job was seen last."""
    rhythms: Sequence[webhook_events.Rhythm] = ()
    transactions: Sequence[OpenTransaction] = ()
    lost: Sequence[windows.Lost] = ()
    """The result of the last ``etl reconcile``."""
    totals: Mapping[str, Mapping[str, int]] = field(default_factory=dict)
    """Totals over all runs of each job."""
    endings: Sequence[tuple[str, str, int]] = ()
    """Job, outcome, and how many of its runs of the last day ended so."""
    last_event_at: datetime | None = None
    lag: tuple[float, float] | None = None
    """Seconds from a message of the last 15 minutes to its row: median and 95th percentile."""
    unreadable: str | None = None
    """Why the messages cannot be read, as where their node of Citus is away; None: they can."""

    @property
    def allowance_left(self) -> float | None:
        """Share of today's requests left, of the location with the least; None: no limit is known."""
        left = (
            max(each.daily_remaining or 0, 0) / each.daily_limit
            for each in self.locations
            if each.daily_limit and each.heard_at is not None
        )
        return min(left, default=None)


@dataclass(frozen=True, slots=True)
class Surroundings:
    """Figures that are not in Postgres; None: nothing is wrong, or it was not checked."""

    disk_free: float | None = None
    """Percent of the disk of the embedded Postgres."""
    audio: Mapping[str, str] = field(default_factory=dict)
    """Why jobs cannot keep audio, by the name of the job."""
    receiver: str | None = None
    """Why the receiver cannot store events."""


def gather(connection: Connection, settings: Settings, routing: TokenRouting) -> Figures:
    """Read the figures. Counts the whole queue once."""
    overviews = as_served(locations.overview(connection), routing)
    depth = message_queue.depth(connection)
    named = {each.location_id for each in overviews if each.connected and each.retired_at is None}
    named |= {settings.highlevel_location_id, *settings.webhook_locations} - {""}
    now = moment_of(connection)
    lag, unreadable = None, None
    try:
        with connection.begin_nested():
            lag = known.lag(connection, named, since=now - LATELY)
    except DBAPIError as error:
        if error.connection_invalidated:
            raise
        unreadable = first_line(error)
    return Figures(
        taken_at=now,
        depth=depth,
        letters=dead_letters.tallies(connection),
        locations=overviews,
        companies=locations.companies(connection),
        unserved=unserved({each.location_id for each in depth if each.items}, overviews, routing),
        last_seen=runs.last_seen(connection),
        rhythms=webhook_events.rhythms(connection, named),
        transactions=open_transactions(connection),
        lost=windows.lost(connection),
        totals=runs.totals(connection),
        endings=runs.endings(connection),
        last_event_at=webhook_events.last_at(connection),
        lag=lag,
        unreadable=unreadable,
    )


def sample_of(figures: Figures) -> dict[str, float]:
    """Return the numbers that are stored, for the plots of the page."""
    numbers: dict[str, float | None] = {
        f"{name}_total": sum(each[name] for each in figures.totals.values()) for name in (*COUNTS, *ANSWERS)
    }
    numbers |= {"due": sum(each.due for each in figures.depth), "allowance_left": figures.allowance_left}
    numbers |= dict(zip(("lag_p50", "lag_p95"), figures.lag or (), strict=False))
    return {name: float(number) for name, number in numbers.items() if number is not None}


def keep(connection: Connection, figures: Figures) -> None:
    """Store a sample, and commit; do nothing if the disk is full or the role may not."""
    with suppress(DBAPIError):
        samples.add(connection, sample_of(figures))
        connection.commit()
    connection.rollback()


def disk_free(settings: Settings) -> float | None:
    """Return the percent of the embedded Postgres's disk that are free; None without such a Postgres."""
    if settings.database_url is not None or not settings.embedded_directory.is_dir():
        return None
    usage = shutil.disk_usage(settings.embedded_directory)
    return 100 * usage.free / usage.total


def receiver_problem(url: str) -> str | None:
    """Return why the receiver at this URL cannot store events."""
    try:
        answer = requests.get(f"{url.rstrip('/')}/readyz", timeout=RECEIVER_SECONDS, allow_redirects=False)
    except requests.RequestException as error:
        return f"does not answer ({type(error).__name__})"
    if answer.ok:
        return None
    return f"cannot store events: {answer.text.strip()[:80] or answer.status_code}"

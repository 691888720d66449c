"""``etl status``: the queue, dead letters, locations with their limits, and the last runs."""

import dataclasses
from datetime import UTC, datetime

import click

from etl.app.composition import routing_of
from etl.app.warehouse import described, load_settings, warehouse
from etl.cli.doctor import of_marts
from etl.config import jobs
from etl.database import distribution
from etl.load import marts
from etl.output import duration, print_json, print_line, print_sentence, print_table
from etl.state import dead_letters, locations, mart_changes, message_queue, runs, windows
from etl.watch.advice import advice_on, as_served, ending, shown, state_of


@click.command()
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
def status(*, as_json: bool) -> None:
    """Show the queue, dead letters, locations with their limits, and the last runs."""
    settings = load_settings()
    taken = jobs.read(settings.etl_jobs).kinds
    with warehouse(settings) as engine, engine.connect() as connection:
        queue = message_queue.depth(connection)
        causes = dead_letters.causes(connection)
        overviews = as_served(locations.overview(connection), routing_of(settings))
        last = runs.latest(connection, 5)
        nodes = distribution.rows_by_node(connection)
        as_of, backlog = marts.as_of(connection), mart_changes.backlog(connection)
    if as_json:
        last_runs = [dataclasses.asdict(each) | {"state": runs.state_of(each)} for each in last]
        report = {"queue": queue, "dead_letters": causes, "locations": overviews, "runs": last_runs}
        report |= {"marts": {"as_of": as_of, "changes": backlog.changes, "seconds": backlog.seconds}}
        print_json(report | ({"nodes": nodes} if nodes else {}))
        return
    print_line(f"database: {described(settings)}")
    _print_queue(queue)
    for kind in sorted({each.kind for each in queue} - taken - {windows.KIND}):
        print_line(f"No job in jobs.yaml takes items of kind {kind}: they wait.")
    print_line("dead letters: " + (", ".join(f"{count} {cause}" for cause, count in causes.items()) or "none"))
    print_line(f"marts: {of_marts(as_of, backlog).says}")
    if nodes:
        print_table(("node", "messages, about"), nodes.items(), title="nodes")
    if overviews:
        _print_locations(overviews)
    if last:
        _print_runs(last)


def _print_queue(queue: list[message_queue.Depth]) -> None:
    if not queue:
        print_line("queue: empty")
        return
    rows = [
        (each.kind, shown(each.location_id), each.items, each.due, each.in_hand, _age(each.oldest)) for each in queue
    ]
    print_table(("kind", "location", "items", "due", "claimed", "oldest waits"), rows, title="queue")


def _print_locations(overviews: list[locations.Overview]) -> None:
    rows = [
        (shown(each.location_id), state_of(each), each.blocked_until, _requests(each), each.daily_remaining)
        for each in overviews
    ]
    header = ("location", "state", "until", "requests", "left today")
    print_table(header, rows, title="locations", optional=("requests",))
    for advice in filter(None, map(advice_on, overviews)):
        print_sentence(advice)


def _print_runs(last: list[runs.RunSummary]) -> None:
    rows = [
        (each.run_id, each.job, each.started_at, _ending(each), each.loaded, each.retried, each.snoozed, each.dead)
        for each in last
    ]
    header = ("run", "job", "started", "outcome", "loaded", "retried", "snoozed", "dead")
    print_table(header, rows, title="last runs", optional=("snoozed", "retried"))


def _requests(location: locations.Overview) -> str:
    """Return the requests that count now, of how many in which time."""
    if location.max_requests is None or location.interval_ms is None:
        return ""
    return f"{location.used} of {location.max_requests} in {location.interval_ms / 1000:g} s"


def _ending(run: runs.RunSummary) -> str:
    """Return how a run ended, or whether it is alive."""
    state, ago = runs.state_of(run), duration(run.unseen_seconds)
    if state == "ended":
        return ending(run.outcome, run.skipped)
    if state == "running":
        return f"running, seen {ago} ago"
    return f"failed {ago} ago" if run.finished_at else f"killed? seen {ago} ago"


def _age(since: datetime | None) -> str:
    if since is None:
        return ""
    seconds = (datetime.now(UTC) - since).total_seconds()  # noqa: TID251 - shown, not compared
    return duration(seconds) if seconds >= 0 else f"due in {duration(-seconds)}"

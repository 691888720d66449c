"""``etl enqueue``: refuses bad ids before anything is queued."""

import click

from etl.app.warehouse import load_settings, warehouse
from etl.cli.options import read_stdin
from etl.config import jobs
from etl.errors import ConfigurationError
from etl.ids import is_fetchable, problem_of
from etl.output import print_line
from etl.state import message_queue

SHOWN = 20
"""Refused ids that are listed one by one."""


@click.command()
@click.argument("ids", nargs=-1, required=True, metavar="ID…")
@click.option(
    "--kind", type=click.Choice(message_queue.KINDS), default="message", show_default=True, help="What the ids name."
)
@click.option("--location", "location_id", default="", help="Location of the messages. Default: HIGHLEVEL_LOCATION_ID.")
@click.option(
    "--priority",
    default=0,
    show_default=True,
    type=click.IntRange(-1000, 1000),
    help="Higher numbers are fetched first.",
)
def enqueue(ids: tuple[str, ...], kind: str, location_id: str, priority: int) -> None:
    """Queue messages to be fetched. "-" reads ids from standard input, one on each line.

    \b
    Example: etl enqueue 4zTrQpvWmSDG0cQ0bKYL
    Example: psql -Atc 'SELECT …' | etl enqueue -
    """
    settings = load_settings()
    taken = jobs.read(settings.etl_jobs).kinds
    if kind not in taken:
        raise ConfigurationError(
            f"No job in jobs.yaml takes items of kind {kind}, so they would wait forever. Nothing was queued. "
            f"Kinds with a job: {', '.join(sorted(taken))}"
        )
    if "-" in ids and len(ids) > 1:
        raise ConfigurationError('"-" reads ids from standard input and goes alone. Nothing was queued.')
    wanted = list(ids)
    if wanted == ["-"]:
        wanted = [line.strip() for line in read_stdin(". Nothing was queued.").splitlines() if line.strip()]
    problems = [problem for problem in map(problem_of, wanted) if problem is not None]
    if location_id and not is_fetchable(location_id):
        problems.append(f"--location {problem_of(location_id)}")
    if problems:
        more = [f"… and {len(problems) - SHOWN} more"] if len(problems) > SHOWN else []
        *others, last = (*problems[:SHOWN], *more)
        raise ConfigurationError(*others, f"{last}. Nothing was queued.")
    owner = location_id or settings.highlevel_location_id
    with warehouse(settings) as engine, engine.begin() as connection:
        added = message_queue.enqueue(connection, wanted, kind=kind, location_id=owner, priority=priority)
    repeated = len(set(wanted)) - added
    print_line(f"{added} queued" + (f", {repeated} already queued" if repeated else ""))

"""``etl metrics``: the figures of the work, where Prometheus cannot fetch them over HTTP."""

import click

from etl.app.composition import routing_of
from etl.app.warehouse import load_settings, warehouse
from etl.config import jobs
from etl.errors import DatabaseUnavailableError
from etl.output import print_lines
from etl.watch.metrics import text_of
from etl.watch.watcher import Watcher


@click.command()
def metrics() -> None:
    """Print the figures of the work in Prometheus' text format, as etl serve does at /metrics.

    For the textfile collector of node_exporter, which reads files of a folder. docs/watching.md lists the figures.

    \b
    Example: etl metrics > /var/lib/node_exporter/etl.prom.new && mv /var/lib/node_exporter/etl.prom{.new,}
    """
    settings = load_settings()
    with warehouse(settings, writes=False) as engine:
        look = Watcher(engine, settings, routing_of(settings), jobs.read(settings.etl_jobs)).look()
    if look is None:
        raise DatabaseUnavailableError(
            "The figures cannot be read: this role may not read them, or Postgres is too slow."
        )
    print_lines(text_of(look).decode())

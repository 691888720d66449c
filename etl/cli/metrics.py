"""``etl metrics``: the figures of the work for Prometheus, where it does not ask itself."""

import click

from etl.app.composition import watching
from etl.app.warehouse import load_settings, warehouse
from etl.config import jobs
from etl.errors import DatabaseUnavailableError
from etl.output import print_lines
from etl.watch.metrics import text_of


@click.command()
def metrics() -> None:
    """Print how the work goes in Prometheus' text format, as etl serve answers it at /metrics.

    For the textfile collector of node_exporter, which reads files of a folder. docs/watching.md lists what is told.

    \b
    Example: etl metrics > /var/lib/node_exporter/etl.prom.new && mv /var/lib/node_exporter/etl.prom{.new,}
    """
    settings = load_settings()
    with (
        warehouse(settings, writes=False) as engine,
        watching(settings, jobs.read(settings.etl_jobs), engine.url) as watcher,
    ):
        look = watcher.look()
    if look is None:
        raise DatabaseUnavailableError("The work cannot be looked at: the role may not, or Postgres is too slow.")
    print_lines(text_of(look).decode())

"""``etl dbt-sources``: the tables and views as sources of dbt."""

import click
import yaml

from etl.app.warehouse import load_settings, warehouse
from etl.database import dbt_sources as sources
from etl.database import dictionary
from etl.output import print_lines

HOURS = click.IntRange(min=1)


@click.command("dbt-sources")
@click.option("--schema", type=click.Choice(["highlevel", "etl"]), default="highlevel", show_default=True)
@click.option(
    "--warn-after", type=HOURS, default=24, show_default=True, help="Hours without a new row after which dbt warns."
)
@click.option(
    "--error-after", type=HOURS, default=72, show_default=True, help="Hours without a new row after which dbt fails."
)
def dbt_sources(*, schema: str, warn_after: int, error_after: int) -> None:
    """Print a sources file for dbt: tables, views, descriptions, tests, freshness.

    It needs dbt 1.10.5 or newer.

    \b
    Example: etl dbt-sources > models/highlevel.yml
    """
    with warehouse(load_settings(), writes=False) as engine, engine.connect() as connection:
        relations = dictionary.read(connection, schema)
    described = sources.sources(schema, relations, hours={"warn_after": warn_after, "error_after": error_after})
    document = yaml.safe_dump(described, sort_keys=False, allow_unicode=True, width=100)
    print_lines(document)

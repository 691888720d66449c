"""``etl dbt-sources``: the tables and views as sources of dbt."""

import click
import yaml

from etl.app.warehouse import load_settings, warehouse
from etl.database import dbt_sources as sources
from etl.database import dictionary
from etl.output import print_lines


@click.command("dbt-sources")
@click.option("--schema", type=click.Choice(["highlevel", "etl"]), default="highlevel", show_default=True)
def dbt_sources(*, schema: str) -> None:
    """Print a sources file for dbt: tables, views, descriptions, tests.

    It needs dbt 1.10.5 or newer.

    \b
    Example: etl dbt-sources > models/highlevel.yml
    """
    with warehouse(load_settings(), writes=False) as engine, engine.connect() as connection:
        relations = dictionary.read(connection, schema)
    document = yaml.safe_dump(sources.sources(schema, relations), sort_keys=False, allow_unicode=True, width=100)
    print_lines(document)

"""``etl db``: the schema, the roles, the embedded server."""

import os
import shutil
import sys
from collections import Counter
from collections.abc import Callable, Sequence
from functools import partial

import click
from sqlalchemy import Connection

from etl.app.warehouse import database_url, load_settings, warehouse
from etl.database import dictionary, distribution, embedded, narrowed, roles, schema
from etl.database.grants import SCHEMAS
from etl.database.retrying_transaction import PATIENCE, RetryingTransaction
from etl.database.urls import parse_url, without_secrets
from etl.errors import ConfigurationError
from etl.ids import problem_of
from etl.load import marts as mart_tables
from etl.output import counted, print_line, print_lines
from etl.state import mart_changes
from etl.worker import marts


@click.group()
def db() -> None:
    """Create, check and open the database."""


@db.command()
def upgrade() -> None:
    """Create or migrate the tables. You can repeat it at any time."""
    with warehouse(load_settings(), migrated=False, is_direct=True) as engine, engine.connect() as connection:
        before = schema.revision(connection)
        schema.upgrade(connection)
        after = schema.revision(connection)
        beside = schema.receivers_since(connection, before) if before and before != after else None
        granted = roles.granted(connection) if before != after else []
        spread = distribution.differences(distribution.read(connection))
        filling = mart_changes.backlog(connection).changes if mart_tables.as_of(connection) is None else 0
    print_line(f"at {after}, nothing to do" if before == after else f"upgraded from {before or 'empty'} to {after}")
    if filling:
        print_line(
            f"The job marts still has to count {counted(filling, 'change')}: until then, views have too few rows."
        )
    if beside:
        print_line(
            f"Restart etl serve and etl run. A receiver of revision {beside} or later can store events until then."
        )
    _tell_to_grant(granted)
    for difference in spread:
        print_line(difference, err=True)


def _tell_to_grant(granted: list[str]) -> None:
    if granted:
        print_line(
            f"Grant these roles again, with etl db grant-…, so that they may use what is new: {', '.join(granted)}",
            err=True,
        )


@db.command()
@click.argument("revision")
def downgrade(revision: str) -> None:
    """Go back to the tables of an older version, of this REVISION.

    Stop receivers and workers first. Afterwards install the older version and run its etl db upgrade, which makes its
    views. Refuses to go back if stored data would be lost.

    \b
    Example: etl db downgrade 0018
    """
    with warehouse(load_settings(), is_direct=True) as engine, engine.connect() as connection:
        missing = schema.downgrade(connection, revision)
        at = schema.revision(connection)
        granted = roles.granted(connection)
    print_line(f"went back from {schema.HEAD} to {at or 'empty'}")
    if missing:
        names = ", ".join(missing)
        print_line(f"Views that are gone until an etl db upgrade makes those that its version has: {names}", err=True)
    _tell_to_grant(granted)


@db.command()
def check() -> None:
    """Check that the tables are as this version expects.

    Exits with 1 if they are not.
    """
    with warehouse(load_settings(), is_direct=True) as engine, engine.connect() as connection:
        differences = schema.differences(connection) + distribution.differences(distribution.read(connection))
    for difference in differences:
        print_line(difference, err=True)
    print_line("models and schema differ" if differences else "models and schema agree")
    sys.exit(1 if differences else 0)


@db.command()
@click.option("--schema", type=click.Choice(SCHEMAS), default="highlevel", show_default=True)
def describe(*, schema: str) -> None:
    """Print what every table, view and column means, as Markdown."""
    with warehouse(load_settings(), writes=False) as engine, engine.connect() as connection:
        print_lines(dictionary.markdown(schema, dictionary.read(connection, schema)))


@db.command()
@click.option("--dry-run", is_flag=True, help="Print the statements and change nothing.")
def distribute(*, dry_run: bool) -> None:
    """On Citus: spread the warehouse over the nodes, by location.

    You can repeat it at any time. Writes to a table wait while its rows are copied.
    """
    with warehouse(load_settings(), is_direct=True) as engine, engine.connect() as connection:
        steps = distribution.plan(distribution.read(connection))
        connection.rollback()
        if dry_run and steps:
            print_lines(distribution.script(steps))
        elif not steps:
            print_line("the warehouse is distributed, nothing to do", err=dry_run)
        for step in () if dry_run else steps:
            print_line(f"{step[-1]} …")
            distribution.apply(connection, step)
        if not dry_run:
            schema.renew_views(connection)


@db.command("rebuild-marts")
def rebuild_marts() -> None:
    """Count turns, conversations and days anew, for the views that show them.

    The job marts counts them into tables. This command compares every row of these tables with the messages, corrects
    what differs, and exits with 1 if anything did. What was not counted yet is no difference.
    """
    with warehouse(load_settings()) as engine:
        transact = RetryingTransaction(engine, patience=PATIENCE, stopping=lambda: False)
        marts.work_out_all(transact)
        differed = Counter(
            table.__tablename__
            for location_id in transact(mart_tables.locations)
            for table, _ in marts.rebuild(transact, location_id)
        )
    for name, count in sorted(differed.items()):
        print_line(f"highlevel.{name}: {count} differed, and were corrected", err=True)
    print_line("the marts differed" if differed else "the marts agree with the messages")
    sys.exit(1 if differed else 0)


@db.command("grant-reader")
@click.argument("role")
@click.option("--without-words", is_flag=True, help="Hide texts, names, phone numbers, addresses and files.")
@click.option(
    "--location",
    "locations",
    metavar="ID",
    multiple=True,
    help="Hide the rows of other locations. You may repeat this option.",
)
@click.option("--schema", help="Name of the schema of its own.  [default: the name of the role]")
def grant_reader(role: str, *, without_words: bool, locations: tuple[str, ...], schema: str | None) -> None:
    """Let ROLE read the schema highlevel, and nothing else.

    With --without-words or --location, it reads a schema of its own instead. There are views with the names of our
    tables and views, which leave out the rest. Postgres ends its queries after 5 minutes. The role is created if it
    does not exist. Give it a password in psql: \\password ROLE

    \b
    Example: etl db grant-reader clinic --location ve9EPM428h8vShlRW1KT --without-words
    """
    for each in filter(None, map(problem_of, locations)):
        raise ConfigurationError(each)
    if without_words or locations:
        narrowing = narrowed.Narrowing(role, without_words=without_words, locations=locations)
        may = f"may read the schema {schema or role}, and nothing else"
        _grant(lambda on, _: roles.grant_narrowed_reader(on, narrowing, schema=schema), role, may, locations)
    elif schema is not None:
        raise ConfigurationError("--schema goes with --without-words or --location: others read highlevel itself.")
    else:
        _grant(roles.grant_reader, role, "may read the schema highlevel, and nothing else")


@db.command("grant-transformer")
@click.argument("role")
@click.option("--schema", help="The schema that it may write.  [default: the name of the role]")
def grant_transformer(role: str, *, schema: str | None) -> None:
    """Let ROLE read the schema highlevel and write a schema of its own: for dbt.

    It may let others read its schema. It cannot change anything in highlevel. Role and schema are created if they do
    not exist. Give the role a password in psql: \\password ROLE
    """
    may = f"may read the schema highlevel and write the schema {schema or role}, and nothing else"
    _grant(partial(roles.grant_transformer, schema=schema), role, may)


@db.command("grant-worker")
@click.argument("role")
def grant_worker(role: str) -> None:
    """Let ROLE do what etl run does, and nothing else.

    It reads and writes rows. It makes no tables and deletes no message. The role is created if it does not exist. Give
    it a password in psql: \\password ROLE
    """
    _grant(roles.grant_worker, role, "may do what etl run does, and nothing else")


@db.command("grant-receiver")
@click.argument("role")
def grant_receiver(role: str) -> None:
    """Let ROLE do what etl serve does, and nothing else.

    It stores webhooks and queues items. It reads no webhook and no token, and deletes nothing: let cron run etl prune.
    The role is created if it does not exist. Give it a password in psql: \\password ROLE
    """
    _grant(roles.grant_receiver, role, "may store webhooks and queue items, and nothing else")


def _grant(grant: Callable[[Connection, str], bool], role: str, may: str, locations: Sequence[str] = ()) -> None:
    with warehouse(load_settings()) as engine, engine.begin() as connection:
        created = grant(connection, role)
        left = roles.left_open(connection, role)
        silent = narrowed.without_messages(connection, locations) if locations else []
    for each in silent:
        print_line(f"There is no message of the location {each} yet.", err=True)
    print_line(f"{role} {'was created and ' if created else ''}{may}")
    for what, cure in left.items():
        print_line(
            f"Like every role, it may {what}. To end that, as the database's owner or a superuser: {cure}", err=True
        )


@db.command()
def url() -> None:
    """Print the URL of the database, with the password.

    Not for the arguments of a program, which everybody on the machine can read: use etl db psql.
    """
    address = parse_url(database_url(load_settings()))
    print_line(address.set(drivername="postgresql").render_as_string(hide_password=False))


@db.command(context_settings={"ignore_unknown_options": True})
@click.argument("arguments", nargs=-1, type=click.UNPROCESSED)
def psql(arguments: tuple[str, ...]) -> None:
    """Open psql on the database, with any ARGUMENTS of psql's.

    Uses the psql on your PATH, or else the one of the embedded Postgres. Names without a schema are looked up in the
    schema highlevel.

    \b
    Example: etl db psql -c "SELECT count(*) FROM messages"
    """
    address, password = without_secrets(parse_url(database_url(load_settings())))
    program = shutil.which("psql") or embedded.psql()
    if program is None:
        raise ConfigurationError("There is no psql on your PATH. Install the client of PostgreSQL, or use: etl db url")
    # Functions in the schema public, where anybody may create some, are not executed.
    environment = os.environ | {"PGOPTIONS": f"{os.environ.get('PGOPTIONS', '')} -c search_path=highlevel,pg_temp"}
    # The password goes through the environment: arguments can be seen by everybody on the machine.
    environment |= {"PGPASSWORD": password} if password else {}
    sys.stdout.flush()
    os.execve(program, ["psql", address.render_as_string(), *arguments], environment)  # noqa: S606 - the user asked for it


@db.command()
def stop() -> None:
    """Stop the embedded Postgres. The next command starts it again."""
    stopped = embedded.stop(load_settings().embedded_directory)
    print_line("stopped" if stopped else "it was not running")

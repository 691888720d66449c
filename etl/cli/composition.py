"""Builds the parts from the settings: the only module that knows both."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager

from sqlalchemy import Engine

from etl import __version__, schema
from etl.database import open_engine, reading_errors, require_utf8
from etl.errors import ConfigurationError
from etl.extract.client import Client
from etl.extract.tokens import StaticToken
from etl.jobs import Job
from etl.logging_setup import configure
from etl.pipeline import DatabaseClock, Pipeline
from etl.runs import Tally
from etl.settings import Settings, read
from etl.worker.claims import Claims
from etl.worker.loop import Loop, Plan
from etl.worker.settlement import Settlement


def settings() -> Settings:
    """The settings of this process, with logging set up as they say."""
    found = read()
    configure(found.log_level, found.log_format)
    return found


def database_url(found: Settings) -> str:
    """The warehouse's URL; starts the embedded server when none is set."""
    if found.database_url is not None:
        return found.database_url.get_secret_value()
    from etl import embedded

    return embedded.start(found.embedded_directory)


@contextmanager
def warehouse(found: Settings, *, migrated: bool = True) -> Iterator[Engine]:
    """An engine on a database that was checked: reachable, UTF8 and, unless told otherwise, at head.

    Raises:
        EtlError: it is not.
    """
    engine = open_engine(database_url(found))
    try:
        with reading_errors():
            with engine.connect() as connection:
                require_utf8(connection)
                if migrated:
                    schema.require_head(connection)
            yield engine
    finally:
        engine.dispose()


def build_loop(
    found: Settings, engine: Engine, job: Job, plan: Plan, *, progress: Callable[[Tally], None] = lambda _: None
) -> Loop:
    """A run of ``job``, ready to start.

    Raises:
        ConfigurationError: there is no token.
    """
    if found.highlevel_token is None:
        raise ConfigurationError(
            "HIGHLEVEL_TOKEN is not set. Make a private integration token in HighLevel (Settings > Private "
            "Integrations, scope conversations/message.readonly) and export it, or put it into .env"
        )
    token = StaticToken(found.highlevel_token.get_secret_value(), found.highlevel_location_id)
    clock = DatabaseClock()
    client = Client(
        base_url=str(found.highlevel_base_url),
        api_version=found.highlevel_api_version,
        pool_size=job.concurrency,
        user_agent=f"highlevel-etl/{__version__}",
    )
    return Loop(
        engine=engine,
        claims=Claims(kind=job.kind, tokens=token),
        process=Pipeline(client=client, token_of=token.token_of, clock=clock).process,
        settlement=Settlement(max_attempts=job.max_attempts, fingerprint=token.fingerprint),
        clock=clock,
        plan=plan,
        progress=progress,
    )

"""Builds the parts from the settings: the only module that knows both."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager

from sqlalchemy import Engine

from etl import __version__, location_tokens, schema
from etl.database import open_engine, reading_errors, require_utf8
from etl.errors import ConfigurationError
from etl.extract.client import Client
from etl.extract.oauth import OAuth
from etl.extract.renewal import Renewal
from etl.extract.renewal_threads import WORKERS, Renewals
from etl.extract.tokens import LocationTokens, StaticToken
from etl.extract.vault import Vault
from etl.jobs import Job
from etl.logging_setup import configure
from etl.pipeline import DatabaseClock, Pipeline
from etl.runs import Tally
from etl.settings import Settings, read
from etl.worker.claims import Claims
from etl.worker.loop import Loop, Plan
from etl.worker.settlement import Settlement

USER_AGENT = f"highlevel-etl/{__version__}"

NO_TOKENS = (
    "There is no token: HIGHLEVEL_TOKEN is not set and no location is connected. Make a private integration token in "
    "HighLevel (Settings > Private Integrations, scope conversations/message.readonly) and export it or put it into "
    ".env; or connect locations with: etl connect"
)

POOL = 4 + 2 * WORKERS
"""Connections a command may open: the loop's, the leases', the listener's, and two for each token being renewed."""


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
    engine = open_engine(database_url(found), pool_size=POOL)
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
        ConfigurationError: there is no token, neither in the environment nor stored.
    """
    tokens = location_tokens_of(found, engine)
    clock = DatabaseClock()
    client = Client(
        base_url=str(found.highlevel_base_url),
        api_version=found.highlevel_api_version,
        pool_size=job.concurrency,
        user_agent=USER_AGENT,
    )
    pipeline = Pipeline(client=client, token_of=tokens.token_of, clock=clock, refused=tokens.refused)
    return Loop(
        engine=engine,
        claims=Claims(kind=job.kind, tokens=tokens),
        process=pipeline.process,
        settlement=Settlement(max_attempts=job.max_attempts, fingerprint=tokens.fingerprint),
        clock=clock,
        plan=plan,
        progress=progress,
    )


def location_tokens_of(found: Settings, engine: Engine) -> LocationTokens:
    """The environment's token and the stored ones, with what renews them.

    Raises:
        ConfigurationError: there is neither.
    """
    static = static_token(found)
    if static is None:
        with reading_errors(), engine.connect() as connection:
            if not location_tokens.any_connected(connection):
                raise ConfigurationError(NO_TOKENS)
    renewal = Renewal(engine=engine, vault=Vault(found.secret_keys), oauth=oauth_app(found))
    return LocationTokens(
        static=static,
        default_location=found.highlevel_location_id,
        vault=Vault(found.secret_keys),
        renewals=Renewals(renewal.renew),
    )


def static_token(found: Settings) -> StaticToken | None:
    """The environment's token, if there is one."""
    if found.highlevel_token is None:
        return None
    return StaticToken(found.highlevel_token.get_secret_value(), found.highlevel_location_id)


def oauth_app(found: Settings) -> OAuth | None:
    """The OAuth app, if it is set up."""
    if found.highlevel_client_id is None or found.highlevel_client_secret is None:
        return None
    return OAuth(
        base_url=str(found.highlevel_base_url),
        client_id=found.highlevel_client_id,
        client_secret=found.highlevel_client_secret.get_secret_value(),
        user_agent=USER_AGENT,
    )

"""``etl serve``: builds the receiver from the settings and runs it."""

from contextlib import ExitStack

import click
import structlog
from starlette.routing import Route

from etl import listening, packaged
from etl.app.checking import watching
from etl.app.warehouse import database_url, load_settings
from etl.cli.options import MAX_DAYS, listen_at
from etl.config import jobs
from etl.config.settings import Settings
from etl.database import schema
from etl.database.connections import open_async_engine, open_engine, require_utf8
from etl.database.failures import reading_errors
from etl.database.urls import parse_url
from etl.errors import ConfigurationError, DatabaseUnavailableError
from etl.output import print_line
from etl.receive import public_keys
from etl.receive.app import build_app
from etl.receive.metrics import Metrics
from etl.receive.policy import Policy
from etl.receive.server import allow_connections, server_of
from etl.receive.storage import Storage
from etl.state import message_queue
from etl.watch.advice import whose_webhooks
from etl.watch.metrics import text_of
from etl.watch.page import Page
from etl.watch.site import routes
from etl.watch.watcher import Watcher

CONNECTIONS = 2
"""To Postgres: one stores events, one checks Postgres and deletes old events."""

LIMITS = {"statement_timeout": "1s", "lock_timeout": "300ms", "synchronous_commit": "on"}
"""Short waits for Postgres; and no answer before the event is on disk, even where that is switched off."""


@click.command()
@click.option("--host", default="127.0.0.1", show_default=True, help="0.0.0.0 lets other machines connect.")
@click.option("--port", default=8080, show_default=True, type=click.IntRange(0, 65535), help="0 takes any free port.")
@click.option(
    "--metrics-port",
    type=click.IntRange(0, 65535),
    help="Answer /readyz and /metrics only at this port, so that no proxy shows them by mistake.",
)
def serve(host: str, port: int, metrics_port: int | None) -> None:
    """Receive webhooks: check the signature, store, then answer.

    HighLevel posts to /webhooks/highlevel. A workflow posts to /webhooks/workflow, if WEBHOOK_WORKFLOW_SECRET is set.
    Put a proxy with TLS in front of it: see docs/operations.md.

    \b
    Example: etl serve --port 8080
    """
    settings = load_settings()
    file, kinds, keep_days = _with_jobs(settings)
    keys = public_keys.read(settings.webhook_ed25519_public_key, settings.webhook_rsa_public_key)
    secret = settings.webhook_workflow_secret
    policy = Policy(
        app_id=settings.app_id,
        home=settings.highlevel_location_id,
        locations=frozenset(settings.webhook_locations),
        max_age=settings.webhook_max_age,
        kinds=kinds,
        dropped_types=frozenset(settings.webhook_drop_types),
    )
    metrics = Metrics()
    if not settings.app_id and not settings.webhook_locations:
        # To the log: a full disk there stops nothing.
        structlog.get_logger("etl.receive").warning("webhooks_of_anybody", means=whose_webhooks(settings))
    # Before anybody can connect, since it may take seconds.
    url = _database_url(settings)
    with ExitStack() as opened:
        listeners = [opened.enter_context(listen_at(host, each)) for each in (port, metrics_port) if each is not None]
        addresses = [listening.url_of(each) for each in listeners]
        storage = Storage(
            open_async_engine(url, pool_size=CONNECTIONS, settings=LIMITS), metrics=metrics, keep_days=keep_days
        )
        watcher = opened.enter_context(watching(settings, file, url))
        app = build_app(
            storage=storage,
            keys=keys,
            policy=policy,
            workflow_secret=secret.get_secret_value() if secret else None,
            metrics=metrics,
            work=lambda: text_of(watcher.look()),
            pages=_pages(settings, watcher, opened),
            private_port=listeners[1].getsockname()[1] if len(listeners) > 1 else None,
        )
        allow_connections()
        listening.serve(server_of(app), *listeners, on_ready=lambda: print_line(_greeting(settings, *addresses)))


def _with_jobs(settings: Settings) -> tuple[jobs.JobsFile, frozenset[str], float]:
    """Return jobs.yaml, the kinds of items to queue, and for how many days events are kept.

    A mistake in jobs.yaml stops no webhook: every kind is queued then, and no event is deleted.
    """
    try:
        file = jobs.read(settings.etl_jobs)
    except ConfigurationError as error:
        means = (
            "items of every kind are queued, and no old event is deleted, until it is corrected and etl serve restarted"
        )
        structlog.get_logger("etl.receive").error("jobs_file_not_read", problems=error.args, means=means)
        return jobs.read(packaged("jobs.yaml")), frozenset(message_queue.KINDS), MAX_DAYS
    return file, file.kinds, file.retention.webhook_events or settings.webhook_keep_days


def _pages(settings: Settings, watcher: Watcher, opened: ExitStack) -> list[Route]:
    """Return the routes of the page, which is rendered every half minute while the receiver serves."""
    if settings.etl_page_password is None:
        return []
    page = Page(watcher)
    page.start()
    opened.callback(page.end)
    return routes(page, settings.etl_page_password.get_secret_value())


def _greeting(settings: Settings, url: str, private_url: str | None = None) -> str:
    routes = ["/webhooks/highlevel", *(["/webhooks/workflow"] if settings.webhook_workflow_secret else [])]
    private = f", /readyz and /metrics on {private_url}" if private_url else ""
    return f"Receiving on {url} at {' and '.join(routes)}{private} (Ctrl-C stops it)"


def _database_url(settings: Settings) -> str:
    """Return the URL of the database. The receiver also starts while Postgres is away, and answers 429.

    Raises:
        ConfigurationError: Postgres answers, but cannot be used as it is.
    """
    # Nothing can be stored until a lost connection is noticed, so it must be noticed within seconds.
    parsed = parse_url(database_url(settings))
    noticed = parsed.update_query_dict({"tcp_user_timeout": "3000"} | dict(parsed.query))
    url = noticed.render_as_string(hide_password=False)
    engine = open_engine(url, pool_size=1)
    try:
        with reading_errors(engine), engine.connect() as connection:
            require_utf8(connection)
            if schema.revision(connection) is None:
                schema.require_head(connection)
            elif problem := schema.mismatch(connection):
                print_line(f"{problem} Events are stored meanwhile if the tables allow it: see /readyz.", err=True)
    except DatabaseUnavailableError as error:
        print_line(f"{error}. Events are refused until it can.", err=True)
    finally:
        engine.dispose()
    return url

"""``etl sandbox``: reads options and prints; the sandbox is in :mod:`etl.sandbox`."""

import signal
from datetime import UTC, datetime
from pathlib import Path
from threading import Event
from typing import Any

import click
from pydantic import ValidationError

from etl.cli.options import FiniteRange, combined, listen_at
from etl.listening import serve, url_of
from etl.output import print_line, print_lines
from etl.sandbox.config import SandboxConfig
from etl.sandbox.dataset import Dataset, newest_for
from etl.sandbox.faults import FaultPlan
from etl.sandbox.keys import SandboxKeys
from etl.sandbox.send import Traffic
from etl.sandbox.send import send as send_webhooks
from etl.sandbox.server import server_of

DATA = combined(
    click.option("--messages", default=1000, show_default=True, type=click.IntRange(1), help="Number of messages."),
    click.option("--locations", default=3, show_default=True, type=click.IntRange(1), help="Number of locations."),
    click.option("--seed", default=1, show_default=True, help="Another seed gives other ids and texts."),
    click.option(
        "--until",
        type=click.DateTime(["%Y-%m-%d"]),
        default=lambda: f"{datetime.now(UTC):%Y-%m-%d}",  # noqa: TID251 - today, for the one who types it
        show_default="today",
        help="The last message is sent when this day begins (UTC).",
    ),
)
"""Which data there is: serving and sending must agree on it."""


@click.group(invoke_without_command=True)
@click.option("--host", default="127.0.0.1", show_default=True)
@click.option("--port", default=8399, show_default=True, type=click.IntRange(0, 65535), help="0 takes any free port.")
@DATA
@click.option("--limit", default=100, show_default=True, type=click.IntRange(0), help="Requests in 10 s; 0: no limit.")
@click.option("--faults", default="{}", help="Faults to show, as JSON; see docs/sandbox.md.")
@click.pass_context
def sandbox(
    context: click.Context, /, host: str, port: int, limit: int, faults: str, until: datetime, **data: int
) -> None:
    """Serve a HighLevel look-alike on this machine, for demos and tests.

    Prints what to paste into another terminal to use it.

    \b
    Example: etl sandbox --faults '{"latency": 0.1, "shares": {"5xx": 0.05}}'
    """
    if context.invoked_subcommand is not None:
        return
    try:
        plan = FaultPlan.model_validate_json(faults)
    except ValidationError as error:
        wrong = "; ".join(
            ": ".join(filter(None, (".".join(map(str, each["loc"])), each["msg"]))) for each in error.errors()
        )
        raise click.UsageError(f"--faults is not understood: {wrong}") from error
    listener = listen_at(host, port)
    newest = newest_for(until.replace(tzinfo=UTC), **data)
    config = SandboxConfig(limit=limit or None, daily=200_000 if limit else None, faults=plan, newest=newest, **data)
    url = url_of(listener)
    serve(server_of(config), listener, on_ready=lambda: print_lines(_instructions(url, config)))


def _instructions(url: str, config: SandboxConfig) -> str:
    data = config.dataset()
    location_id = data.location_ids[0]
    chosen = config.model_dump(include={"seed", "locations", "messages"}, exclude_defaults=True)
    given = "".join(f" --{name} {value}" for name, value in chosen.items())
    return (
        f"Sandbox: {config.messages} messages in {config.locations} locations on {url} (Ctrl-C stops it).\n"
        f"All locations, tokens and routes: curl {url}/sandbox\n"
        "\n"
        f"export HIGHLEVEL_BASE_URL={url} HIGHLEVEL_TOKEN=pit-sandbox-{location_id}"
        f" HIGHLEVEL_LOCATION_ID={location_id}\n"
        "etl db upgrade\n"
        f"etl enqueue {' '.join(data.ids(location_id)[:3])}\n"
        "etl run\n"
        "\n"
        "To have webhooks sent, start a receiver with the keys that sign them:\n"
        'eval "$(etl sandbox keys)"; etl serve\n'
        f"etl sandbox send{given} --to http://127.0.0.1:8080/webhooks/highlevel   # in another terminal"
    )


KEYS = click.option(
    "--keys",
    "keys_directory",
    default=Path(".etl/sandbox-keys"),
    show_default=True,
    type=click.Path(path_type=Path, file_okay=False),
    help="Signing keys.",
)


@sandbox.command()
@KEYS
def keys(keys_directory: Path) -> None:
    """Print the keys that sign webhooks, as a receiver wants them.

    \b
    Example: eval "$(etl sandbox keys)"; etl serve
    """
    print_line(_export(SandboxKeys.load_or_create(keys_directory)))


def _export(keys: SandboxKeys) -> str:
    return "export " + " ".join(f"{name}={value}" for name, value in keys.environment().items())


@sandbox.command()
@click.option("--to", "to_url", required=True, help="URL of the receiver, https://…/webhooks/highlevel.")
@click.option(
    "--count",
    default=100,
    show_default=True,
    type=click.IntRange(0),
    help="Number of webhooks, duplicates not counted.",
)
@click.option(
    "--rate", default=20.0, show_default=True, type=FiniteRange(0, min_open=True), help="Webhooks in a second."
)
@DATA
@click.option(
    "--duplicates", default=0.0, type=FiniteRange(0, 1), help="Share of webhooks that are sent twice, from 0 to 1."
)
@click.option(
    "--bad-signatures",
    default=0.0,
    type=FiniteRange(0, 1),
    help="Share of webhooks with a wrong signature, from 0 to 1.",
)
@KEYS
def send(
    *, to_url: str, seed: int, locations: int, messages: int, until: datetime, keys_directory: Path, **traffic: Any
) -> None:
    """Post signed webhooks to a receiver, as HighLevel would.

    The receiver has to know the keys that sign them: start it with those of etl sandbox keys.

    Exits with 1 if an event was never answered 200, or a forged one was.

    \b
    Example: etl sandbox send --to http://127.0.0.1:8080/webhooks/highlevel
    """
    keys = SandboxKeys.load_or_create(keys_directory)
    print_line(f"The receiver accepts these webhooks with: {_export(keys)}")
    stop = Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: stop.set())
    newest = newest_for(until.replace(tzinfo=UTC), seed=seed, locations=locations, messages=messages)
    dataset = Dataset(seed, locations, messages, newest=newest)
    report = send_webhooks(to_url, dataset=dataset, keys=keys, traffic=Traffic(**traffic), stop=stop.is_set)
    statuses = ", ".join(f"{status}: {count}" for status, count in sorted(report.statuses.items())) or "no answers"
    took = f"{len(report.acknowledged)} acknowledged, {len(report.unacknowledged)} not"
    forged = f"{report.accepted_forgeries} forgeries accepted."
    print_line(f"{report.sent} sent in {report.seconds:.1f} s ({statuses}); {took}, {forged}")
    if report.unacknowledged or report.accepted_forgeries:
        raise click.exceptions.Exit(1)

"""``etl sandbox``: only reads options and prints; the work is in :mod:`etl.sandbox`."""

import json
import os
import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from threading import Event
from typing import TYPE_CHECKING, Any, TypeVar

import click

from etl.cli.numbers import FiniteRange

if TYPE_CHECKING:
    from etl.sandbox.config import SandboxConfig
    from etl.sandbox.send import Report

Command = TypeVar("Command", bound=Callable[..., Any])

SHARE = FiniteRange(0, 1)
FAULTS = {"error_429": "429", "error_5xx": "5xx", "drop": "drop", "malformed": "malformed"}


def _data_options(command: Command) -> Command:
    """The options that decide which data there is; serving and sending must agree on them."""
    for option in (
        click.option("--messages", default=1000, show_default=True, type=click.IntRange(1), help="How many."),
        click.option("--locations", default=3, show_default=True, type=click.IntRange(1), help="How many."),
        click.option("--seed", default=1, show_default=True, help="Another seed, other ids and texts."),
    ):
        command = option(command)
    return command


@click.group(invoke_without_command=True)
@click.option("--host", default="127.0.0.1", show_default=True)
@click.option("--port", default=8399, show_default=True, type=click.IntRange(0, 65535), help="0: any free one.")
@_data_options
@click.option("--documented-share", default=0.15, show_default=True, type=SHARE, help="Answers without wrapper.")
@click.option("--limit", default=100, show_default=True, type=click.IntRange(1), help="Requests per 10 s.")
@click.option("--no-limit", is_flag=True, help="No rate limit at all.")
@click.option("--daily", default=200_000, show_default=True, type=click.IntRange(0), help="Requests a day.")
@click.option("--window", default="sliding", show_default=True, type=click.Choice(["sliding", "fixed"]))
@click.option("--latency", default=0.0, show_default=True, type=FiniteRange(0), help="Seconds an answer takes.")
@click.option("--error-429", default=0.0, type=SHARE, help="Share of requests told to slow down.")
@click.option("--error-5xx", default=0.0, type=SHARE, help="Share of requests that fail with 500-504.")
@click.option("--drop", default=0.0, type=SHARE, help="Share of connections dropped.")
@click.option("--malformed", default=0.0, type=SHARE, help="Share of answers with broken JSON.")
@click.option("--ready-file", type=click.Path(path_type=Path), help="Write the URL here when serving.")
@click.pass_context
def sandbox(context: click.Context, /, host: str, port: int, ready_file: Path | None, **options: Any) -> None:
    """A HighLevel look-alike on this machine, for demos, tests and load.

    Prints what to paste to try the product against it:

        etl sandbox --error-5xx 0.05 --drop 0.01
    """
    if context.invoked_subcommand is None:
        _serve(_config(options), host, port, ready_file)


def _config(options: dict[str, Any]) -> "SandboxConfig":
    from etl.sandbox.config import SandboxConfig

    latency = options.pop("latency")
    shares = {kind: options.pop(name) for name, kind in FAULTS.items()}
    if sum(shares.values()) > 1:
        raise click.UsageError("the shares of what goes wrong add up to more than 1")
    if options.pop("no_limit"):
        options |= {"limit": None, "daily": None}
    faults = {"latency": latency, "shares": {kind: share for kind, share in shares.items() if share}}
    return SandboxConfig(faults=faults, **options)


def _serve(config: "SandboxConfig", host: str, port: int, ready_file: Path | None) -> None:
    from etl.sandbox.server import listen, serve, url_of

    try:
        listener = listen(host, port)
    except OSError as error:
        reason = os.strerror(error.errno) if error.errno and error.errno > 0 else error.strerror
        raise click.UsageError(f"cannot listen on {host}:{port}: {reason}. Try another --port.") from error
    url = url_of(listener)

    def announce(_server: object) -> None:
        click.echo(_instructions(url, config))
        if ready_file is not None:
            ready_file.write_text(f"{url}\n")

    serve(config, listener, on_ready=announce)


def _instructions(url: str, config: "SandboxConfig") -> str:
    location_id = config.dataset().location_ids[0]
    return (
        f"Sandbox: {config.messages} messages in {config.locations} locations on {url} (Ctrl-C stops it).\n"
        f"All locations, tokens and routes: curl {url}/sandbox\n"
        "\n"
        f"export HIGHLEVEL_BASE_URL={url} HIGHLEVEL_TOKEN=pit-sandbox-{location_id}"
        f" HIGHLEVEL_LOCATION_ID={location_id}\n"
        f"curl -s '{url}/sandbox/ids?limit=10&location_id={location_id}' | etl enqueue -\n"
        "etl run"
    )


@sandbox.command()
@click.option("--to", "to_url", required=True, help="The receiver, https://…/webhooks/highlevel.")
@click.option("--count", default=100, show_default=True, type=click.IntRange(0), help="Webhooks, besides duplicates.")
@click.option("--rate", default=20.0, show_default=True, type=FiniteRange(0, min_open=True), help="A second.")
@_data_options
@click.option("--scheme", default="both", show_default=True, type=click.Choice(["ed25519", "rsa", "both"]))
@click.option("--duplicates", default=0.0, type=SHARE, help="Share delivered twice.")
@click.option("--reorder", default=0, type=click.IntRange(0), help="Places a webhook may come early or late.")
@click.option("--bad-signatures", default=0.0, type=SHARE, help="Share signed wrongly.")
@click.option("--retries", default=5, show_default=True, type=click.IntRange(0), help="After a 429 or no answer.")
@click.option("--concurrency", default=8, show_default=True, type=click.IntRange(1), help="Connections.")
@click.option(
    "--keys",
    "keys_directory",
    default=Path(".etl/sandbox-keys"),
    show_default=True,
    type=click.Path(path_type=Path, file_okay=False),
    help="Where the signing keys are kept.",
)
@click.option("--json", "as_json", is_flag=True, help="The report as JSON.")
def send(*, to_url: str, locations: int, messages: int, keys_directory: Path, as_json: bool, **traffic: Any) -> None:
    """Post signed webhooks to a receiver, as HighLevel would.

    Exits 1 when something was never acknowledged or a forgery was accepted.

        etl sandbox send --to http://127.0.0.1:8080/webhooks/highlevel --count 1000 --rate 50
    """
    from etl.sandbox.dataset import Dataset
    from etl.sandbox.deliveries import Traffic
    from etl.sandbox.keys import SandboxKeys
    from etl.sandbox.send import send as send_webhooks

    keys = SandboxKeys.load_or_create(keys_directory)
    if not as_json:
        environment = " ".join(f"{name}={value}" for name, value in keys.environment().items())
        click.echo(f"The receiver accepts these webhooks with: export {environment}")
    with _stopped_by_signals() as stop:
        dataset = Dataset(traffic["seed"], locations, messages)
        report = send_webhooks(to_url, dataset=dataset, keys=keys, traffic=Traffic(**traffic), stop=stop)
    click.echo(json.dumps(_as_json(report)) if as_json else _as_text(report))
    if report.unacknowledged or report.accepted_forgeries:
        raise click.exceptions.Exit(1)


@contextmanager
def _stopped_by_signals() -> Iterator[Callable[[], bool]]:
    """Remember Ctrl-C and SIGTERM instead of ending the process; yields whether one came."""
    stopping = Event()
    numbers = (signal.SIGINT, signal.SIGTERM)
    before = [signal.signal(number, lambda *_: stopping.set()) for number in numbers]
    try:
        yield stopping.is_set
    finally:
        for number, handler in zip(numbers, before, strict=True):
            signal.signal(number, handler)


def _as_json(report: "Report") -> dict[str, object]:
    return {
        "sent": report.sent,
        "statuses": dict(report.statuses),
        "acknowledged": len(report.acknowledged),
        "unacknowledged": len(report.unacknowledged),
        "accepted_forgeries": report.accepted_forgeries,
        "p50_seconds": round(report.p50, 4),
        "p99_seconds": round(report.p99, 4),
        "seconds": round(report.seconds, 3),
    }


def _as_text(report: "Report") -> str:
    statuses = ", ".join(f"{status}: {count}" for status, count in sorted(report.statuses.items()))
    return (
        f"{report.sent} sent in {report.seconds:.1f} s ({statuses or 'no answers'}); "
        f"p50 {report.p50 * 1000:.0f} ms, p99 {report.p99 * 1000:.0f} ms; "
        f"{len(report.acknowledged)} acknowledged, {len(report.unacknowledged)} not, "
        f"{report.accepted_forgeries} forgeries accepted."
    )

"""``etl demo``: the whole story on this machine, with data of its own that no real warehouse sees."""

import os
import re
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from textwrap import dedent
from typing import get_args

import click
from pydantic import AnyHttpUrl, SecretStr
from sqlalchemy import Engine, text

from etl.app.warehouse import database_url, load_settings, warehouse
from etl.cli.crontab import program
from etl.config.jobs import MARTS, KindName
from etl.config.settings import Settings
from etl.database import schema
from etl.errors import ConfigurationError
from etl.output import print_line, print_lines, print_table
from etl.sandbox.config import SandboxConfig
from etl.sandbox.keys import SandboxKeys
from etl.sandbox.send import Traffic, send
from etl.sandbox.server import SandboxProcess
from etl.state import message_queue, runs

ANNOUNCED = 0.8
"""The share of the messages that webhooks name; the others are history."""
CALLS = text("""
    SELECT message_id FROM highlevel.messages JOIN highlevel.meta USING (location_id, message_id)
    WHERE location_id = :location_id AND message_type = 'TYPE_CALL' AND call_duration > 0
""")
# Pages of the export would bring the history, too, which a step of its own is about.
JOBS = "jobs:\n  messages: {bulk: off}\n" + "".join(
    f"  {kind}s: {{kind: {kind}}}\n" for kind in get_args(KindName) if kind not in ("message", MARTS)
)
"""A job for each kind."""
LIMIT = 5_000
"""Requests in 10 s that the demo's sandbox allows: HighLevel's own 100 would make this a film of two minutes."""

ROWS = {
    "highlevel.messages_flat: every message, with the names that belong to it": """
        SELECT message_id, contact_name, channel, left(body, 20) AS body
        FROM highlevel.messages_flat
        WHERE location_id = :location_id AND body > '' AND with_contact AND channel <> 'Email'
        ORDER BY date_added DESC, message_id LIMIT 5""",
    "highlevel.emails": """
        SELECT email_id, sender, left(subject, 20) AS subject FROM highlevel.emails
        WHERE location_id = :location_id AND subject > ''
        ORDER BY date_added DESC, email_id LIMIT 3""",
    "highlevel.calls, with what was said": """
        SELECT message_id, call_outcome, call_duration, left(transcript, 20) AS transcript
        FROM highlevel.calls
        WHERE location_id = :location_id AND has_transcript
        ORDER BY date_added DESC, message_id LIMIT 3""",
}

QUESTIONS = {
    "How much is said on each channel, and in which direction?": """
        SELECT channel, sum(messages) FILTER (WHERE direction = 'inbound') AS inbound,
               sum(messages) FILTER (WHERE direction = 'outbound') AS outbound
        FROM highlevel.daily_messages
        GROUP BY channel ORDER BY sum(messages) DESC LIMIT 5""",
    "Who answers customers, and how soon?": """
        SELECT coalesce(answered_by, 'nobody') AS answered_by, count(*) AS turns,
               date_trunc('second', percentile_cont(0.5) WITHIN GROUP
                   (ORDER BY answered_at - date_added)) AS median_wait
        FROM highlevel.response_times
        GROUP BY answered_by ORDER BY turns DESC""",
    "How do calls end, and how long do they last?": """
        SELECT call_outcome, count(*) AS calls,
               round(avg(call_duration)) AS average_seconds
        FROM highlevel.calls
        GROUP BY call_outcome ORDER BY calls DESC""",
}


@click.command()
@click.option(
    "--messages", default=1000, show_default=True, type=click.IntRange(1, 100_000), help="Number of messages."
)
@click.pass_context
def demo(context: click.Context, messages: int) -> None:
    """Show the whole story on this machine, without an account.

    Starts an embedded Postgres, a HighLevel look-alike and the receiver, sends signed webhooks, runs the jobs, loads
    history, and shows the tables. Uses a database of its own, under .etl/demo. Each call adds other messages.
    """
    outer = load_settings()
    home = outer.etl_home / "demo"
    # Take no other setting: neither the account nor the database of somebody who has both.
    settings = Settings(etl_home=home, log_level=outer.log_level, log_format=outer.log_format)
    _step(1, "An embedded Postgres")
    with warehouse(settings, migrated=False) as engine:
        with engine.connect() as connection:
            schema.upgrade(connection)
            earlier = runs.count(connection)
        print_line(f"runs in {settings.embedded_directory}, at revision {schema.HEAD}")
        jobs_file = home.absolute() / "jobs.yaml"
        jobs_file.write_text(JOBS, encoding="utf-8")
        _step(2, "A HighLevel look-alike")
        config = SandboxConfig(seed=earlier + 1, locations=1, messages=messages, limit=LIMIT, daily=None)
        with SandboxProcess(config) as sandbox:
            print_line(f"serves {messages} messages on {sandbox.url}")
            if earlier:
                print_line("other messages than last time")
            location_id = sandbox.location_ids[0]
            ours = settings.model_copy(
                update={
                    "highlevel_base_url": AnyHttpUrl(sandbox.url),
                    "highlevel_token": SecretStr(sandbox.token(location_id)),
                    "highlevel_location_id": location_id,
                    "etl_jobs": jobs_file,
                }
            )
            _deliver(ours, engine, sandbox, messages)
            _step(4, "The job fetches, transforms and loads them")
            codes = [_run(ours, "run", "messages")]
            _step(5, "History that no webhook named")
            codes += [_run(ours, "backfill", "--since", "2026-01-01")]
            _step(6, "Emails, audio, transcripts and names follow from them")
            _enqueue_calls(ours, engine)
            codes += [_run(ours, "run", "--quiet")]
            _show(engine, location_id)
    print_lines(
        f"""Look around:
  ETL_HOME={home} {program()} db psql
When done:
  ETL_HOME={home} {program()} db stop
With your account: see the README, "Use it with your account"."""
    )
    context.exit(max(codes))


def _deliver(ours: Settings, engine: Engine, sandbox: SandboxProcess, messages: int) -> None:
    """Have the sandbox send webhooks to a receiver, as HighLevel would: some twice, some forged."""
    keys = SandboxKeys.load_or_create(ours.etl_home / "sandbox-keys", rsa_bits=2048)
    genuine = Traffic(count=max(round(messages * ANNOUNCED), 1), duplicates=0.05)
    forged = Traffic(count=max(messages // 50, 1), bad_signatures=1.0)
    with _receiver(ours, keys.environment()) as url:
        _step(3, "Signed webhooks name the messages")
        print_line(f"etl serve receives on {url}")
        target = f"{url}/webhooks/highlevel"
        reports = {
            "genuine, some twice": send(target, dataset=sandbox.dataset, keys=keys, traffic=genuine),
            "forged": send(target, dataset=sandbox.dataset, keys=keys, traffic=forged),
        }
    for kind, report in reports.items():
        answers = ", ".join(f"{count} answered {status}" for status, count in sorted(report.statuses.items()))
        print_line(f"{report.sent} sent, {kind}: {answers}")
    with engine.connect() as connection:
        waiting: Counter[str] = Counter()
        for each in message_queue.depth(connection):
            waiting[each.kind] += each.items
    holds = ", ".join(f"{count} of kind {kind}" for kind, count in waiting.items())
    print_line(f"etl.message_queue holds {holds or 'nothing'}")
    print_line("a webhook that comes twice queues its message once")


@contextmanager
def _receiver(ours: Settings, keys: Mapping[str, str]) -> Iterator[str]:
    """Yield a receiver in a process of its own, on any free port; its URL."""
    # A log line for each webhook would hide the story.
    environment = _environment(ours, LOG_LEVEL="error", **keys)
    command = [sys.executable, "-m", "etl", "serve", "--port", "0"]
    with subprocess.Popen(command, env=environment, cwd=ours.etl_home, stdout=subprocess.PIPE, text=True) as process:
        try:
            greeting = re.search(r"http://\S+", process.stdout.readline()) if process.stdout else None
            if greeting is None:
                raise ConfigurationError("The receiver did not start; its message is above.")
            yield greeting.group()
        finally:
            process.terminate()


def _enqueue_calls(ours: Settings, engine: Engine) -> None:
    location_id = ours.highlevel_location_id
    with engine.begin() as connection:
        calls = list(connection.execute(CALLS, {"location_id": location_id}).scalars())
        for kind in ("recording", "transcription"):
            message_queue.enqueue(connection, calls, kind=kind, location_id=location_id)
    print_line("the job asks for recordings and transcripts some minutes after a call; in this demo, at once")


def _run(ours: Settings, *command: str) -> int:
    """Run a command as its user would; return its exit code."""
    print_line(f"$ etl {' '.join(command)}")
    sys.stdout.flush()
    etl = [sys.executable, "-m", "etl", *command]
    return subprocess.run(etl, env=_environment(ours), cwd=ours.etl_home, check=False).returncode


def _environment(ours: Settings, **more: str) -> dict[str, str]:
    """Return the environment of the demo's commands, which run where there is no .env."""
    names = {field.upper() for field in Settings.model_fields}
    others = {name: value for name, value in os.environ.items() if name.removesuffix("_FILE") not in names}
    token = ours.highlevel_token
    return others | {
        "ETL_HOME": str(ours.etl_home.resolve()),
        "DATABASE_URL": database_url(ours),
        "HIGHLEVEL_BASE_URL": str(ours.highlevel_base_url),
        "HIGHLEVEL_TOKEN": token.get_secret_value() if token else "",
        "HIGHLEVEL_LOCATION_ID": ours.highlevel_location_id,
        "ETL_JOBS": str(ours.etl_jobs),
        **more,
    }


def _show(engine: Engine, location_id: str) -> None:
    _step(7, "What analysts see")
    with engine.connect() as connection:
        for title, query in (ROWS | QUESTIONS).items():
            result = connection.execute(text(query), {"location_id": location_id} if title in ROWS else {})
            heading = f"{title}\n{dedent(query).strip()}" if title in QUESTIONS else title
            print_table(list(result.keys()), [tuple(row) for row in result], title=heading, always=True)


def _step(number: int, title: str) -> None:
    click.secho(f"{number}. {title}", bold=True)  # noqa: TID251 - bold, and our own words

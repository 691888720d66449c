"""Holds only the commands: they read settings, build the parts, call them, and print.

The module of a command is imported when the command is called, so that a cron line loads only what it uses.
"""

import gc
import importlib

import click

from etl import __version__

COMMANDS = {
    "demo": "Show the whole story on this machine, without an account.",
    "init": "Write a first jobs.yaml and .env.",
    "db": "Create, check and open the database.",
    "enqueue": "Queue messages to be fetched.",
    "run": "Fetch the messages that are due, load them, and exit.",
    "backfill": "Load the history of a location.",
    "reconcile": "Find and queue what webhooks missed.",
    "serve": "Receive webhooks.",
    "events": "List, show, replay or delete received webhooks.",
    "connect": "Connect locations: store their tokens.",
    "locations": "List, pause, resume or remove locations.",
    "status": "Show the queue, dead letters, locations and last runs.",
    "check": "Say what is wrong, since when, and how to fix it; for cron.",
    "notify": "Send a test to the addresses for notices.",
    "metrics": "Print the figures of the work, for Prometheus.",
    "queue": "List, show, cancel or retry the items of the queue.",
    "dead": "List, show, retry or delete what failed for good.",
    "forget": "Erase a contact for good, wherever it is.",
    "prune": "Delete what is older than the retention in jobs.yaml.",
    "report": "Write a page with plots of what was loaded.",
    "dbt-sources": "Print the tables and views as sources of dbt.",
    "doctor": "Check everything a run needs, and say how to fix what is wrong.",
    "crontab": "Print lines for cron, from the schedules in jobs.yaml.",
    "docs": "Print a page of the documentation.",
    "sandbox": "Serve a HighLevel look-alike for demos and tests.",
}


class _LazyGroup(click.Group):
    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002 - click's signature
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:  # noqa: ARG002
        if cmd_name not in COMMANDS:
            return None
        name = cmd_name.replace("-", "_")
        command: click.Command = getattr(importlib.import_module(f"etl.cli.{name}"), name)
        if not gc.isenabled():
            # etl.__main__ switched it off: looking for garbage while modules are imported, which all stay, took a third
            # of the start.
            gc.freeze()
            gc.enable()
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:  # noqa: ARG002
        with formatter.section("Commands"):
            formatter.write_dl(list(COMMANDS.items()))


@click.command(cls=_LazyGroup, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
@click.version_option(__version__, prog_name="highlevel-etl")
def cli() -> None:
    """Load HighLevel conversations into your own Postgres.

    \b
    First time:   etl demo
    For real:     export HIGHLEVEL_TOKEN=…    (and DATABASE_URL=postgresql://…)
                  etl db upgrade
                  etl enqueue MESSAGE_ID …
                  etl run

    \b
    More:         etl docs    (the pages that are named docs/….md)

    \b
    Exit codes:   0 done
                  1 done, but items became dead letters, or a check failed
                  2 wrong usage or configuration
                  3 nothing could be done now, e.g. Postgres cannot be reached
    """

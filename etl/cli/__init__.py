"""The commands, and nothing but: they read settings, build the parts, call them, and print.

Each command's module is imported when it is called, so that a cron line pays only for what it uses.
"""

import importlib

import click

from etl import __version__

COMMANDS = {
    "demo": "See the whole story on this machine, without an account.",
    "db": "Migrate and inspect the warehouse's schema.",
    "enqueue": "Queue messages to be fetched.",
    "run": "Fetch what is due, load it, and exit.",
    "serve": "Receive webhooks.",
    "events": "List, show, replay or purge the webhooks received.",
    "connect": "Connect locations: OAuth, or a token of their own.",
    "locations": "List, pause, resume or remove locations.",
    "status": "Show the queue, dead letters, locations and last runs.",
    "dead": "List, show, retry or purge dead letters.",
    "doctor": "Check everything a run needs, and say how to fix what is wrong.",
    "crontab": "Print cron lines for the schedules in jobs.yaml.",
    "sandbox": "Serve a HighLevel look-alike for demos and tests.",
}


class _LazyGroup(click.Group):
    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002 - click's signature
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:  # noqa: ARG002
        if cmd_name not in COMMANDS:
            return None
        command: click.Command = getattr(importlib.import_module(f"etl.cli.{cmd_name}"), cmd_name)
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:  # noqa: ARG002
        with formatter.section("Commands"):
            formatter.write_dl(list(COMMANDS.items()))


@click.command(cls=_LazyGroup, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
@click.version_option(__version__, prog_name="highlevel-etl")
def cli() -> None:
    """HighLevel conversations in your own Postgres.

    \b
    First time:   etl demo
    For real:     export HIGHLEVEL_TOKEN=…          (and DATABASE_URL=postgresql://…)
                  etl db upgrade
                  etl enqueue MESSAGE_ID …
                  etl run

    Exit codes: 0 done, 1 done but items died (or a check failed), 2 usage or configuration,
    3 stopped with work left that could not be done now.
    """  # noqa: D301 - \b is click's mark for a paragraph that keeps its lines

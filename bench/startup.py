"""An empty ``etl run``, as cron starts it every minute, beside Python importing what any such program imports."""

import sys
from statistics import median

from bench import process
from bench.report import Target, print_table, print_targets, ratio
from bench.stage import Stage

IMPORTS = "import requests, sqlalchemy, psycopg, alembic"


def measure(on: Stage, *, rounds: int) -> list[Target]:
    """Start both in turns, print how long they took, and return the target."""
    on.clear()
    commands = {
        f'python -c "{IMPORTS}"': [sys.executable, "-c", IMPORTS],
        "etl run, nothing to do": [sys.executable, "-m", "etl", "run", "messages"],
    }
    environment = on.environment(HIGHLEVEL_TOKEN="none", HIGHLEVEL_BASE_URL="http://127.0.0.1:9")  # noqa: S106
    embedded = {name: value for name, value in environment.items() if name != "DATABASE_URL"}
    seconds: dict[str, list[float]] = {name: [] for name in (*commands, "the same, on the embedded Postgres")}
    for turn in range(-1, rounds):
        for name, measured in seconds.items():
            command = commands.get(name, [sys.executable, "-m", "etl", "run", "messages"])
            finished = process.run(
                command, environment=environment if name in commands else embedded, directory=on.directory
            )
            if turn >= 0:
                measured.append(finished.seconds)
    imports, run = (seconds[name] for name in commands)
    print_table(
        f"Start-up, {rounds} rounds in turns",
        ["", "seconds", "least", "most", "÷ the imports"],
        [[name, median(each), min(each), max(each), ratio(each, imports)] for name, each in seconds.items()],
    )
    targets = [Target(claim="an empty etl run ÷ importing its libraries", figure=ratio(run, imports), at_most=2.0)]
    print_targets(targets)
    return targets

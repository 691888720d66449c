"""An empty ``etl run``, as cron starts it every minute, beside Python importing what any such program imports."""

import sys
from statistics import median

from bench import process
from bench.process import Finished
from bench.report import Target, print_table, print_targets, ratio
from bench.stage import Stage

FEWEST = "import requests, sqlalchemy.dialects.postgresql, psycopg"
"""What no program can do without that asks an API and writes to Postgres with SQLAlchemy."""
IMPORTS = f"{FEWEST}, click, pydantic, structlog, yaml"
"""What a run cannot do without that also reads options, settings and jobs.yaml, and logs."""


def measure(on: Stage, *, rounds: int) -> list[Target]:
    """Start both in turns, print how long they took, and return the target."""
    on.clear()
    run = [sys.executable, "-m", "etl", "run", "messages"]
    environment = on.environment(HIGHLEVEL_TOKEN="none", HIGHLEVEL_BASE_URL="http://127.0.0.1:9")  # noqa: S106
    embedded = {name: value for name, value in environment.items() if name != "DATABASE_URL"}
    contenders = {
        "importing what a run needs": ([sys.executable, "-c", IMPORTS], environment),
        f'python -c "{FEWEST}"': ([sys.executable, "-c", FEWEST], environment),
        "etl run, nothing to do": (run, environment),
        "the same, on the embedded Postgres": (run, embedded),
    }
    measured: dict[str, list[Finished]] = {name: [] for name in contenders}
    for turn in range(-1, rounds):
        for name, (command, variables) in contenders.items():
            finished = process.run(command, environment=variables, directory=on.directory)
            if turn >= 0:
                measured[name].append(finished)
    imports, _, idle, _ = ([each.processor for each in of] for of in measured.values())
    print_table(
        f"Start-up, {rounds} rounds in turns",
        ["", "seconds", "processor seconds", "least", "most", "÷ the imports'"],
        [_row(name, of, imports) for name, of in measured.items()],
    )
    claim = "processor time of an empty etl run ÷ that of importing its libraries"
    targets = [Target(claim=claim, figure=ratio(idle, imports), at_most=1.3)]
    print_targets(targets)
    return targets


def _row(name: str, of: list[Finished], imports: list[float]) -> list[object]:
    processor = [each.processor for each in of]
    seconds = median(each.seconds for each in of)
    return [name, seconds, median(processor), min(processor), max(processor), ratio(processor, imports)]

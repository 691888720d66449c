"""An empty ``etl run``, as cron starts it every minute, beside Python importing what any such program imports."""

import sys
from statistics import median

from bench import process
from bench.report import Target, print_table, ratio
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
    measured: dict[str, list[process.Finished]] = {name: [] for name in contenders}
    for turn in range(-1, rounds):
        for name, (command, variables) in contenders.items():
            finished = process.run(command, variables, on.directory)
            if turn >= 0:
                measured[name].append(finished)
    processor = {name: [each.processor for each in of] for name, of in measured.items()}
    imports, _, idle, _ = processor.values()
    print_table(
        f"Start-up, {rounds} rounds in turns",
        [
            {
                "": name,
                "seconds": median(each.seconds for each in measured[name]),
                "processor seconds": median(of),
                "least": min(of),
                "most": max(of),
                "÷ the imports'": ratio(of, imports),
            }
            for name, of in processor.items()
        ],
    )
    return [
        Target(
            "processor time of an empty etl run ÷ that of importing its libraries", ratio(idle, imports), at_most=1.3
        )
    ]

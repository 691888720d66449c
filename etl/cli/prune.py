"""``etl prune``: deletes what is older than the retention in jobs.yaml."""

import click

from etl.app.composition import message_erasure_of
from etl.app.warehouse import load_settings, warehouse
from etl.config import jobs
from etl.output import print_line, print_table
from etl.privacy.retention import Pruning


@click.command()
@click.option(
    "--dry-run",
    is_flag=True,
    help="Only count what would be deleted. Parts of messages, such as files, are not counted.",
)
def prune(*, dry_run: bool) -> None:
    """Delete what is older than the retention in jobs.yaml.

    Without a retention, only received webhooks are deleted, after WEBHOOK_KEEP_DAYS. Deleted messages are not loaded
    again. Run it once a day: etl crontab prints the line.

    \b
    Example: etl prune --dry-run
    """
    settings = load_settings()
    file = jobs.read(settings.etl_jobs)
    days = file.retention.model_dump(exclude={"webhook_events"})
    event_days = file.retention.webhook_events or settings.webhook_keep_days
    with warehouse(settings) as engine:
        pruning = Pruning(message_erasure_of(engine, file.named.values()), event_days, **days)
        rows = pruning.count() if dry_run else pruning.run()
    if rows:
        print_table(("table", "would be deleted" if dry_run else "deleted"), sorted(rows.items()))
    else:
        print_line("nothing is too old")

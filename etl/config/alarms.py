"""The thresholds of alarms in jobs.yaml."""

import re
from datetime import timedelta
from typing import Annotated

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, SecretStr

STRICT = ConfigDict(frozen=True, extra="forbid", strict=True)
SPAN = re.compile(r"([1-9][0-9]{0,4}) (min|h|days?)")
UNITS = {"min": timedelta(minutes=1), "h": timedelta(hours=1), "day": timedelta(days=1), "days": timedelta(days=1)}


def _span(value: object) -> object:
    """Read a length of time, e.g. 30 min; YAML's ``off`` is None."""
    if value is False or value is None or isinstance(value, timedelta):
        return value or None
    written = SPAN.fullmatch(value) if isinstance(value, str) else None
    if written is None:
        raise ValueError("expected a length of time, e.g. 30 min, 2 h or 1 day, or off")
    return int(written[1]) * UNITS[written[2]]


Span = Annotated[timedelta | None, BeforeValidator(_span)]
Number = Annotated[int | None, Field(ge=1), BeforeValidator(lambda value: None if value is False else value)]
LISTED = BeforeValidator(lambda value: tuple(value) if isinstance(value, list) else value)
"""Lists of YAML as tuples, which strict models want."""


class Alarms(BaseModel):
    """Thresholds from which ``etl check`` reports a finding; None, in the file ``off``: never."""

    model_config = STRICT

    webhooks: Span = Field(timedelta(hours=2), description="No webhook of a location that usually has some by now.")
    runs: Span = Field(timedelta(minutes=15), description="A job has not run since its schedule said so.")
    oldest_due: Span = Field(timedelta(hours=1), description="An item is due, its location is served, and it waits.")
    dead_letters: Number = Field(1, description="Items that became dead letters within a day, and were not retried.")
    lost: Number = Field(1, description="Webhooks that the last reconcile says were lost.")
    token_ends: Span = Field(timedelta(days=14), description="A token ends so soon.")
    allowance: Number = Field(10, description="Percent of a location's daily requests that are left.")
    transactions: Span = Field(timedelta(hours=1), description="A transaction of Postgres is open.")
    disk: Number = Field(10, description="Percent of the embedded Postgres's disk that are free.")
    receiver: str | None = Field(None, description="URL of etl serve, to be asked whether it can store events.")


class Notify(BaseModel):
    """Where ``etl check --notify`` and ``etl run --follow`` send findings. The addresses are secret."""

    model_config = STRICT

    urls: Annotated[tuple[SecretStr, ...], LISTED] = Field(
        (), description="Addresses as Apprise wants them, such as mailto://…; ETL_NOTIFY_URLS adds to them."
    )
    ping: SecretStr | None = Field(None, description="URL of a dead man's switch, which is asked after each check.")

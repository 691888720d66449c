"""Reads jobs.yaml; every error names file, line and reason."""

import re
from collections.abc import Iterable
from datetime import datetime, timedelta
from functools import cached_property
from math import ceil
from pathlib import Path
from typing import Annotated, Any, Literal, Self

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    SecretStr,
    ValidationError,
    ValidationInfo,
    model_validator,
)

from etl import packaged
from etl.config.yaml_source import Source
from etl.errors import ConfigurationError

DEFAULT_FILE = Path("jobs.yaml")

MARTS = "marts"
"""The kind of the job that takes nothing from the queue, but keeps the tables behind the views."""
KindName = Literal[
    "message", "email", "conversation", "transcription", "recording", "contact", "user", "location", "marts"
]
"""Kinds that a job may take: all but windows, which commands queue and walk."""

OPTIONS = {
    "bulk": ("message",),
    "status_checks": ("message", "email"),
    "media_checks": ("message",),
    "recordings_url": ("recording",),
}
"""Keys that only some kinds may have."""

DAYS = re.compile(r"([1-9][0-9]{0,4}) days?")
SPAN = re.compile(r"([1-9][0-9]{0,4}) (min|h|days?)")
UNITS = {"min": timedelta(minutes=1), "h": timedelta(hours=1), "day": timedelta(days=1), "days": timedelta(days=1)}


def _cron(value: str) -> str:
    """Refuse a schedule that cron would refuse; import the library only where one is set."""
    from cronsim import CronSim, CronSimError  # noqa: PLC0415 - most commands need no schedule

    if len(value.split()) != 5:
        raise ValueError('expected five fields, e.g. "* * * * *" for every minute')
    try:
        CronSim(value, datetime(2000, 1, 1))  # noqa: DTZ001 - only the form of the schedule is looked at
    except CronSimError as error:
        raise ValueError(f"cron does not know this schedule ({error})") from error
    return value


def _days(value: object, info: ValidationInfo) -> object:
    """Read days, e.g. 730 days; code passes a number."""
    if info.context is None:
        return value
    written = DAYS.fullmatch(value) if isinstance(value, str) else None
    if written is None:
        raise ValueError("expected a number of days, e.g. 730 days")
    return int(written[1])


def _span(value: object) -> object:
    """Read a length of time, e.g. 30 min; YAML's ``off`` is None."""
    if value is False or value is None or isinstance(value, timedelta):
        return value or None
    written = SPAN.fullmatch(value) if isinstance(value, str) else None
    if written is None:
        raise ValueError("expected a length of time, e.g. 30 min, 2 h or 1 day, or off")
    return int(written[1]) * UNITS[written[2]]


def _switch(value: object) -> object:
    """Read YAML's booleans, which ``off`` and ``on`` are."""
    return {False: "off", True: "auto"}[value] if isinstance(value, bool) else value


Span = Annotated[timedelta | None, BeforeValidator(_span)]
Number = Annotated[int | None, Field(ge=1), BeforeValidator(lambda value: None if value is False else value)]
LISTED = BeforeValidator(lambda value: tuple(value) if isinstance(value, list) else value)
"""Lists of YAML as tuples, which strict models want."""
Checks = Annotated[tuple[Annotated[float, Field(gt=0, allow_inf_nan=False)], ...], LISTED]
Days = Annotated[int | None, BeforeValidator(_days)]


class Section(BaseModel):
    """A part of jobs.yaml; other keys and other types are refused."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)


class JobKeys(Section):
    """An entry of jobs.yaml: what a run takes from the queue, and how many requests it sends at a time."""

    kind: KindName = Field("message", description="Kind of item it takes from the queue.")
    schedule: Annotated[str, AfterValidator(_cron)] = Field("* * * * *", description="Five cron fields.")
    concurrency: int = Field(8, ge=1, le=256, description="Requests in flight.")
    batch_size: int | None = Field(
        None, ge=1, le=1000, description="Items a transaction; by itself 100, and up to 400 while they come fast."
    )
    max_attempts: int = Field(8, ge=1, le=100, description="Attempts before an item becomes a dead letter.")
    bulk: Annotated[Literal["auto", "off"], BeforeValidator(_switch)] = Field(
        "auto", description="Of kind message: whether many messages of one time are fetched by pages of the export."
    )
    status_checks: Checks = Field(
        (3600.0, 86_400.0, 604_800.0),
        description="Of kinds message and email: seconds after which one whose status is not final is fetched again.",
    )
    media_checks: Checks = Field(
        (15.0, 120.0, 3600.0),
        description="Of kind message: seconds after which one is fetched again whose media may come late.",
    )
    recordings_url: str | None = Field(
        None, description="Of kind recording: a folder, or an fsspec URL such as s3://bucket/calls, to keep audio in."
    )

    @model_validator(mode="after")
    def _options_belong_to_the_kind(self) -> Self:
        for option, kinds in OPTIONS.items():
            if option in self.model_fields_set and self.kind not in kinds:
                raise ValueError(f"{option} is for kind {' or '.join(kinds)} only")
        return self


class Job(JobKeys):
    """An entry of jobs.yaml, with its name."""

    name: str


class Retention(Section):
    """For how many days rows are kept; None: forever, or events for WEBHOOK_KEEP_DAYS."""

    messages: Days = None
    """Days since a message was created; its rows in other tables go with it."""
    status_changes: Days = None
    webhook_events: Days = None
    dead_letters: Days = None
    runs: Days = None


class Alarms(Section):
    """Thresholds from which ``etl check`` reports a finding; None, in the file ``off``: never."""

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


class Notify(Section):
    """Where ``etl check --notify`` and ``etl run --follow`` send findings. The addresses are secret."""

    urls: Annotated[tuple[SecretStr, ...], LISTED] = Field(
        (), description="Addresses as Apprise wants them, such as mailto://…; ETL_NOTIFY_URLS adds to them."
    )
    ping: SecretStr | None = Field(None, description="URL of a dead man's switch, which is asked after each check.")


class JobsFile(Section):
    """The whole of jobs.yaml."""

    jobs: Annotated[dict[str, JobKeys | None], Field(min_length=1)]
    retention: Retention = Retention()
    alarms: Alarms = Alarms()
    notify: Notify = Notify()

    @cached_property
    def named(self) -> dict[str, Job]:
        """The jobs by name; one without keys has the defaults, and a file of an older version has the marts."""
        keys = {name: job.model_dump(exclude_unset=True) if job else {} for name, job in self.jobs.items()}
        if not any(job.get("kind") == MARTS for job in keys.values()):
            keys[MARTS] = {"kind": MARTS}
        return {name: Job(name=name, **each) for name, each in keys.items()}

    @property
    def kinds(self) -> frozenset[str]:
        """The kinds that some job takes; items of any other kind wait."""
        return frozenset(job.kind for job in self.named.values()) - {MARTS}


def least_days(jobs: Iterable[JobKeys]) -> int:
    """Return for how many days messages must be kept: a day longer than they are fetched again by their checks."""
    looking = [job for job in jobs if job.kind in ("message", "email")]
    latest = max((seconds for job in looking for seconds in (*job.status_checks, *job.media_checks)), default=0.0)
    return ceil(latest / 86_400) + 1


def read(path: Path | None) -> JobsFile:
    """Return what a file says; None reads jobs.yaml in this directory, else the built-in file.

    Raises:
        ConfigurationError: with everything that is wrong.
    """
    if path is None:
        path = DEFAULT_FILE if DEFAULT_FILE.is_file() else packaged("jobs.yaml")
    source = Source(path, sections=("retention", "alarms", "notify"))
    try:
        file = JobsFile.model_validate(source.document, context={"is_file": True})
    except ValidationError as error:
        problems = [source.at(problem["loc"], _reason(problem)) for problem in error.errors(include_url=False)]
        raise ConfigurationError(*(source.problems or problems)) from error
    kept, least = file.retention.messages, least_days(file.named.values())
    if kept is not None and kept < least:
        written = source.document["retention"]["messages"]
        source.complain(
            ("retention", "messages"),
            f"messages: {written} is too short: the queue still looks at messages that are {least - 1} days old. "
            f"The least is {least} days",
        )
    if source.problems:
        raise ConfigurationError(*source.problems)
    return file


REASONS = {
    "missing": "expected: jobs:",
    "too_short": "no job is defined",
    "dict_type": "expected a job's name and its keys",
    "model_type": "expected keys and values",
}
"""By pydantic's name of a mistake."""
SECTIONS: dict[str | int, type[BaseModel]] = {
    "jobs": JobKeys,
    "retention": Retention,
    "alarms": Alarms,
    "notify": Notify,
}


def _reason(problem: Any) -> str:
    """Return a problem that pydantic found, in the terms of the file."""
    loc, kind, given = problem["loc"], problem["type"], problem["input"]
    if kind in REASONS:
        return REASONS[kind] if loc else REASONS["missing"]
    if kind == "extra_forbidden":
        model = SECTIONS[loc[0]] if len(loc) > 1 else JobsFile
        return f"unknown key {loc[-1]!r}; known: {', '.join(model.model_fields)}"
    reason: str = "expected a list" if kind == "tuple_type" else problem["msg"].removeprefix("Value error, ")
    keys = loc[2:] if loc[0] == "jobs" else loc[1:]
    if not keys:
        return reason
    if loc[0] == "notify":
        # Addresses hold passwords.
        return f"{keys[0]}: {reason}"
    if loc[0] != "jobs":
        given = "a list or mapping" if isinstance(given, (list, dict)) else str(given)
    return f"{keys[0]}: {reason}, not {given!r}"

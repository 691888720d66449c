"""Reads jobs.yaml; every complaint names file, line and reason."""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, fields
from math import ceil
from pathlib import Path
from typing import Annotated, Any, Literal, Self

import yaml
from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, ValidationError, model_validator

from etl.errors import ConfigurationError

DEFAULT_FILE = Path("jobs.yaml")

KindName = Literal["message", "email", "conversation", "transcription", "recording", "contact", "user", "location"]
"""A test compares it with ``etl.models.KINDS``."""

OPTIONS = {
    "bulk": ("message",),
    "status_checks": ("message", "email"),
    "media_checks": ("message",),
    "recordings_url": ("recording",),
}
"""Keys that only some kinds have."""


def _cron(value: str) -> str:
    if len(value.split()) != 5:
        raise ValueError('expected five fields, e.g. "* * * * *" for every minute')
    return value


def _checks(value: object) -> object:
    return tuple(value) if isinstance(value, list) else value


Checks = Annotated[tuple[Annotated[float, Field(gt=0, allow_inf_nan=False)], ...], BeforeValidator(_checks)]


class Job(BaseModel):
    """An entry of jobs.yaml: what a run takes from the queue, and how hard it works."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)

    name: str
    kind: KindName = Field("message", description="Kind of item it takes from the queue.")
    schedule: Annotated[str, AfterValidator(_cron)] = Field("* * * * *", description="Five cron fields.")
    concurrency: int = Field(8, ge=1, le=256, description="Requests in flight.")
    batch_size: int = Field(100, ge=1, le=1000, description="Items a transaction.")
    max_attempts: int = Field(8, ge=1, le=100, description="Attempts before an item becomes a dead letter.")
    bulk: Literal["auto", "off"] = Field(
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


@dataclass(frozen=True, slots=True)
class Retention:
    """For how many days rows are kept; None: for ever, of events for WEBHOOK_KEEP_DAYS."""

    messages: int | None = None
    """Since a message was created, with all that hangs on it."""
    status_changes: int | None = None
    webhook_events: int | None = None
    dead_letters: int | None = None
    runs: int | None = None


DAYS = re.compile(r"([1-9][0-9]{0,4}) days?")


@dataclass(frozen=True, slots=True)
class _Entry:
    value: Any
    line: int


def read(path: Path | None) -> dict[str, Job]:
    """The jobs of a file by name; None reads jobs.yaml here or, where there is none, the file that came along.

    Raises:
        ConfigurationError: with everything that is wrong.
    """
    return _read(path)[0]


def read_retention(path: Path | None) -> Retention:
    """How long rows are kept, as the same file says.

    Raises:
        ConfigurationError: with everything that is wrong.
    """
    return _read(path)[1]


def _read(path: Path | None) -> tuple[dict[str, Job], Retention]:
    if path is None:
        path = DEFAULT_FILE if DEFAULT_FILE.is_file() else _built_in()
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        reason = getattr(error, "strerror", None) or "it is not UTF-8 text"
        raise ConfigurationError(f"{path} cannot be read: {reason}. Set ETL_JOBS to your jobs file.") from error
    try:
        document = yaml.compose(text, Loader=yaml.SafeLoader)
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        line = f":{mark.line + 1}" if mark else ""
        raise ConfigurationError(f"{path}{line}: {getattr(error, 'problem', None) or 'is not YAML'}") from error
    problems: list[str] = []
    top = _mapping(document, path, problems, "expected: jobs:")
    jobs = _jobs(top, path, problems)
    retention = _retention(top.get("retention"), jobs.values(), path, problems)
    if problems:
        raise ConfigurationError(*problems)
    return jobs, retention


def kinds_taken(known: Mapping[str, Job]) -> frozenset[str]:
    """The kinds of items that some job takes; items of any other kind wait."""
    return frozenset(job.kind for job in known.values())


def _jobs(top: Mapping[str, _Entry], path: Path, problems: list[str]) -> dict[str, Job]:
    for key, entry in top.items():
        if key not in ("jobs", "retention"):
            problems.append(f"{path}:{entry.line}: unknown key {key!r}; expected: jobs, retention")
    if "jobs" not in top:
        if not problems:
            problems.append(f"{path}:1: expected: jobs:")
        return {}
    named = _mapping(top["jobs"].value, path, problems, "expected a job's name and its keys", line=top["jobs"].line)
    if not named and not problems:
        problems.append(f"{path}:{top['jobs'].line}: no job is defined")
    jobs: dict[str, Job] = {}
    for name, entry in named.items():
        job = _job(name, entry, path, problems)
        if job is not None:
            jobs[name] = job
    return jobs


def _job(name: str, entry: _Entry, path: Path, problems: list[str]) -> Job | None:
    node = entry.value
    keys: dict[str, _Entry] = {}
    if not (isinstance(node, yaml.ScalarNode) and node.tag.endswith(":null")):
        keys = _mapping(node, path, problems, f"job {name!r}: expected keys and values", line=entry.line)
    values: dict[str, Any] = {}
    for key, each in keys.items():
        if key == "name":
            problems.append(f"{path}:{each.line}: job {name!r}: unknown key 'name'")
        else:
            try:
                values[key] = yaml.SafeLoader("").construct_document(each.value)
            except (yaml.YAMLError, ValueError, TypeError):
                problems.append(f"{path}:{each.line}: job {name!r}: {key}: is not a value")
    try:
        return Job(name=name, **values)
    except ValidationError as error:
        for problem in error.errors(include_url=False):
            key = str(problem["loc"][0]) if problem["loc"] else "kind"
            line = keys[key].line if key in keys else entry.line
            problems.append(f"{path}:{line}: job {name!r}: {_reason(key, problem)}")
    return None


def _retention(entry: _Entry | None, jobs: Iterable[Job], path: Path, problems: list[str]) -> Retention:
    if entry is None:
        return Retention()
    known = [each.name for each in fields(Retention)]
    days: dict[str, int] = {}
    for key, each in _mapping(
        entry.value, path, problems, "retention: expected keys and values", line=entry.line
    ).items():
        place = f"{path}:{each.line}: retention"
        written = DAYS.fullmatch(str(each.value.value))
        if key not in known:
            problems.append(f"{place}: unknown key {key!r}; known: {', '.join(known)}")
        elif written is None:
            shown = each.value.value if isinstance(each.value, yaml.ScalarNode) else "a list or mapping"
            problems.append(f"{place}: {key}: expected a number of days, e.g. 730 days, not {shown!r}")
        else:
            days[key] = int(written[1])
            if key == "messages" and days[key] < least_days(jobs):
                problems.append(
                    f"{place}: messages: {each.value.value} is too short: the queue still looks at messages that are "
                    f"{least_days(jobs) - 1} days old. The least is {least_days(jobs)} days"
                )
    return Retention(**days)


def least_days(jobs: Iterable[Job]) -> int:
    """For how many days messages must be kept: a day more than the queue comes back to them, by the jobs' checks."""
    looking = [job for job in jobs if job.kind in ("message", "email")]
    latest = max((seconds for job in looking for seconds in (*job.status_checks, *job.media_checks)), default=0.0)
    return ceil(latest / 86_400) + 1


def _reason(key: str, problem: Any) -> str:
    if problem["type"] == "extra_forbidden":
        known = ", ".join(name for name in Job.model_fields if name != "name")
        return f"unknown key {key!r}; known: {known}"
    reason = problem["msg"].removeprefix("Value error, ")
    return f"{key}: {reason}, not {problem['input']!r}" if problem["loc"] else reason


def _mapping(node: Any, path: Path, problems: list[str], expected: str, *, line: int = 1) -> dict[str, _Entry]:
    """A mapping's entries with their lines; doubles are problems, because YAML would let the last one win."""
    if not isinstance(node, yaml.MappingNode):
        problems.append(f"{path}:{line}: {expected}")
        return {}
    entries: dict[str, _Entry] = {}
    for key_node, value_node in node.value:
        key, at = str(key_node.value), key_node.start_mark.line + 1
        if key in entries:
            problems.append(f"{path}:{at}: {key!r} is defined twice, first in line {entries[key].line}")
        else:
            entries[key] = _Entry(value_node, at)
    return entries


def _built_in() -> Path:
    installed = Path(__file__).parent / "jobs.yaml"
    return installed if installed.is_file() else Path(__file__).parent.parent / "jobs.yaml"

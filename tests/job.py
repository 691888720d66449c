"""The job in this process, built from settings as ``etl run`` builds it."""

import time
from collections.abc import Sequence
from contextlib import ExitStack
from typing import Any, TypedDict, Unpack

from pydantic import AnyHttpUrl, SecretStr
from sqlalchemy import Engine, text

from etl.app.composition import open_loops
from etl.config.jobs import Job as JobEntry
from etl.config.jobs import KindName
from etl.config.settings import Settings
from etl.sandbox.server import RunningSandbox
from etl.state import message_queue, windows
from etl.state.windows import Window
from etl.worker.loop import Loop
from etl.worker.run import Display, Report, RunLimits, RunSpec, WindowFilter
from tests.clock import Clock


class Timing(TypedDict, total=False):
    """The clock of a run, and its display."""

    clock: Clock
    display: Display


class Choices(Timing, total=False):
    """How one run differs from a job as it comes."""

    token: str
    concurrency: int
    batch_size: int
    max_attempts: int
    follow: bool
    limit: int
    max_seconds: float
    kind: KindName
    taken: frozenset[str]
    recordings_url: str
    base_url: str
    windows: WindowFilter


class Job:
    """Runs the job against one location of a sandbox, whose token is the environment's."""

    def __init__(self, engine: Engine, sandbox: RunningSandbox) -> None:
        self._open = ExitStack()
        self._engine = engine
        self._sandbox = sandbox
        self.location_id = sandbox.location_ids[0]
        self.ids = list(sandbox.dataset.ids(self.location_id))

    def enqueue(self, *message_ids: str, location_id: str = "", kind: str = "message") -> None:
        """Queue items."""
        with self._engine.begin() as connection:
            message_queue.enqueue(connection, message_ids, kind=kind, location_id=location_id)

    def loop(self, **choices: Unpack[Choices]) -> Loop:
        """A run that has not started."""
        entry = JobEntry(
            name="messages",
            kind=choices.get("kind", "message"),
            concurrency=choices.get("concurrency", 8),
            batch_size=choices.get("batch_size", 20),
            max_attempts=choices.get("max_attempts", 8),
        )
        if "recordings_url" in choices:
            entry = entry.model_copy(update={"recordings_url": choices["recordings_url"]})
        if "windows" in choices:
            entry = entry.model_copy(update={"kind": windows.KIND})
        limits = RunLimits(
            follow=choices.get("follow", False),
            limit=choices.get("limit"),
            # The end of a test that hangs; no test waits for it.
            max_seconds=choices.get("max_seconds", 100.0),
            taken=choices.get("taken", frozenset(("message",))),
        )
        settings = self.settings(choices.get("token"), choices.get("base_url"))
        (loop,) = self._open.enter_context(
            open_loops(
                settings,
                self._engine,
                [RunSpec(entry, limits, choices.get("display", Display()), choices.get("windows"))],
                clock=choices.get("clock", time.monotonic),
            )
        )
        return loop

    def settings(self, token: str | None = None, base_url: str | None = None) -> Settings:
        """Those of the one location."""
        return Settings(
            highlevel_base_url=AnyHttpUrl(base_url or self._sandbox.url),
            highlevel_token=SecretStr(token or self._sandbox.token(self.location_id)),
            highlevel_location_id=self.location_id,
        )

    def run(self, **choices: Unpack[Choices]) -> Report:
        """One whole run."""
        return self.loop(**choices).run()

    def load(self, *kinds: KindName, taken: Sequence[KindName] = ()) -> None:
        """Run the jobs of these kinds one after another, as ``etl run`` does; those ``taken`` are only queued."""
        for kind in kinds:
            self.run(kind=kind, taken=frozenset((*kinds, *taken)))

    def walk(self, window: Window, *, taken: Sequence[KindName] = ("message",), **choices: Unpack[Timing]) -> Report:
        """Queue a window and walk it, as ``etl backfill`` and ``etl reconcile`` do."""
        with self._engine.begin() as connection:
            windows.add(connection, self.location_id, [window])
        return self.run(
            windows=WindowFilter(window.why, [self.location_id]),
            concurrency=1,
            batch_size=2,
            taken=frozenset(taken),
            **choices,
        )

    def make_due(self) -> None:
        """Let the time pass that items wait for."""
        self.execute("UPDATE etl.message_queue SET scheduled_at = now()")

    def queued(self, *kinds: str) -> list[tuple[str, str]]:
        """Kind and id of what waits, of these kinds or of all."""
        query = "SELECT kind, message_id FROM etl.message_queue ORDER BY kind, message_id"
        return [(kind, id_) for kind, id_ in self.rows(query) if not kinds or kind in kinds]

    def rows(self, query: str, **parameters: Any) -> list[tuple[Any, ...]]:
        """The result of a query."""
        with self._engine.connect() as connection:
            return [tuple(row) for row in connection.execute(text(query), parameters)]

    def value(self, query: str, **parameters: Any) -> Any:
        """The one value of a query."""
        ((value,),) = self.rows(query, **parameters)
        return value

    def execute(self, statement: str, **parameters: Any) -> None:
        """Change something, as an operator with psql would."""
        with self._engine.begin() as connection:
            connection.execute(text(statement), parameters)

    def close(self) -> None:
        """Close the runs' connections to the sandbox."""
        self._open.close()

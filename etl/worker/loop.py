"""The loop of a run. It alone claims and settles, one transaction at a time; fetching goes on meanwhile."""

import time
from collections.abc import Callable
from contextlib import nullcontext
from dataclasses import replace
from functools import partial

import structlog
from sqlalchemy import Connection, Engine

from etl.database import schema
from etl.database.retrying_transaction import PATIENCE, RetryingTransaction
from etl.errors import ItemError, LocationError, RateLimitedError, SnoozedError
from etl.state import limits_upkeep, message_queue, runs
from etl.state.outcomes import RunOutcome
from etl.state.runs import RunCounts
from etl.worker.batch import Batch
from etl.worker.bulk import Bulk, BulkTask
from etl.worker.claims import SHORT_POLL_SECONDS, Claims, NothingClaimed, passes_soon
from etl.worker.evidence import Evidence, SharedEvidence
from etl.worker.fetchers import Fetchers, OutcomeQueue, Process
from etl.worker.leases import USAGE_SECONDS, Leases
from etl.worker.listener import Listener
from etl.worker.pipeline import Claimed, Outcome
from etl.worker.run_limits import Report, RunLimits
from etl.worker.settlement import Settlement
from etl.worker.state import WORKING, WorkerState
from etl.worker.verdicts import Verdicts

log = structlog.get_logger("etl.worker")

LINGER_SECONDS = 0.2
"""A batch that is not full is settled when its oldest outcome is this old."""
FOLLOW_LINGER_SECONDS = 0.02
"""The same while following, when somebody waits for the row."""
MOST_BATCHES = 10
"""A run has no more in hand, however many of them belong to locations that do not answer."""
LAPSE_CHECK_SECONDS = 5.0
"""How often the items of vanished workers, and usage that no longer counts, are looked for."""
BEAT_SECONDS = 15.0
"""How often a run reports that it is alive, even when it has nothing to do."""
GRACE_SECONDS = 10.0
"""How much longer requests may take that are under way when the time of a run is over, or it is stopped."""


class _End(Exception):  # noqa: N818 - not an error: the way out of the loop
    def __init__(self, outcome: str, detail: str = "") -> None:
        super().__init__(outcome)
        self.outcome = RunOutcome(outcome)
        self.detail = detail


class Loop:
    """One run of one job in this process."""

    def __init__(  # noqa: PLR0913 - the parts of a run, each by its name
        self,
        *,
        engine: Engine,
        listening: Engine,
        claims: Claims,
        process: Process,
        settlement: Settlement,
        limits: RunLimits,
        progress: Callable[[RunCounts], None],
        watch: Callable[[WorkerState], None],
        bulk: Bulk | None,
        end_within: Callable[[float], None],
        shared: SharedEvidence,
        refused: Callable[[str, LocationError], ItemError],
    ) -> None:
        self._listening = listening
        self._claims = claims
        self._limits = limits
        self._progress = progress
        self._watch = watch
        self._end_within = end_within
        self._stop_asked = False
        self._transact = RetryingTransaction(
            engine, patience=None if limits.follow else PATIENCE, stopping=lambda: self._stop_asked
        )
        self._outcomes = OutcomeQueue()
        self._process = process
        self._fetchers = Fetchers(self._begin, concurrency=limits.concurrency, outcomes=self._outcomes)
        linger = FOLLOW_LINGER_SECONDS if limits.follow else LINGER_SECONDS
        self._batch = Batch(settlement, self._transact, size=limits.batch_size, linger=linger)
        self._leases = Leases(engine)
        self._evidence = Evidence(settlement.kind, shared)
        self._verdicts = Verdicts(self._evidence, refused=refused)
        # A page answers as many items as it holds, so a limit is kept by single requests alone.
        self._bulk = bulk if limits.limit is None else None
        self._turn = shared.turn
        self._has_turn = False
        self._tally = RunCounts()
        self._withheld: dict[str, set[str]] = {}
        self._mismatch: str | None = None
        self._run_id = 0
        self._in_hand = 0
        self._claimed = 0
        self._started = time.monotonic()
        self._next_claim = 0.0
        self._next_lapse_check = 0.0
        self._next_beat = self._started + BEAT_SECONDS
        # Enough that the fetchers never wait while a batch is settled, little enough to give back soon.
        self._low_water = limits.batch_size + limits.concurrency

    def stop(self) -> None:
        """Finish what is in hand, give the rest back, and end; safe to call from a signal handler."""
        self._stop_asked = True
        self._end_within(GRACE_SECONDS)
        self._outcomes.wake()

    def run(self) -> Report:
        """Run to the end.

        Raises:
            DatabaseUnavailableError: Postgres went away and did not come back in time. What was in hand is free again
                when its lease lapses.
            ConfigurationError: it refuses what a run needs.
        """
        self._run_id = self._transact(partial(runs.start, job=self._limits.job))
        if self._limits.max_seconds is not None:
            self._end_within(self._started + self._limits.max_seconds + GRACE_SECONDS - time.monotonic())
        with self._leases:
            with Listener(self._listening, self._wake) if self._limits.follow else nullcontext():
                end = self._drain()
            self._wind_down()
        self._transact(partial(runs.finish, run_id=self._run_id, outcome=end.outcome, drift=self._tally.drift))
        return Report(end.outcome, self._tally, time.monotonic() - self._started, self._withheld, end.detail)

    def _wake(self) -> None:
        self._next_claim = 0.0
        self._outcomes.wake()

    def _drain(self) -> _End:
        try:
            while True:
                self._beat()
                idle = self._claim()
                if self._in_hand:
                    self._collect()
                elif idle is not None:
                    self._rest(idle)
        except _End as end:
            return end

    def _beat(self) -> None:
        if time.monotonic() >= self._next_beat:
            self._transact(partial(runs.seen, run_id=self._run_id))
            self._mismatch = self._transact(schema.mismatch)
            self._next_beat = time.monotonic() + BEAT_SECONDS

    def _claim(self) -> NothingClaimed | None:
        """Claim more when the fetchers will soon have nothing to begin; tells why when there is nothing to claim."""
        now = time.monotonic()
        if self._mismatch is not None:
            raise _End("migrated", self._mismatch)
        if self._is_over():
            raise _End("stopped" if self._stop_asked else "max_seconds")
        want = self._room()
        if self._bulk is not None and not self._evidence.is_silent and self._bulk.is_wanted(self._transact):
            want = 0
            if not self._in_hand:
                self._bulk.fetch(BulkTask(self._run_id, self._is_over, self._count))
        if want == 0 or (self._in_hand and now < self._next_claim):
            return None
        claimed = self._transact(lambda connection: self._take(connection, want))
        if isinstance(claimed, NothingClaimed):
            self._next_claim = time.monotonic() + claimed.pause()
            return claimed
        if claimed:
            self._in_hand += len(claimed)
            self._claimed += len(claimed)
            self._verdicts.expect(claimed)
            self._leases.hold(claimed, since=now)
            self._fetchers.submit(claimed)
            if not self._evidence.is_silent:
                self._watch(WORKING)
        return None

    def _is_over(self) -> bool:
        too_long = self._limits.max_seconds is not None and time.monotonic() - self._started >= self._limits.max_seconds
        return self._stop_asked or too_long

    def _count(self, counts: RunCounts) -> None:
        """Count what a bulk fetch did."""
        self._tally.add(counts)
        self._progress(self._tally)

    def _begin(self, claimed: Claimed) -> Outcome:
        """In a fetch thread: process an item, unless it may be somebody else's by now."""
        if self._leases.stands(claimed.item.lease_id):
            return self._process(claimed)
        return Outcome(claimed, time.monotonic(), error=SnoozedError("lease_lapsed", "its lease may have lapsed"))

    def _end_turn(self) -> None:
        if self._has_turn:
            self._has_turn = False
            self._turn.release()

    def _room(self) -> int:
        """How many items to claim now: none beside a suspect, and none before one."""
        if self._in_hand and (self._has_turn or self._claims.has_suspects):
            return 0
        is_low = self._fetchers.waiting < self._low_water and self._in_hand < MOST_BATCHES * self._limits.batch_size
        want = self._limits.batch_size if is_low else 0
        if self._limits.limit is None:
            return want
        left = self._limits.limit - self._claimed
        if left <= 0 and not self._in_hand:
            raise _End("limit")
        return min(want, left)

    def _take(self, connection: Connection, want: int) -> list[Claimed] | NothingClaimed:
        if time.monotonic() >= self._next_lapse_check:
            self._next_lapse_check = time.monotonic() + LAPSE_CHECK_SECONDS
            message_queue.release_lapsed(connection)
            limits_upkeep.tidy(connection, under_way=USAGE_SECONDS)
        if not self._in_hand and not self._has_turn:
            self._has_turn = self._turn.acquire(blocking=False)
        room = partial(self._verdicts.room, now=time.monotonic())
        claimed = self._claims.claim(connection, want, is_alone=self._has_turn, room=room)
        if not self._claims.took_suspect:
            self._end_turn()
        return claimed

    def _rest(self, idle: NothingClaimed) -> None:
        """Nothing can be claimed and nothing is in hand: wait, or end."""
        if nothing_found := self._evidence.nothing_found():
            idle = replace(idle, skipped={**idle.skipped, "nothing_found": nothing_found})
        self._withheld = idle.skipped
        if not self._limits.follow and not passes_soon(idle.skipped.keys(), idle.wait):
            if self._evidence.is_silent:
                raise self._silent()
            raise _End(idle.outcome())
        if self._evidence.is_silent and "unanswered" in idle.skipped:
            self._watch(WorkerState("api_unreachable", wait=self._evidence.wait(now=time.monotonic())))
        else:
            self._watch(WorkerState("resting", idle.skipped, idle.wait))
        self._sleep(idle.pause())

    def _silent(self) -> _End:
        return _End("misconfigured" if self._evidence.is_misconfigured else "api_unreachable", self._verdicts.detail)

    def _sleep(self, seconds: float) -> None:
        """Wait until woken, but not beyond the next report or the end of the run."""
        seconds = min(seconds, max(self._next_beat - time.monotonic(), 0.0))
        if self._limits.max_seconds is not None:
            seconds = min(seconds, self._started + self._limits.max_seconds - time.monotonic())
        self._outcomes.take(timeout=seconds)

    def _collect(self) -> None:
        """Take outcomes as they come; settle the batch when it is due."""
        timeout = min(self._batch.patience(), max(self._next_claim - time.monotonic(), SHORT_POLL_SECONDS))
        self._take_in(timeout=timeout)
        if self._batch.patience() == 0.0 or len(self._batch) == self._in_hand:
            self._settle()
        is_away = self._evidence.is_api_away and not self._limits.follow
        if is_away or (self._evidence.ends_all and self._verdicts.is_all_answered):
            raise self._silent()

    def _take_in(self, *, timeout: float) -> None:
        """Take outcomes as they come, and let them change what happens to the items that were not begun."""
        decided = self._verdicts.decide(self._outcomes.take(timeout=timeout), now=time.monotonic())
        self._batch.add(decided)
        for each in decided:
            if isinstance(each.error, (LocationError, SnoozedError, RateLimitedError)):
                self._give_back(partial(_share_token, each.claimed))

    def _give_back(self, which: Callable[[Claimed], bool] = lambda _: True) -> None:
        taken = self._fetchers.take_back(which)
        self._verdicts.forgo(taken)
        self._batch.give_back(taken)

    def _settle(self) -> None:
        if not len(self._batch):
            return
        counts, settled = self._batch.settle(self._run_id)
        self._in_hand -= len(settled)
        if not self._in_hand:
            self._end_turn()
        self._leases.drop(settled)
        self._tally.add(counts)
        self._progress(self._tally)

    def _wind_down(self) -> None:
        """Give back what was not begun, wait for what was, and settle it."""
        self._give_back()
        while len(self._batch) < self._in_hand:
            self._beat()
            self._take_in(timeout=SHORT_POLL_SECONDS)
        self._settle()


def _share_token(one: Claimed, other: Claimed) -> bool:
    return one.token_location_id == other.token_location_id

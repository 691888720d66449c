"""The loop of a run. It alone claims and settles, one transaction at a time; fetching goes on meanwhile."""

import time
from contextlib import nullcontext

import structlog
from sqlalchemy import Connection, Engine

from etl.database.retrying_transaction import PATIENCE, RetryingTransaction
from etl.errors import LocationError, RateLimitedError, SnoozedError
from etl.state import limits_upkeep, message_queue
from etl.state.outcomes import SkipCause
from etl.worker.backlogs import WALKERS, Backlogs
from etl.worker.batch import Batch
from etl.worker.claims import SHORT_POLL_SECONDS, Claim, Claims, NothingClaimed, Round
from etl.worker.fetchers import Fetchers, OutcomeQueue
from etl.worker.leases import USAGE_SECONDS, Leases
from etl.worker.listener import Listener
from etl.worker.next_step import ClaimItems, Collect, End, LoopState, Rest, Step, next_step
from etl.worker.pipeline import Claimed, Outcome, Pipeline
from etl.worker.run import WORKING, Report, RunSpec, WorkerState
from etl.worker.run_row import RunRow
from etl.worker.settlement import Settlement
from etl.worker.verdicts import Verdicts

log = structlog.get_logger("etl.worker")

LINGER_SECONDS = 0.2
"""A batch that is not full is settled when its oldest outcome is this old."""
FOLLOW_LINGER_SECONDS = 0.02
"""The same while following, when somebody waits for the row."""
LAPSE_CHECK_SECONDS = 5.0
"""How often the loop puts back items of killed workers, and deletes usage that no longer counts."""
GATHER_SECONDS = 0.01
"""How long outcomes gather while other items wait: each look takes Python's lock from the fetchers."""
GRACE_SECONDS = 10.0
"""How much longer requests may take that are under way when a run ends."""


class Loop:
    """One run of one job in this process."""

    def __init__(
        self,
        *,
        engine: Engine,
        listening: Engine,
        claims: Claims,
        pipeline: Pipeline,
        settlement: Settlement,
        spec: RunSpec,
        backlogs: Backlogs | None,
        verdicts: Verdicts,
    ) -> None:
        self._clock = settlement.context.clock
        self._listening = listening
        self._claims = claims
        self._pipeline = pipeline
        self._display = spec.display
        job, limits = spec.job, spec.limits
        patience = None if limits.follow else PATIENCE
        transact = RetryingTransaction(engine, patience=patience, stopping=lambda: self._state.is_stopped)
        self._row = RunRow(transact, spec, self._clock)
        self._outcomes = OutcomeQueue()
        self._fetchers = Fetchers(self._begin, concurrency=job.concurrency, outcomes=self._outcomes)
        linger = FOLLOW_LINGER_SECONDS if limits.follow else LINGER_SECONDS
        self._batch = Batch(settlement, self._row, size=job.batch_size, linger=linger)
        self._leases = Leases(engine, self._clock)
        self._verdicts, self._evidence = verdicts, verdicts.evidence
        self._backlogs = backlogs
        self._walkers = Fetchers(self._begin, concurrency=WALKERS, outcomes=self._outcomes)
        self._state = LoopState(
            self._batch.size, job.concurrency, follow=limits.follow, ends_at=self._row.ends_at, left=limits.limit
        )
        self._round = Round()
        self._has_turn = self._passed_suspect = False
        self._skipped: dict[str, set[str]] = {}
        self._next_lapse_check = 0.0

    def stop(self) -> None:
        """Finish the items that were begun, give the rest back, and end; safe to call from a signal handler."""
        self._state.is_stopped = True
        self._outcomes.wake()

    def run(self) -> Report:
        """Run to the end.

        Raises:
            DatabaseUnavailableError: Postgres went away and did not come back in time. What was claimed is free again
                when its lease lapses.
            ConfigurationError: it refuses what a run needs.
        """
        with self._row, self._leases:
            with Listener(self._listening, self._wake) if self._state.follow else nullcontext():
                end = self._drain()
            self._wind_down()
        return self._row.finish(end.outcome, self._skipped, detail=self._verdicts.detail if end.is_silent else "")

    def _wake(self) -> None:
        self._state.next_claim = 0.0
        self._outcomes.wake()

    def _drain(self) -> End:
        """Do one step after the other until the run is over."""
        while True:
            self._row.beat()
            step = self._next_step()
            self._state.has_claimed = isinstance(step, ClaimItems)
            match step:
                case ClaimItems(want):
                    self._claim(want)
                case Collect():
                    self._state.nothing = None
                    self._collect()
                case Rest(nothing):
                    self._rest(nothing)
                case End():
                    self._skipped = step.skipped or self._skipped
                    return step

    def _next_step(self) -> Step:
        """Bring the state up to date, and return what to do next."""
        state, evidence = self._state, self._evidence
        state.batch_size = self._batch.size
        state.waiting = self._fetchers.waiting
        state.has_suspect = self._has_turn or self._passed_suspect
        state.nothing_found = evidence.nothing_found() if state.nothing else frozenset()
        state.is_silent = evidence.is_silent
        state.must_give_up = (evidence.is_api_away and not state.follow) or (
            evidence.ends_all and self._verdicts.is_all_answered
        )
        state.has_mismatch = self._row.mismatch is not None
        state.is_misconfigured = evidence.is_misconfigured
        return next_step(state, self._clock())

    def _claim(self, want: int) -> None:
        """Claim items and have them fetched, or note why there are none."""
        now = self._clock()
        claim, windows = self._row.transact(lambda connection: self._take(connection, want))
        self._round, self._state.nothing, self._passed_suspect = claim.round, claim.nothing, claim.passed_suspect
        if not claim.round.took_suspect:
            self._end_turn()
        if claim.nothing is not None:
            self._state.next_claim = self._clock() + claim.nothing.pause()
        if items := claim.items + windows:
            self._state.unsettled += len(items)
            if self._state.left is not None:
                self._state.left -= len(items)
            self._verdicts.expect(claim.items)
            self._leases.hold(items, since=now)
            self._fetchers.submit(claim.items)
            self._walkers.submit(windows)
            if self._backlogs is not None:
                self._backlogs.take(windows)
            if not self._evidence.is_silent:
                self._display.watch(WORKING)

    def _begin(self, claimed: Claimed) -> Outcome:
        """In a fetch thread: process an item, unless it may be somebody else's by now."""
        if self._leases.is_held(claimed.item.lease_id):
            return self._pipeline.process(claimed)
        return Outcome(claimed, self._clock(), error=SnoozedError("lease_lapsed", "its lease may have lapsed"))

    def _end_turn(self) -> None:
        if self._has_turn:
            self._has_turn = False
            self._evidence.turn.release()

    def _take(self, connection: Connection, want: int) -> tuple[Claim, list[Claimed]]:
        """Claim items, and windows of backlogs, whose messages wait meanwhile."""
        if self._clock() >= self._next_lapse_check:
            self._next_lapse_check = self._clock() + LAPSE_CHECK_SECONDS
            message_queue.release_lapsed(connection)
            limits_upkeep.tidy(connection, under_way=USAGE_SECONDS)
        if not self._state.unsettled and not self._has_turn:
            self._has_turn = self._evidence.turn.acquire(blocking=False)
        backlogs = None if self._evidence.is_silent else self._backlogs
        held = backlogs.refresh(connection) if backlogs else ()
        claim = self._claims.claim(connection, want, round_=self._round, is_alone=self._has_turn, held=held)
        return claim, backlogs.claim(connection) if backlogs and not claim.round.took_suspect else []

    def _rest(self, nothing: NothingClaimed) -> None:
        """Wait until there may be something to claim, and report what for."""
        self._state.nothing, self._skipped = None, nothing.skipped
        if self._evidence.is_silent and SkipCause.UNANSWERED in nothing.skipped:
            self._display.watch(WorkerState("api_unreachable", wait=self._evidence.wait(now=self._clock())))
        else:
            self._display.watch(WorkerState("resting", nothing.skipped, nothing.wait))
        self._outcomes.take(timeout=min(nothing.pause(), self._row.patience()))

    def _collect(self) -> None:
        """Take outcomes as they come; settle the batch when it is due."""
        if self._fetchers.waiting:
            time.sleep(GATHER_SECONDS)
        timeout = min(self._batch.patience(), max(self._state.next_claim - self._clock(), SHORT_POLL_SECONDS))
        self._take_in(timeout=timeout)
        if self._batch.patience() == 0.0 or len(self._batch) == self._state.unsettled:
            self._settle()

    def _take_in(self, *, timeout: float) -> None:
        """Take outcomes as they come, and let them change what happens to the items that were not begun."""
        decided = self._verdicts.decide(self._outcomes.take(timeout=timeout), now=self._clock())
        self._batch.add(decided)
        for each in decided:
            if isinstance(each.error, (LocationError, SnoozedError, RateLimitedError)):
                self._give_back(each.claimed.token_location_id)

    def _give_back(self, token_location_id: str | None = None) -> None:
        taken = self._fetchers.take_back(token_location_id)
        self._verdicts.forgo(taken)
        self._batch.give_back(taken + self._walkers.take_back(token_location_id))

    def _settle(self) -> None:
        if not len(self._batch):
            return
        counts, settled = self._batch.settle()
        self._state.unsettled -= len(settled)
        if self._backlogs is not None and self._backlogs.drop(settled):
            self._state.next_claim = 0.0
        if not self._state.unsettled:
            self._end_turn()
        self._leases.drop(settled)
        self._row.count(counts)

    def _wind_down(self) -> None:
        """Give back what was not begun, wait for what was, and settle it."""
        self._give_back()
        if len(self._batch) < self._state.unsettled:
            self._pipeline.end_within(GRACE_SECONDS)
        while len(self._batch) < self._state.unsettled:
            self._row.beat()
            self._take_in(timeout=SHORT_POLL_SECONDS)
        while len(self._batch):
            self._settle()

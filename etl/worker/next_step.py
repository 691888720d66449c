"""Decides what the loop of a run does next; pure, with the clock handed in."""

from collections.abc import Set as AbstractSet
from dataclasses import dataclass, field
from math import inf
from typing import TypeAlias

from etl.state.outcomes import RunOutcome, SkipCause
from etl.worker.claims import NothingClaimed

MOST_BATCHES = 10
"""A run claims no more, however many of them belong to locations that do not answer."""


@dataclass(slots=True)
class LoopState:
    """Everything that the next step depends on; the loop keeps it up to date."""

    batch_size: int
    concurrency: int
    follow: bool = False
    ends_at: float = inf
    """When its time is over."""
    is_stopped: bool = False
    left: int | None = None
    """How many items may still be claimed; None: as many as there are."""
    unsettled: int = 0
    """Claimed items that are not settled."""
    waiting: int = 0
    """How many of the claimed items wait for a thread, and may be fetched."""
    has_suspect: bool = False
    """Whether a suspect is claimed, or waits until nothing else is claimed."""
    next_claim: float = 0.0
    """When there may be something to claim again, while items are unsettled."""
    has_claimed: bool = False
    """Whether the last step was a claim: then outcomes are settled first."""
    nothing: NothingClaimed | None = None
    """Why the last claim took nothing; None after the loop has waited for it."""
    nothing_found: AbstractSet[str] = field(default_factory=frozenset)
    """Locations of which the API no longer finds anything."""
    is_silent: bool = False
    """Whether the API no longer answers anything properly."""
    must_give_up: bool = False
    """Whether this ends the run, even if items are unsettled."""
    has_mismatch: bool = False
    """Whether the database was migrated meanwhile, by another version."""
    is_misconfigured: bool = False
    """Whether the API's address or version is wrong."""


@dataclass(frozen=True, slots=True)
class End:
    """The run is over; the outcome is that of ``etl.runs``."""

    outcome: RunOutcome
    skipped: dict[str, set[str]] | None = None
    """Locations whose due items are left, by cause; None: as when the run last waited."""
    is_silent: bool = False
    """Whether it ended because nothing was answered properly."""


@dataclass(frozen=True, slots=True)
class ClaimItems:
    """Claim items, up to a number."""

    want: int


@dataclass(frozen=True, slots=True)
class Collect:
    """Wait for outcomes of claimed items, and settle them when that is due."""


@dataclass(frozen=True, slots=True)
class Rest:
    """Wait, because nothing can be claimed."""

    nothing: NothingClaimed


Step: TypeAlias = End | ClaimItems | Collect | Rest


def next_step(state: LoopState, now: float) -> Step:
    """Return what to do next."""
    if (end := _end(state, now)) is not None:
        return end
    if state.nothing is not None and not state.unsettled:
        return _rest(state, state.nothing)
    if state.unsettled and (state.has_claimed or now < state.next_claim):
        return Collect()
    want = _want(state)
    return ClaimItems(want) if want else Collect()


def _end(state: LoopState, now: float) -> End | None:
    """Return how the run ends although there is more to do; None: it goes on."""
    if state.must_give_up:
        return _silent(state)
    if state.has_mismatch:
        return End(RunOutcome.MIGRATED)
    if state.is_stopped:
        return End(RunOutcome.STOPPED)
    if now >= state.ends_at:
        return End(RunOutcome.MAX_SECONDS)
    return End(RunOutcome.LIMIT) if state.left == 0 and not state.unsettled else None


def _want(state: LoopState) -> int:
    """Return how many items to claim; none while a suspect is claimed or waits to be."""
    if state.unsettled and state.has_suspect:
        return 0
    # Enough that the fetchers never wait while a batch is settled, as many as it holds, and the next one is claimed;
    # little enough to give back soon.
    is_low = state.waiting < state.batch_size + max(state.batch_size, state.concurrency)
    want = state.batch_size if is_low and state.unsettled < MOST_BATCHES * state.batch_size else 0
    return want if state.left is None else min(want, state.left)


def _rest(state: LoopState, nothing: NothingClaimed) -> Step:
    """Wait if the reason passes by itself soon; otherwise end."""
    if state.nothing_found:
        skipped = {**nothing.skipped, SkipCause.NOTHING_FOUND: set(state.nothing_found)}
        nothing = NothingClaimed(skipped, nothing.wait)
    if state.follow or nothing.passes_soon():
        return Rest(nothing)
    return _silent(state, nothing) if state.is_silent else End(RunOutcome(nothing.outcome()), nothing.skipped)


def _silent(state: LoopState, nothing: NothingClaimed | None = None) -> End:
    outcome = RunOutcome.MISCONFIGURED if state.is_misconfigured else RunOutcome.API_UNREACHABLE
    return End(outcome, nothing.skipped if nothing else None, is_silent=True)

"""How a run ends, and why it leaves items: the words that ``etl.runs``, the screen and the exit codes share. Pure."""

from enum import StrEnum


class RunOutcome(StrEnum):
    """How a run ended, the worst first: of several workers the worst outcome is that of the run.

    One that drained knows that nothing is due, though another met its limit; so drained comes before limit.
    """

    MISCONFIGURED = "misconfigured"
    """Every request of the process was redirected, or refused for its version: HIGHLEVEL_BASE_URL or
    HIGHLEVEL_API_VERSION is wrong. Exit code 2; it ends the other jobs too, since they ask the same address."""
    MIGRATED = "migrated"
    """The schema was migrated to another release while this one ran. Exit code 3: start the release that fits it."""
    API_UNREACHABLE = "api_unreachable"
    """No location was answered properly: no answer, a 5xx, a page in place of JSON. Exit code 3. It passes."""
    LOST = "lost"
    """A worker process was killed, or lost Postgres. Its items return when their leases lapse. Exit code 1."""
    STOPPED = "stopped"
    """SIGINT or SIGTERM: requests under way were settled, the other items given back."""
    MAX_SECONDS = "max_seconds"
    """The time of --max-seconds is over."""
    RATE_LIMITED = "rate_limited"
    """Items of some location wait, since the API asked to wait for longer than a run does."""
    BUDGET = "budget"
    """Items of some location wait, since its daily allowance is spent."""
    PAUSED = "paused"
    """Items of some location wait, since it is paused or no token serves it now."""
    DRAINED = "drained"
    """No item was due any more."""
    LIMIT = "limit"
    """As many items as --limit allows were settled."""

    @property
    def severity(self) -> int:
        """Orders outcomes: the worst has the lowest number."""
        return list(RunOutcome).index(self)

    @property
    def is_fault(self) -> bool:
        """Return whether no other job can go on either, so that all runs of the process stop."""
        return self in (RunOutcome.MISCONFIGURED, RunOutcome.MIGRATED)

    @property
    def ends_other_jobs(self) -> bool:
        """Return whether the jobs after this one do not run."""
        return self.is_fault or self in (RunOutcome.STOPPED, RunOutcome.MAX_SECONDS, RunOutcome.LIMIT)

    @property
    def leaves_locations(self) -> bool:
        """Return whether items of some locations were left, while others may have been loaded."""
        return self in (RunOutcome.RATE_LIMITED, RunOutcome.BUDGET, RunOutcome.PAUSED)


class SkipCause(StrEnum):
    """Why due items of a location are not claimed. The order says which one names the outcome of a run."""

    NOT_CONNECTED = "not_connected"
    """No token serves the location."""
    PAUSED = "paused"
    """Its token was refused, or somebody paused it. Lasts until another token comes or somebody resumes it."""
    NO_TOKEN = "no_token"  # noqa: S105 - a cause, not a token
    """No new token could be got, or the stored one cannot be decrypted; the log says why."""
    UNANSWERED = "unanswered"
    """The API does not answer properly for it. It is probed with one request at a time."""
    NOTHING_FOUND = "nothing_found"
    """The API finds none of its things any more, so no absence is believed."""
    DAILY_BUDGET = "daily_budget"
    """Its allowance of the day is spent. It passes by itself."""
    LIMIT_TOO_LOW = "limit_too_low"
    """The API allows fewer requests in an interval than one item may need."""
    RATE_LIMITED = "rate_limited"
    """The API answered 429. It passes by itself."""
    RATE = "rate"
    """Its allowance of this interval is in use. It passes within seconds."""
    RENEWING = "renewing"
    """Its next token is on its way. It passes within seconds."""

    @property
    def outcome(self) -> RunOutcome:
        """Return how a run ends that leaves items for this cause, and has nothing else to do."""
        match self:
            case SkipCause.RATE | SkipCause.RENEWING:
                return RunOutcome.DRAINED
            case SkipCause.DAILY_BUDGET:
                return RunOutcome.BUDGET
            case SkipCause.LIMIT_TOO_LOW | SkipCause.RATE_LIMITED:
                return RunOutcome.RATE_LIMITED
            case _:
                return RunOutcome.PAUSED

    @property
    def passes_soon(self) -> bool:
        """Return whether the cause passes within seconds."""
        return self in (SkipCause.RATE, SkipCause.RENEWING)

    @property
    def lasts(self) -> bool:
        """Return whether the cause lasts until somebody changes the location."""
        return self in (SkipCause.NOT_CONNECTED, SkipCause.PAUSED)

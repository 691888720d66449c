"""Every error by what happens next: the process ends, an item is retried, snoozed or dead, or its location pauses.

Item errors carry data, never a formatted customer's word: ``cause`` is a short code for machines, ``detail`` a
sentence for people, ``payload`` the bytes that were received.
"""


class EtlError(Exception):
    """The command cannot go on; its text says what to do."""

    exit_code = 2


class ConfigurationError(EtlError):
    """Something the user set is wrong or missing; each argument is one problem."""

    def __str__(self) -> str:
        return "\n".join(str(problem) for problem in self.args)


class DatabaseUnavailableError(EtlError):
    """Postgres cannot be reached or refuses for now."""

    exit_code = 3


class ApiUnavailableError(EtlError):
    """HighLevel does not answer properly for now."""

    exit_code = 3


class ItemError(Exception):
    """One item could not be loaded this time."""

    def __init__(self, cause: str, detail: str, *, payload: bytes | None = None) -> None:
        super().__init__(cause, detail)
        self.cause = cause
        self.detail = detail
        self.payload = payload

    def __str__(self) -> str:
        return f"{self.cause}: {self.detail}"


class RetriableError(ItemError):
    """It may work later: spend an attempt and come back after a backoff."""


class UnreachableError(RetriableError):
    """The API did not answer properly; many of these in a row are an outage, which is no item's fault."""


class ApiMisconfiguredError(UnreachableError):
    """A redirect, or a refusal of the version. If every request of a run meets it, the base URL or version is wrong."""


class NotFoundError(ItemError):
    """The API does not know the id: too new, deleted, or never there."""


class NothingFoundError(NotFoundError):
    """Nor does it know any other id of the location, as if all were gone: ask again later, and believe nothing."""


class RefusedError(ItemError):
    """It will not work later either: it becomes a dead letter."""


class WorkerLostError(RefusedError):
    """Nothing was asked: the worker was killed each time that it had claimed this item alone."""


class TransformError(RefusedError):
    """A payload that cannot be understood; ``field`` names the place."""

    def __init__(self, field: str, problem: str) -> None:
        super().__init__("transform", f"{field}: {problem}")
        self.field = field


class RateLimitedError(ItemError):
    """Too many requests: the location waits ``retry_after`` seconds (None: one interval). Costs no attempt."""

    def __init__(self, retry_after: float | None) -> None:
        super().__init__("rate_limited", "HTTP 429")
        self.retry_after = retry_after


class SnoozedError(ItemError):
    """Not now, and not the item's fault: its token is being replaced, its lease may be over, its request was lost.

    No attempt is spent.
    """


class UngrantedError(ItemError):
    """The token may not read this kind of thing: the item waits a day, and the location's other kinds go on."""


class LocationError(ItemError):
    """The fault is the location's, not the item's: pause the location and keep its items."""


class TokenError(LocationError):
    """The location's token was refused; a fresh one may be accepted."""


class ForeignError(LocationError):
    """The token has no access to this: the id is another location's, or the token lost its own."""

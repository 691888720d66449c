"""What a request to the API asks for, and what an endpoint is. Performs no I/O."""

from collections.abc import Callable
from dataclasses import dataclass, field

from etl.sandbox.faults import Fault, Reply
from etl.sandbox.world import World


@dataclass(frozen=True, slots=True)
class Endpoint:
    """One route.

    Attributes:
        name: the beginning of the names that its faults go by; without one, the id is the name.
        path: as documented; ``{id}`` is what is asked for, else it is the location.
        scope: what a token must be allowed.
        missing: status and message when there is no such thing.
        answer: the answer, or None when there is no such thing.
    """

    name: str
    path: str
    scope: str
    missing: tuple[int, str]
    answer: Callable[[World, "Ask"], "Reply | None"]


@dataclass(slots=True)
class Ask:
    """One request; ``query`` has what is in the path too, and ``location_id`` is whose token it came with."""

    endpoint: Endpoint
    id: str
    query: dict[str, str] = field(default_factory=dict)
    location_id: str = ""
    fault: Fault | None = None

    @property
    def name(self) -> str:
        """What faults and statistics know it by."""
        return f"{self.endpoint.name}/{self.id}" if self.endpoint.name else self.id

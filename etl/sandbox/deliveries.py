"""Plans which webhooks are delivered when, and how badly. Performs no I/O and reads no clock."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from itertools import cycle, islice
from random import Random

from etl.sandbox.keys import Scheme

LATER = 0.5  # seconds at most between a webhook and its duplicate


@dataclass(frozen=True, slots=True, order=True)
class Delivery:
    """One webhook on its way.

    Attributes:
        due: seconds after the start; deliveries are ordered by it.
        number: its place in the plan, so that no two are equal.
        message_id: what it announces.
        edition: 0 for the first time a message is announced; each edition has a webhookId of its own.
        genuine: False if its signature shall belong to other bytes.
        attempt: 1 for the first.
    """

    due: float
    number: int
    message_id: str = field(compare=False)
    edition: int = field(compare=False, default=0)
    genuine: bool = field(compare=False, default=True)
    attempt: int = field(compare=False, default=1)


@dataclass(frozen=True, slots=True, kw_only=True)
class Traffic:
    """How webhooks come in.

    Attributes:
        count: how many, besides duplicates.
        rate: a second; None makes all due at once.
        duplicates: the share (0 to 1) delivered once more up to half a second later, under the same webhookId.
        bad_signatures: the share whose signature belongs to other bytes; these are never retried.
        reorder: how many places early or late a webhook may come; 0 keeps the order.
        retries: how often more a 429 or no answer is tried.
        retry_delay: seconds before each retry.
        concurrency: connections.
        scheme: one signature or both.
        seed: of the chance behind the shares and the order.

    Raises:
        ValueError: a number out of range.
    """

    count: int = 100
    rate: float | None = None
    duplicates: float = 0.0
    bad_signatures: float = 0.0
    reorder: int = 0
    retries: int = 5
    retry_delay: float = 1.0
    concurrency: int = 8
    scheme: Scheme = "ed25519"
    seed: int = 1

    def __post_init__(self) -> None:
        if not (0 <= self.duplicates <= 1 and 0 <= self.bad_signatures <= 1):
            raise ValueError("shares lie between 0 and 1")
        if min(self.count, self.reorder, self.retries, self.retry_delay) < 0 or self.concurrency < 1:
            raise ValueError("numbers of webhooks are not negative, and there is at least one connection")


def plan(ids: Sequence[str], traffic: Traffic) -> list[Delivery]:
    """The deliveries in the order they are due: the ids from the first on, and over again until there are enough.

    Raises:
        ValueError: there are no ids.
    """
    if not ids:
        raise ValueError("there are no messages to announce")
    draw = Random(traffic.seed)  # noqa: S311 - reproducible on purpose
    planned: list[Delivery] = []
    for place, (message_id, edition) in enumerate(_shuffled(ids, traffic.count, traffic.reorder, draw)):
        due = place / traffic.rate if traffic.rate else 0.0
        genuine = draw.random() >= traffic.bad_signatures
        planned.append(Delivery(due, len(planned), message_id, edition, genuine))
        if genuine and draw.random() < traffic.duplicates:
            planned.append(Delivery(due + draw.random() * LATER, len(planned), message_id, edition))
    return sorted(planned)


def _shuffled(ids: Sequence[str], count: int, window: int, draw: Random) -> Iterator[tuple[str, int]]:
    announced = ((message_id, place // len(ids)) for place, message_id in enumerate(islice(cycle(ids), count)))
    if window < 1:
        return announced
    # Adding less than window + 1 to each place lets nothing move further than the window.
    moved = sorted((place + draw.random() * window, item) for place, item in enumerate(announced))
    return (item for _, item in moved)

"""Posts signed webhooks the way HighLevel does: some twice and, after a 429, again.

HighLevel retries a 429 up to six times about ten minutes apart; whether it retries anything else has changed over time
(webhook guide). Here a 429 or no answer is retried, after a delay short enough to watch.
https://github.com/GoHighLevel/highlevel-api-docs/issues/257
"""

import time
from collections import Counter
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from random import Random

import requests
from requests.adapters import HTTPAdapter

from etl.sandbox.dataset import Dataset
from etl.sandbox.keys import SandboxKeys
from etl.sandbox.replies import encode

NO_ANSWER = "no answer"
CONNECTIONS = 8
TIMEOUT = 10.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Traffic:
    """How webhooks come in.

    Attributes:
        count: how many, besides duplicates.
        rate: a second; None makes all due at once.
        duplicates: the share (0 to 1) delivered twice, under the same webhookId.
        bad_signatures: the share whose signature belongs to other bytes; these are never retried.
        retries: how often more a 429 or no answer is tried.
        retry_delay: seconds before each retry, in which that connection sends nothing else.
    """

    count: int = 100
    rate: float | None = None
    duplicates: float = 0.0
    bad_signatures: float = 0.0
    retries: int = 5
    retry_delay: float = 1.0


@dataclass(frozen=True, slots=True)
class Delivery:
    """One webhook on its way: ``due`` seconds after the start, the n-th ``edition`` of what announces a message."""

    due: float
    message_id: str
    edition: int
    genuine: bool


@dataclass(slots=True)
class Report:
    """What became of the webhooks.

    Attributes:
        statuses: how many answers of each status; ``no answer`` counts the requests without one.
        acknowledged: each webhookId answered 2xx: what the receiver must not lose.
        unacknowledged: the genuine ones that never were.
        accepted_forgeries: wrongly signed webhooks answered 2xx; anything but 0 is a fault of the receiver.
        seconds: how long it all took.
    """

    statuses: Counter[str] = field(default_factory=Counter)
    acknowledged: set[str] = field(default_factory=set)
    unacknowledged: set[str] = field(default_factory=set)
    accepted_forgeries: int = 0
    seconds: float = 0.0

    @property
    def sent(self) -> int:
        """Requests made, retries included."""
        return self.statuses.total()


def plan(ids: Sequence[str], traffic: Traffic) -> list[Delivery]:
    """Return the deliveries as they come due: the ids from the first on, and over again until there are enough."""
    draw = Random(1)  # noqa: S311 - reproducible on purpose
    planned = []
    for place in range(traffic.count):
        edition, number = divmod(place, len(ids))
        due = place / traffic.rate if traffic.rate else 0.0
        genuine = draw.random() >= traffic.bad_signatures
        is_twice = genuine and draw.random() < traffic.duplicates
        planned += [Delivery(due, ids[number], edition, genuine)] * (1 + is_twice)
    return planned


def send(
    to_url: str, *, dataset: Dataset, keys: SandboxKeys, traffic: Traffic, stop: Callable[[], bool] = lambda: False
) -> Report:
    """Announce messages of a data set to a receiver and report what it answered.

    Args:
        to_url: the receiver's whole URL.
        dataset: must be that of the sandbox which the receiver's job will ask for the messages.
        keys: what signs.
        traffic: how many webhooks, how fast, how badly.
        stop: asked before each request; True ends the sending early.
    """
    begun = time.monotonic()
    report = Report()
    with ThreadPoolExecutor(CONNECTIONS) as pool, requests.Session() as session:
        session.trust_env = False
        session.mount("http", HTTPAdapter(pool_maxsize=CONNECTIONS))

        def deliver(delivery: Delivery) -> tuple[str, bool, list[str]]:
            if stop():
                return "", delivery.genuine, []
            event = dataset.event(delivery.message_id, edition=delivery.edition)
            body = encode(event)
            signed = keys.sign(body if delivery.genuine else body + b" ")
            statuses: list[str] = []
            due = begun + delivery.due
            while len(statuses) <= traffic.retries and _wait(due, stop):
                statuses.append(_post(session, to_url, body, signed))
                if not delivery.genuine or statuses[-1] not in {"429", NO_ANSWER}:
                    break
                due = time.monotonic() + traffic.retry_delay
            return event["webhookId"], delivery.genuine, statuses

        for webhook_id, is_genuine, statuses in pool.map(deliver, plan(dataset.ids(), traffic)):
            report.statuses.update(statuses)
            is_accepted = any(status.startswith("2") for status in statuses)
            if is_genuine and statuses:
                (report.acknowledged if is_accepted else report.unacknowledged).add(webhook_id)
            elif is_accepted:
                report.accepted_forgeries += 1
    report.unacknowledged -= report.acknowledged
    report.seconds = time.monotonic() - begun
    return report


def _wait(due: float, stop: Callable[[], bool]) -> bool:
    """Wait until it is time; return False when it is time to stop before."""
    while not stop():
        wait = due - time.monotonic()
        if wait <= 0:
            return True
        time.sleep(min(wait, 0.1))
    return False


def _post(session: requests.Session, to_url: str, body: bytes, signed: dict[str, str]) -> str:
    """Return the status, or that there was no answer."""
    headers = signed | {"Content-Type": "application/json"}
    try:
        response = session.post(to_url, data=body, headers=headers, timeout=TIMEOUT, allow_redirects=False)
    except requests.RequestException:
        return NO_ANSWER
    return str(response.status_code)

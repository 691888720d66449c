"""Posts signed webhooks the way HighLevel does: some twice, some out of order and, after a 429, again.

HighLevel retries a 429 up to six times about ten minutes apart; whether it retries anything else has changed over time
(docs issue 257, webhook guide). Here a 429 or no answer is retried, after a delay short enough to watch.
"""

import heapq
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from threading import Condition, Thread

import requests

from etl.sandbox.dataset import Dataset, encode
from etl.sandbox.deliveries import Delivery, Traffic, plan
from etl.sandbox.keys import SandboxKeys, Scheme

NO_ANSWER = "no answer"
TIMEOUT = 10.0


@dataclass(slots=True)
class Report:
    """What became of the webhooks.

    Attributes:
        sent: requests made, retries included.
        statuses: how many answers of each status; ``no answer`` counts the requests without one.
        acknowledged: the message id of each webhookId answered 2xx: what the receiver must not lose.
        unacknowledged: the same for the genuine ones that never were.
        accepted_forgeries: wrongly signed webhooks answered 2xx; anything but 0 is a fault of the receiver.
        latencies: seconds each answered request took, in the order they ended.
        seconds: how long it all took.
    """

    sent: int = 0
    statuses: Counter[str] = field(default_factory=Counter)
    acknowledged: dict[str, str] = field(default_factory=dict, repr=False)
    unacknowledged: dict[str, str] = field(default_factory=dict, repr=False)
    accepted_forgeries: int = 0
    latencies: list[float] = field(default_factory=list, repr=False)
    seconds: float = 0.0

    @property
    def p50(self) -> float:
        """The seconds within which half of the answers came."""
        return self._within(0.5)

    @property
    def p99(self) -> float:
        """The seconds within which 99 of 100 answers came."""
        return self._within(0.99)

    def _within(self, share: float) -> float:
        ordered = sorted(self.latencies)
        return ordered[min(len(ordered) - 1, int(share * len(ordered)))] if ordered else 0.0


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
    outbox = _Outbox(plan(dataset.ids(), traffic), traffic, stop)
    post = _Post(to_url, dataset, keys, traffic.scheme)
    threads = [Thread(target=outbox.work, args=(post,), daemon=True) for _ in range(traffic.concurrency)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return outbox.finish()


@dataclass(frozen=True, slots=True)
class _Post:
    """How one webhook is posted."""

    to_url: str
    dataset: Dataset
    keys: SandboxKeys
    scheme: Scheme

    def __call__(self, session: requests.Session, delivery: Delivery) -> tuple[str, int | None, float]:
        """The webhookId, the status or None without an answer, and the seconds the answer took.

        Signs here rather than when planning, because an RSA-4096 signature takes milliseconds.
        """
        event = self.dataset.event(delivery.message_id, edition=delivery.edition)
        body = encode(event)
        headers = self.keys.sign(body if delivery.genuine else body + b" ", self.scheme)
        headers["Content-Type"] = "application/json"
        begun = time.monotonic()
        try:
            response = session.post(self.to_url, data=body, headers=headers, timeout=TIMEOUT, allow_redirects=False)
        except requests.RequestException:
            return event["webhookId"], None, 0.0
        return event["webhookId"], response.status_code, time.monotonic() - begun


class _Outbox:
    """What is still to be delivered, shared by the threads that deliver it."""

    def __init__(self, planned: list[Delivery], traffic: Traffic, stop: Callable[[], bool]) -> None:
        self._waiting = planned  # in order, and so a heap
        self._in_hand = 0
        self._change = Condition()
        self._traffic = traffic
        self._stop = stop
        self._begun = time.monotonic()
        self._report = Report()

    def work(self, post: _Post) -> None:
        """Deliver until nothing is left that could still have to be delivered."""
        with requests.Session() as session:
            session.trust_env = False
            while (delivery := self._next()) is not None:
                webhook_id, status, seconds = post(session, delivery)
                with self._change:
                    self._record(delivery, webhook_id, status, seconds)
                    self._in_hand -= 1
                    self._change.notify_all()

    def finish(self) -> Report:
        """The report, once every thread has returned."""
        for webhook_id in self._report.acknowledged:
            self._report.unacknowledged.pop(webhook_id, None)
        self._report.seconds = time.monotonic() - self._begun
        return self._report

    def _next(self) -> Delivery | None:
        with self._change:
            while (self._waiting or self._in_hand) and not self._stop():
                wait = self._waiting[0].due - (time.monotonic() - self._begun) if self._waiting else 0.1
                if wait <= 0:
                    self._in_hand += 1
                    return heapq.heappop(self._waiting)
                self._change.wait(min(wait, 0.1))
            return None

    def _record(self, delivery: Delivery, webhook_id: str, status: int | None, seconds: float) -> None:
        report = self._report
        report.sent += 1
        report.statuses[NO_ANSWER if status is None else str(status)] += 1
        if status is not None:
            report.latencies.append(seconds)
        accepted = status is not None and 200 <= status < 300
        if not delivery.genuine:
            report.accepted_forgeries += accepted
            return
        if accepted:
            report.acknowledged[webhook_id] = delivery.message_id
            return
        report.unacknowledged[webhook_id] = delivery.message_id
        if status in {None, 429} and delivery.attempt <= self._traffic.retries:
            due = time.monotonic() - self._begun + self._traffic.retry_delay
            heapq.heappush(self._waiting, replace(delivery, due=due, attempt=delivery.attempt + 1))

"""Decides which findings to send: when they begin, once a day while they last, and when they are over; pure."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from etl.output import counted, duration
from etl.state.notices import SentNotice
from etl.watch.findings import Finding

REMINDER = timedelta(days=1)
LINES = 20
"""Lines of one notice; etl check has all."""
Key = tuple[str, str]


@dataclass(frozen=True, slots=True)
class News:
    """Notices to send."""

    begun: Sequence[Finding] = ()
    lasting: Sequence[Finding] = ()
    """Sent a day ago, and not over."""
    over: Sequence[SentNotice] = ()
    now: datetime = field(kw_only=True)

    def __bool__(self) -> bool:
        return bool(self.begun or self.lasting or self.over)

    @property
    def keys(self) -> list[Key]:
        """Names and subjects of the findings that are sent."""
        return [(each.name, each.subject) for each in (*self.begun, *self.lasting)]

    @property
    def title(self) -> str:
        """Say it in a few words."""
        counts = {"new": self.begun, "not over": self.lasting, "over": self.over}
        return "highlevel-etl: " + ", ".join(f"{len(each)} {word}" for word, each in counts.items() if each)

    @property
    def body(self) -> str:
        """Say it all, a line each."""
        lines = [f"NEW {each.line(self.now)}" for each in self.begun]
        lines += [f"NOT OVER {each.line(self.now)}" for each in self.lasting]
        for each in self.over:
            after = duration((self.now - each.began_at).total_seconds())
            lines.append(f"{f'OVER {each.name} {each.subject}'.rstrip()}, after {after}")
        left = len(lines) - LINES
        return "\n".join(lines[:LINES] + ([f"… {counted(left, 'line')} more: etl check"] if left > 0 else []))


def news(findings: Sequence[Finding], sent: Sequence[SentNotice], now: datetime) -> News:
    """Return what to send, from the findings of now and those that were sent before."""
    before = {(each.name, each.subject): each for each in sent}
    current = {(each.name, each.subject): each for each in findings}
    begun = [each for key, each in current.items() if key not in before]
    lasting = [each for key, each in current.items() if key in before and now - before[key].told_at >= REMINDER]
    return News(begun, lasting, [each for key, each in before.items() if key not in current], now=now)

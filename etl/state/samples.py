"""Every statement on ``etl.samples``: how the work went lately. Nothing here commits."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from sqlalchemy import ColumnElement, Connection, delete, func, select
from sqlalchemy.dialects.postgresql import insert

from etl.models import Sample

EVERY = timedelta(minutes=5)
KEPT = timedelta(days=8)
BUCKET: ColumnElement[datetime] = func.date_bin(EVERY, func.now(), datetime(2000, 1, 1, tzinfo=UTC))


@dataclass(frozen=True, slots=True)
class Taken:
    """The figures at one time."""

    at: datetime
    figures: Mapping[str, float]


def add(connection: Connection, figures: Mapping[str, float]) -> None:
    """Keep figures, unless these five minutes have some already; then nothing is written."""
    statement = insert(Sample).values(taken_at=BUCKET, figures=dict(figures)).on_conflict_do_nothing()
    if connection.execute(statement).rowcount:
        connection.execute(delete(Sample).where(Sample.taken_at < BUCKET - KEPT))


def since(connection: Connection, start: datetime) -> list[Taken]:
    """Return what was kept since then, the oldest first."""
    query = select(Sample.taken_at, Sample.figures).where(Sample.taken_at >= start).order_by(Sample.taken_at)
    return [Taken(*row) for row in connection.execute(query)]

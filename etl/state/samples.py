"""Every statement on ``etl.samples``: how the work went lately. Nothing here commits."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy import Connection, delete, select, text
from sqlalchemy.dialects.postgresql import insert

from etl.models import Sample

EVERY = timedelta(minutes=5)
KEPT = timedelta(days=8)
BUCKET = text("date_bin(interval '5 minutes', now(), timestamptz '2000-01-01 00:00:00+00')")


@dataclass(frozen=True, slots=True)
class Taken:
    """The figures at one time."""

    at: datetime
    figures: Mapping[str, float]


def add(connection: Connection, figures: Mapping[str, float]) -> None:
    """Keep figures, unless these five minutes have some already; then nothing is written."""
    at: datetime = connection.execute(select(BUCKET)).scalar_one()
    if connection.execute(select(Sample.taken_at).where(Sample.taken_at == at)).first() is None:
        connection.execute(insert(Sample).values(taken_at=at, figures=dict(figures)).on_conflict_do_nothing())
        connection.execute(delete(Sample).where(Sample.taken_at < at - KEPT))


def since(connection: Connection, start: datetime) -> list[Taken]:
    """Return what was kept since then, the oldest first."""
    query = select(Sample.taken_at, Sample.figures).where(Sample.taken_at >= start).order_by(Sample.taken_at)
    return [Taken(*row) for row in connection.execute(query)]

"""Runs the job marts in the transaction of a test."""

from sqlalchemy import Connection

from etl.load import marts
from etl.state import mart_changes
from etl.worker.marts import note_clocks, work_out


def refresh(connection: Connection) -> None:
    """Work out every location: statements of a test note nothing."""
    mart_changes.note_locations(connection, marts.locations(connection))
    work_out_noted(connection)


def work_out_noted(connection: Connection) -> None:
    """Work out what is noted."""
    note_clocks(connection)
    while not work_out(connection, wait=True).is_last:
        pass

"""What all tables share: the naming of constraints, and the kinds of columns."""

from dataclasses import dataclass
from datetime import date, datetime
from typing import Annotated, Any, ClassVar

from sqlalchemy import (
    ARRAY,
    BigInteger,
    CheckConstraint,
    ColumnElement,
    Date,
    DateTime,
    Identity,
    Integer,
    LargeBinary,
    MetaData,
    Text,
    func,
    text,
)
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.orm import DeclarativeBase, Mapped, MappedColumn, mapped_column
from sqlalchemy.sql.schema import SchemaItem

from etl.ids import ID_PATTERN

NAMING_CONVENTION = {
    "pk": "%(table_name)s_pkey",
    "ck": "%(table_name)s_%(constraint_name)s_check",
    "ix": "%(table_name)s_%(column_0_N_name)s_idx",
    "uq": "%(table_name)s_%(column_0_N_name)s_key",
    "fk": "%(table_name)s_%(column_0_N_name)s_fkey",
}

key = Annotated[str, mapped_column(primary_key=True)]
serial = Annotated[int, mapped_column(BigInteger, Identity(always=True), primary_key=True)]
number_key = Annotated[int, mapped_column(primary_key=True, autoincrement=False)]
big = Annotated[int, mapped_column(BigInteger)]
count = Annotated[int, mapped_column(server_default="0")]
big_count = Annotated[int, mapped_column(BigInteger, server_default="0")]
json = Annotated[dict[str, Any], mapped_column(JSONB(none_as_null=True))]
json_list = Annotated[list[Any], mapped_column(JSONB(none_as_null=True))]
texts = Annotated[list[str], mapped_column(ARRAY(Text()))]
timestamp = Annotated[datetime, mapped_column(DateTime(timezone=True))]
local_timestamp = Annotated[datetime, mapped_column(DateTime(timezone=False))]
day = Annotated[date, mapped_column(Date())]
timestamp_now = Annotated[datetime, mapped_column(DateTime(timezone=True), server_default=func.now())]


def column(comment: str, *items: SchemaItem, example: str | None = None, **options: Any) -> MappedColumn[Any]:
    """Return a column with the comment, and the example of a value, that docs/tables.md shows."""
    return mapped_column(*items, comment=comment, info={"example": example} if example else {}, **options)


@dataclass(frozen=True, slots=True)
class WritePolicy:
    """How a newer row of a table replaces the one that is there."""

    preserve: tuple[str, ...] = ()
    """Columns in which a value that is there stays: something else tells it better."""
    is_refreshed: bool = False
    """Whether ``fetched_at`` tells when the row was last fetched, changed or not."""


class Base(DeclarativeBase):
    """All tables, with one naming convention for constraints and indexes."""

    write_policy: ClassVar[WritePolicy] = WritePolicy()
    metadata = MetaData(naming_convention=NAMING_CONVENTION)
    type_annotation_map = {str: Text(), int: Integer(), bytes: LargeBinary()}  # noqa: RUF012 - SQLAlchemy's contract


class Written:
    """What a table says of when its rows were written."""

    created_at: Mapped[timestamp_now] = column("When this row was first written.")
    updated_at: Mapped[timestamp_now] = column("When this row last changed.")


def id_check(column: str) -> CheckConstraint:
    """Return the database's half of the rule that :func:`etl.ids.is_fetchable` states."""
    return CheckConstraint(text(f"{column} ~ '{ID_PATTERN}' AND {column} !~ '^[.]+$'"), name=f"{column}_is_valid")


def one_of(column: str, values: tuple[str, ...]) -> ColumnElement[bool]:
    """Return the condition of a check: the column holds one of these words."""
    return text(f"{column} IN ({', '.join(repr(value) for value in values)})")  # type: ignore[return-value]


def table_args(schema: str, comment: str | None, *items: SchemaItem, **options: Any) -> tuple[Any, ...]:
    """Return a table's schema, comment (its class's docstring), checks and indexes, and options of SQLAlchemy's."""
    return (*items, {"schema": schema, "comment": " ".join((comment or "").split()), **options})

"""What all tables share: the naming of constraints, and the kinds of columns.

Tables are classes of ours, made with SQLAlchemy's Core: importing and mapping with its ORM took a sixth of the start.
"""

from dataclasses import dataclass
from datetime import date, datetime, time
from functools import partial
from inspect import get_annotations
from typing import Annotated, Any, ClassVar, Generic, NamedTuple, TypeVar, get_args

from sqlalchemy import (
    ARRAY,
    BigInteger,
    Boolean,
    CheckConstraint,
    Column,
    ColumnElement,
    Date,
    DateTime,
    Double,
    Identity,
    Integer,
    LargeBinary,
    MetaData,
    Table,
    Text,
    Time,
    func,
    text,
)
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.sql.schema import SchemaItem

from etl.ids import ID_PATTERN

NAMING_CONVENTION = {
    "pk": "%(table_name)s_pkey",
    "ck": "%(table_name)s_%(constraint_name)s_check",
    "ix": "%(table_name)s_%(column_0_N_name)s_idx",
    "uq": "%(table_name)s_%(column_0_N_name)s_key",
    "fk": "%(table_name)s_%(column_0_N_name)s_fkey",
}

JSON = JSONB(none_as_null=True)
TIME = DateTime(timezone=True)

key = Annotated[str, partial(Column, type_=Text, primary_key=True)]
serial = Annotated[int, lambda name, **more: Column(name, BigInteger, Identity(always=True), primary_key=True, **more)]
number_key = Annotated[int, partial(Column, type_=Integer, primary_key=True, autoincrement=False)]
big = Annotated[int, partial(Column, type_=BigInteger)]
count = Annotated[int, partial(Column, type_=Integer, server_default="0")]
big_count = Annotated[int, partial(Column, type_=BigInteger, server_default="0")]
json = Annotated[dict[str, Any], partial(Column, type_=JSON)]
json_list = Annotated[list[Any], partial(Column, type_=JSON)]
texts = Annotated[list[str], partial(Column, type_=ARRAY(Text))]
timestamp = Annotated[datetime, partial(Column, type_=TIME)]
local_timestamp = Annotated[datetime, partial(Column, type_=DateTime)]
day = Annotated[date, partial(Column, type_=Date)]
timestamp_now = Annotated[datetime, partial(Column, type_=TIME, server_default=func.now())]
seconds = Annotated[float, partial(Column, type_=Double)]
time_of_day = Annotated[time, partial(Column, type_=Time)]
PLAIN = {
    plain: partial(Column, type_=type_)
    for plain, type_ in ((str, Text), (int, Integer), (bytes, LargeBinary), (bool, Boolean), (date, Date))
}


T = TypeVar("T")


class Mapped(Generic[T]):
    """The type of a column, as an attribute of the class of its table."""

    def __get__(self, instance: None, owner: type) -> Column[T]: ...  # type: ignore[empty-body] # only for annotations


class _Given(NamedTuple):
    """A column as its class states it; each table gets one of its own."""

    items: tuple[SchemaItem, ...]
    options: dict[str, Any]

    def column(self, name: str, annotation: Any) -> Column[Any]:
        """Return the column of that name; ``annotation`` is what :class:`Mapped` has in brackets."""
        is_nullable = type(None) in get_args(annotation)
        kind = get_args(annotation)[0] if is_nullable else annotation
        make = PLAIN[kind] if kind in PLAIN else get_args(kind)[1]
        made: Column[Any] = make(name, *self.items, nullable=is_nullable, **self.options)
        return made


def column(comment: str, *items: SchemaItem, example: str | None = None, **options: Any) -> Any:
    """Return a column with the comment, and the example of a value, that docs/tables.md shows."""
    return _Given(items, {"comment": comment, "info": {"example": example} if example else {}, **options})


@dataclass(frozen=True, slots=True)
class WritePolicy:
    """How a newer row of a table replaces the one that is there."""

    preserve: tuple[str, ...] = ()
    """Columns that keep a stored value: it comes from a better source."""
    is_refreshed: bool = False
    """Whether rows are fetched again when they are old, so that a thing that the API does not know gets a row, too."""


class _Model(type):
    """Has a statement take the class for its table."""

    __table__: Table

    def __clause_element__(cls) -> Table:
        return cls.__table__


class Base(metaclass=_Model):
    """All tables, with one naming convention for constraints and indexes. A column is an attribute of its class."""

    __tablename__: ClassVar[str]
    __table_args__: ClassVar[tuple[SchemaItem, ...]] = ()
    """Checks and indexes."""
    write_policy: ClassVar[WritePolicy] = WritePolicy()
    metadata = MetaData(naming_convention=NAMING_CONVENTION)

    def __init_subclass__(cls, *, table: str, **options: Any) -> None:
        """Make the table of a class: ``schema.name``, with SQLAlchemy's options. The docstring is its comment."""
        stated: dict[str, Column[Any]] = {}
        for each in cls.__mro__:
            for name, annotation in get_annotations(each).items():
                if isinstance(given := vars(each).get(name), _Given):
                    stated.setdefault(name, given.column(name, get_args(annotation)[0]))
        columns = list(stated.values())
        schema, cls.__tablename__ = table.split(".")
        comment = " ".join((cls.__doc__ or "").split())
        things = *columns, *cls.__table_args__
        cls.__table__ = Table(cls.__tablename__, cls.metadata, *things, schema=schema, comment=comment, **options)
        for made in columns:
            setattr(cls, made.name, made)


class Written:
    """What a table says of when its rows were written."""

    created_at: Mapped[timestamp_now] = column("When this row was first written.")
    updated_at: Mapped[timestamp_now] = column("When this row last changed.")


FETCHED_AT = "When the API first gave what is stored here; getting the same again does not move this time."


class Fetched(Written):
    """What a table of things that the API knows says of when it asked for them."""

    fetched_at: Mapped[timestamp] = column(FETCHED_AT)
    checked_at: Mapped[timestamp | None] = column(
        "When the API last confirmed what is stored here, or said that it is gone. Lists and exports do not count "
        "unless they bring something new. Null: not since an upgrade added this column; see fetched_at."
    )
    updated_at: Mapped[timestamp_now] = column(
        "When this row last changed in this database, or its files, meta or status changes did. To copy what changed, "
        "follow this column.",
        index=True,
    )


def id_check(column: str) -> CheckConstraint:
    """Return the database's half of the rule that :func:`etl.ids.is_fetchable` states."""
    return CheckConstraint(text(f"{column} ~ '{ID_PATTERN}' AND {column} !~ '^[.]+$'"), name=f"{column}_is_valid")


def one_of(column: str, values: tuple[str, ...]) -> ColumnElement[bool]:
    """Return the condition of a check: the column holds one of these words."""
    return text(f"{column} IN ({', '.join(repr(value) for value in values)})")  # type: ignore[return-value]

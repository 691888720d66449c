"""The tables and views as sources of dbt, with their descriptions and tests; performs no I/O."""

from collections.abc import Mapping, Sequence
from typing import Any

from etl.database.dictionary import CLOSED, JOINS, Column, Relation

Entry = dict[str, Any]

LOADED_AT = {"as_of": "as_of", "checked_at": "greatest(checked_at, updated_at)", "updated_at": "updated_at"}
"""Expressions for when rows were last loaded, by the column that each needs; the first possible one is used."""
ALWAYS_FILLED = ("messages",)
"""Tables that are loaded wherever messages come. Others may rightly be empty, or get nothing new for weeks."""
ONE_OF = frozenset(("message_id", "email_id"))
"""In views of both, an email may have no thread, and other messages have no email: one of the two may be null."""


def sources(schema: str, relations: Sequence[Relation], *, hours: Mapping[str, int]) -> Entry:
    """Return a properties file: https://docs.getdbt.com/reference/source-properties, with arguments as of dbt 1.10.

    ``hours`` without anything loaded are too long: for ``warn_after`` and ``error_after``.
    """
    return {
        "version": 2,
        "sources": [
            {
                "name": schema,
                "schema": schema,
                "description": "Conversations of HighLevel, loaded by highlevel-etl."
                if schema == "highlevel"
                else "The operation of highlevel-etl.",
                "tables": [_table(each, hours) for each in relations],
            }
        ],
    }


def _table(relation: Relation, hours: Mapping[str, int]) -> Entry:
    entry: Entry = {"name": relation.name, "description": relation.comment}
    config = _freshness(relation, hours)
    if config:
        entry["config"] = config
    if len(relation.key) > 1:
        # concat_ws leaves out a null, such as email_id of a message that is no email.
        unique = f"concat_ws(' ', {', '.join(relation.key)})"
        entry["data_tests"] = [{"unique": {"arguments": {"column_name": unique}}}]
    return entry | {"columns": [_column(relation, each) for each in relation.columns]}


def _freshness(relation: Relation, hours: Mapping[str, int]) -> Entry:
    """Return what ``dbt source freshness`` asks. Of a view only as_of, which is the same in all its rows."""
    names = {column.name for column in relation.columns}
    loaded_at = next((each for each in LOADED_AT if each in names), None)
    if loaded_at is None or (relation.is_view and loaded_at != "as_of"):
        return {}
    entry: Entry = {"loaded_at_field": LOADED_AT[loaded_at]}
    if loaded_at == "as_of" or relation.name in ALWAYS_FILLED:
        entry["freshness"] = {each: {"count": count, "period": "hour"} for each, count in hours.items()}
    return entry


def _column(relation: Relation, column: Column) -> Entry:
    tests: list[Any] = []
    may_be_null = relation.is_view and ONE_OF.issubset(relation.key) and column.name in ONE_OF
    if column.required or (column.name in relation.key and not may_be_null):
        tests.append("not_null")
    if [column.name] == list(relation.key):
        tests.append("unique")
    if relation.is_view and column.name in CLOSED:
        tests.append({"accepted_values": {"arguments": {"values": list(CLOSED[column.name])}}})
    tests += [
        {"relationships": {"arguments": {"to": f"source('{relation.schema}', '{each.one}')", "field": column.name}}}
        for each in JOINS
        if each.holds and each.many == relation.name and column.name == each.columns[-1]
    ]
    entry = {"name": column.name, "description": column.comment, "data_type": column.type}
    return entry | ({"data_tests": tests} if tests else {})

"""The tables and views as sources of dbt, with their descriptions and tests; performs no I/O."""

from collections.abc import Sequence
from typing import Any

from etl.database.dictionary import CLOSED, JOINS, Column, Relation

Entry = dict[str, Any]


def sources(schema: str, relations: Sequence[Relation]) -> Entry:
    """Return a properties file: https://docs.getdbt.com/reference/source-properties, with arguments as of dbt 1.10."""
    return {
        "version": 2,
        "sources": [
            {
                "name": schema,
                "schema": schema,
                "description": "Conversations of HighLevel, loaded by highlevel-etl."
                if schema == "highlevel"
                else "The operation of highlevel-etl.",
                "tables": [_table(each) for each in relations],
            }
        ],
    }


def _table(relation: Relation) -> Entry:
    entry: Entry = {"name": relation.name, "description": relation.comment}
    if len(relation.key) > 1:
        # A null in it, such as email_id of a message that is no email, is left out by concat_ws.
        unique = f"concat_ws(' ', {', '.join(relation.key)})"
        entry["data_tests"] = [{"unique": {"arguments": {"column_name": unique}}}]
    return entry | {"columns": [_column(relation, each) for each in relation.columns]}


def _column(relation: Relation, column: Column) -> Entry:
    tests: list[Any] = []
    may_be_null = relation.is_view and column.name == "email_id" and "message_id" in relation.key
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

from pathlib import Path

import pytest
from sqlalchemy import Engine

from etl import models
from etl.database import dictionary
from etl.database.dictionary import JOINS, Relation


@pytest.fixture
def relations(engine: Engine) -> list[Relation]:
    with engine.connect() as connection:
        return dictionary.read(connection, "highlevel")


def test_the_page_of_tables_is_what_make_tables_writes(relations: list[Relation]) -> None:
    written = Path("docs/tables.md").read_text(encoding="utf-8")
    assert dictionary.markdown("highlevel", relations) == written, "docs/tables.md is stale; run: make tables"


def test_every_table_view_and_column_says_what_it_means(relations: list[Relation]) -> None:
    silent = [each.name for each in relations if not each.comment]
    silent += [f"{each.name}.{column.name}" for each in relations for column in each.columns if not column.comment]
    assert silent == []


def test_joins_name_tables_and_columns_that_exist(relations: list[Relation]) -> None:
    columns = {each.name: {column.name for column in each.columns} for each in relations}
    assert [each for each in JOINS if not set(each.columns) <= columns[each.one] & columns[each.many]] == []


def test_every_example_of_a_model_is_shown() -> None:
    examples = [
        column.info["example"]
        for table in models.Base.metadata.tables.values()
        if table.schema == "highlevel"
        for column in table.columns
        if "example" in column.info
    ]
    page = Path("docs/tables.md").read_text(encoding="utf-8")
    assert [each for each in examples if f"`{each}`" not in page] == []

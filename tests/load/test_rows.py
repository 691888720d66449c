"""The rows that the transform makes have exactly the columns that a payload fills."""

import pytest

from etl.load.upsert import content_of
from etl.models import Attachment, Base, Message, Meta
from etl.transform.rows import AttachmentRow, MessageRow, MetaRow


@pytest.mark.parametrize(("row", "model"), [(MessageRow, Message), (AttachmentRow, Attachment), (MetaRow, Meta)])
def test_a_rows_type_has_the_columns_of_its_table(row: type, model: type[Base]) -> None:
    assert sorted(content_of(model)) == sorted(row.__annotations__)

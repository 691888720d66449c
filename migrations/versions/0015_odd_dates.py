"""Dates that cannot be true, which older versions stored, are kept beside."""

from alembic import op

from etl.database import views

revision = "0015"
down_revision = "0014"
branch_labels = None
depends_on = None

FIELDS = {"date_added": "dateAdded", "date_updated": "dateUpdated"}
# What the transform believes, too.
IS_ODD = "({column} < '1970-01-01 00:00:00Z' OR {column} >= '2100-01-01 00:00:00Z')"


def _is_odd(column: str) -> str:
    return IS_ODD.format(column=column)


def upgrade() -> None:
    kept = ", ".join(f"'{field}', CASE WHEN {_is_odd(column)} THEN {column} END" for column, field in FIELDS.items())
    rest = ", ".join(f"{column} = CASE WHEN NOT {_is_odd(column)} THEN {column} END" for column in FIELDS)
    odd = " OR ".join(map(_is_odd, FIELDS))
    for table in ("messages", "emails", "contacts"):
        op.execute(f"""
            UPDATE highlevel.{table}
            SET extra = coalesce(extra, '{{}}') || jsonb_strip_nulls(jsonb_build_object({kept})), {rest} WHERE {odd}
        """)  # noqa: S608 - constants
    op.execute(f"UPDATE highlevel.status_changes SET date_updated = NULL WHERE {_is_odd('date_updated')}")  # noqa: S608


def downgrade() -> None:
    views.drop(op.get_bind())

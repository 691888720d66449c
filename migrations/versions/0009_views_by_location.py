"""The views keep the location through every subquery, as Citus asks."""

from pathlib import Path

from alembic import op

from etl import views

revision = "0009"
down_revision = "0008"
branch_labels = None
depends_on = None


def upgrade() -> None:
    views.create(op.get_bind(), Path(__file__).parent.parent / "views")


def downgrade() -> None:
    views.drop(op.get_bind())

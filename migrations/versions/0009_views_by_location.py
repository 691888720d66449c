"""The views kept the location through every subquery from here on, as Citus asks; a newer migration creates them."""

from alembic import op

from etl.database import views

revision = "0009"
down_revision = "0008"
branch_labels = None
depends_on = None


def upgrade() -> None:
    pass


def downgrade() -> None:
    views.drop(op.get_bind())

"""The views of conversations and turns join contacts, of which they asked for each row."""

from alembic import op

from etl.database import views

revision = "0037"
down_revision = "0036"
branch_labels = None
depends_on = None

RECEIVERS_SINCE = "0017"
DISPENSABLE: tuple[str, ...] = ()


def upgrade() -> None:
    views.create(op.get_bind())


def downgrade() -> None:
    views.drop(op.get_bind())

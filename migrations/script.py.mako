"""${message}

Rules for a migration, because it runs while analysts query and workers load:

* Nothing here waits long for a lock: `lock_timeout` is set, and a table is never rewritten in place.
* Add a column as nullable or with a constant default; create an index on a table that has rows with
  `postgresql_concurrently=True` inside `with op.get_context().autocommit_block():`.
* A column that analysts read keeps its name and its meaning. Rename by adding, backfilling, and dropping a release later.
* Every table and column has a comment. Set HEAD in etl/database/schema.py to this revision.
* RECEIVERS_SINCE is the oldest revision whose receivers can store events beside this one: `etl db upgrade` names it.
* `downgrade()` runs in one transaction, and is refused where tables or columns hold something that it drops. DISPENSABLE
  names those that hold nothing to be missed. Rows that it would delete are for itself to refuse.
"""

import sqlalchemy as sa
from alembic import op
${imports if imports else ""}
revision = ${repr(up_revision)}
down_revision = ${repr(down_revision)}
branch_labels = ${repr(branch_labels)}
depends_on = ${repr(depends_on)}

RECEIVERS_SINCE = ${repr(down_revision)}
DISPENSABLE: tuple[str, ...] = ()


def upgrade() -> None:
    ${upgrades if upgrades else "pass"}


def downgrade() -> None:
    ${downgrades if downgrades else "pass"}

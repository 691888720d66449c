"""An item's time is one that every program can load, and our functions look nowhere but where they say."""

from alembic import op

revision = "0010"
down_revision = "0009"
branch_labels = None
depends_on = None

FUNCTIONS = ("etl.enqueue(text, text, text, integer, timestamptz)", "etl.notify_enqueued()")

SANE = "scheduled_at BETWEEN '1970-01-01 00:00:00+00' AND '2999-12-31 00:00:00+00'"
CLAMP = f"""
UPDATE etl.message_queue
SET scheduled_at = greatest(least(scheduled_at, '2999-12-31 00:00:00+00'), '1970-01-01 00:00:00+00') WHERE NOT ({SANE})
"""  # noqa: S608 - a constant


def upgrade() -> None:
    for function in FUNCTIONS:
        op.execute(f"ALTER FUNCTION {function} SET search_path = pg_catalog, pg_temp")
    op.execute(CLAMP)
    op.create_check_constraint(op.f("message_queue_scheduled_at_is_sane_check"), "message_queue", SANE, schema="etl")
    op.drop_constraint(op.f("message_queue_scheduled_at_is_finite_check"), "message_queue", schema="etl", type_="check")


def downgrade() -> None:
    op.create_check_constraint(
        op.f("message_queue_scheduled_at_is_finite_check"), "message_queue", "isfinite(scheduled_at)", schema="etl"
    )
    op.drop_constraint(op.f("message_queue_scheduled_at_is_sane_check"), "message_queue", schema="etl", type_="check")
    for function in FUNCTIONS:
        op.execute(f"ALTER FUNCTION {function} RESET search_path")

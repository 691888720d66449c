"""Tokens of many locations: what a location or a company was connected with, encrypted."""

from typing import Any

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None

TABLE_COMMENT = "Locations (sub-accounts) this warehouse loads, their encrypted tokens, and whether one is paused. See etl locations list."
PAUSE_COMMENT = "Fingerprint of the token that was refused: another token lifts the pause. Null: paused by hand, only etl locations resume lifts it."
OLD_TABLE_COMMENT = "Locations (sub-accounts) this warehouse loads, and whether one is paused."
OLD_PAUSE_COMMENT = "Fingerprint of the token that was refused: another token lifts the pause."

COLUMNS: list[tuple[str, sa.types.TypeEngine[Any], str]] = [
    ("name", sa.Text(), "Its name, as HighLevel lists it; null where it was never told."),
    ("company_id", sa.Text(), "Company (agency) it belongs to. API: companyId."),
    ("app_id", sa.Text(), "Marketplace app that was installed in it. API: appId."),
    ("token_source", sa.Text(), "Where its token is from: private (pasted, never renewed), app (its own OAuth grant), company (exchanged for the company's token); null while none is stored."),
    ("access_token", sa.Text(), "The token to send, encrypted with ETL_SECRET_KEY (Fernet)."),
    ("refresh_token", sa.Text(), "What the next token is got with, encrypted likewise. It works once; null where there is none."),
    ("token_fingerprint", sa.Text(), "Tells the token from another one without giving it away: the beginning of its SHA-256."),
    ("token_issued_at", sa.DateTime(timezone=True), "When the token was stored."),
    ("token_expires_at", sa.DateTime(timezone=True), "When it expires; null: not known to expire."),
    ("token_refused_at", sa.DateTime(timezone=True), "When a token was last renewed because the API refused it before its time. A second refusal soon after pauses the location."),
    ("retired_at", sa.DateTime(timezone=True), "When the app was uninstalled from it; null while it is installed. Its items wait."),
]  # fmt: skip


def upgrade() -> None:
    for name, type_, comment in COLUMNS:
        op.add_column("locations", sa.Column(name, type_, nullable=True, comment=comment), schema="etl")
    op.create_check_constraint(
        op.f("locations_token_source_is_known_check"),
        "locations",
        "token_source IN ('private', 'app', 'company')",
        schema="etl",
    )
    op.create_check_constraint(
        op.f("locations_token_is_whole_check"),
        "locations",
        "(token_source IS NULL) = (access_token IS NULL)",
        schema="etl",
    )
    op.create_index(
        op.f("locations_company_id_idx"),
        "locations",
        ["company_id"],
        unique=False,
        schema="etl",
        postgresql_where=sa.text("company_id IS NOT NULL"),
    )
    op.create_table_comment("locations", TABLE_COMMENT, existing_comment=OLD_TABLE_COMMENT, schema="etl")
    op.alter_column(
        "locations",
        "paused_token",
        comment=PAUSE_COMMENT,
        existing_comment=OLD_PAUSE_COMMENT,
        existing_type=sa.Text(),
        existing_nullable=True,
        schema="etl",
    )
    op.create_table(
        "companies",
        sa.Column("company_id", sa.Text(), nullable=False, comment="The company. API: companyId."),
        sa.Column("name", sa.Text(), nullable=True, comment="Its name; null where it was never told."),
        sa.Column("app_id", sa.Text(), nullable=True, comment="Marketplace app that was installed. API: appId."),
        sa.Column("access_token", sa.Text(), nullable=True, comment="The company's token, encrypted with ETL_SECRET_KEY (Fernet); null while it is not connected."),
        sa.Column("refresh_token", sa.Text(), nullable=True, comment="What the next token is got with, encrypted likewise. It works once."),
        sa.Column("token_fingerprint", sa.Text(), nullable=True, comment="Tells the token from another one without giving it away: the beginning of its SHA-256."),
        sa.Column("token_issued_at", sa.DateTime(timezone=True), nullable=True, comment="When the token was stored."),
        sa.Column("token_expires_at", sa.DateTime(timezone=True), nullable=True, comment="When the token expires."),
        sa.Column("retired_at", sa.DateTime(timezone=True), nullable=True, comment="When the app was uninstalled from it; null while it is installed."),
        sa.Column("created_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False, comment="When this row was first written."),
        sa.Column("updated_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False, comment="When this row last changed."),
        sa.CheckConstraint("(access_token IS NULL) = (token_expires_at IS NULL)", name=op.f("companies_token_is_whole_check")),
        sa.PrimaryKeyConstraint("company_id", name=op.f("companies_pkey")),
        schema="etl",
        comment="Companies (agencies) that installed the app: their encrypted tokens are exchanged for those of their locations.",
    )  # fmt: skip


def downgrade() -> None:
    op.drop_table("companies", schema="etl")
    op.alter_column(
        "locations",
        "paused_token",
        comment=OLD_PAUSE_COMMENT,
        existing_comment=PAUSE_COMMENT,
        existing_type=sa.Text(),
        existing_nullable=True,
        schema="etl",
    )
    op.create_table_comment("locations", OLD_TABLE_COMMENT, existing_comment=TABLE_COMMENT, schema="etl")
    op.drop_index(op.f("locations_company_id_idx"), table_name="locations", schema="etl")
    op.drop_constraint(op.f("locations_token_is_whole_check"), "locations", schema="etl", type_="check")
    op.drop_constraint(op.f("locations_token_source_is_known_check"), "locations", schema="etl", type_="check")
    for name, _, _ in reversed(COLUMNS):
        op.drop_column("locations", name, schema="etl")

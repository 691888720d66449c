"""Emails, transcripts, recordings, contacts, users, locations, and changes of statuses; the kinds that fill them."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None


KINDS_BEFORE = "kind IN ('message', 'email', 'transcription', 'recording')"
KINDS = "kind IN ('message', 'email', 'conversation', 'transcription', 'recording', 'contact', 'user', 'location')"


def upgrade() -> None:
    op.drop_constraint("message_queue_kind_is_known_check", "message_queue", schema="etl")
    op.create_check_constraint(op.f("message_queue_kind_is_known_check"), "message_queue", KINDS, schema="etl")
    op.create_table(
        "contacts",
        sa.Column("location_id", sa.Text(), nullable=False, comment="Location the contact belongs to."),
        sa.Column("contact_id", sa.Text(), nullable=False, comment="The contact. API: id."),
        sa.Column("name", sa.Text(), nullable=True, comment="Full name, as given or joined from its parts."),
        sa.Column("first_name", sa.Text(), nullable=True, comment="First name. API: firstName."),
        sa.Column("last_name", sa.Text(), nullable=True, comment="Last name. API: lastName."),
        sa.Column("email", sa.Text(), nullable=True, comment="Email address. API: email."),
        sa.Column("phone", sa.Text(), nullable=True, comment="Phone number. API: phone."),
        sa.Column("company_name", sa.Text(), nullable=True, comment="Company. API: companyName."),
        sa.Column("tags", sa.ARRAY(sa.Text()), nullable=True, comment="Tags. API: tags."),
        sa.Column(
            "contact_type", sa.Text(), nullable=True, comment="Type of contact, e.g. lead or customer. API: type."
        ),
        sa.Column("source", sa.Text(), nullable=True, comment="Where the contact came from. API: source."),
        sa.Column("time_zone", sa.Text(), nullable=True, comment="Time zone. API: timezone."),
        sa.Column(
            "date_added", sa.DateTime(timezone=True), nullable=True, comment="When it was created. API: dateAdded."
        ),
        sa.Column(
            "date_updated",
            sa.DateTime(timezone=True),
            nullable=True,
            comment="When HighLevel last changed it. API: dateUpdated.",
        ),
        sa.Column(
            "extra",
            postgresql.JSONB(none_as_null=True, astext_type=sa.Text()),
            nullable=True,
            comment="Whatever the API sent that no column holds (custom fields …), under the API's own names.",
        ),
        sa.Column(
            "deleted_at",
            sa.DateTime(timezone=True),
            nullable=True,
            comment="When the API first said that the contact no longer exists; null while it exists.",
        ),
        sa.Column("fetched_at", sa.DateTime(timezone=True), nullable=False, comment="When it was last fetched."),
        sa.Column(
            "created_at",
            sa.DateTime(timezone=True),
            server_default=sa.text("now()"),
            nullable=False,
            comment="When this row was first written.",
        ),
        sa.Column(
            "updated_at",
            sa.DateTime(timezone=True),
            server_default=sa.text("now()"),
            nullable=False,
            comment="When this row last changed.",
        ),
        sa.PrimaryKeyConstraint("location_id", "contact_id", name=op.f("contacts_pkey")),
        schema="highlevel",
        comment="Contacts of messages, fetched when first seen and again when older than a day. Filled only where jobs.yaml has a job for them.",
    )
    op.create_table(
        "email_attachments",
        sa.Column("location_id", sa.Text(), nullable=False, comment="Location the email belongs to."),
        sa.Column("email_id", sa.Text(), nullable=False, comment="Email the file is part of."),
        sa.Column(
            "position",
            sa.Integer(),
            autoincrement=False,
            nullable=False,
            comment="Place in the email's list of files, from 0.",
        ),
        sa.Column(
            "url",
            sa.Text(),
            nullable=False,
            comment="Where HighLevel serves the file; how long it does is not documented.",
        ),
        sa.Column(
            "file_name", sa.Text(), nullable=True, comment="Name of the file: the API's, else the last part of the URL."
        ),
        sa.Column(
            "media_type", sa.Text(), nullable=True, comment="MIME type: the API's, else guessed from the file's ending."
        ),
        sa.PrimaryKeyConstraint("location_id", "email_id", "position", name=op.f("email_attachments_pkey")),
        schema="highlevel",
        comment="Files of emails.",
    )
    op.create_table(
        "emails",
        sa.Column("location_id", sa.Text(), nullable=False, comment="Location the email belongs to."),
        sa.Column("email_id", sa.Text(), nullable=False, comment="The email. API: id, emailMessageId."),
        sa.Column(
            "message_id",
            sa.Text(),
            nullable=True,
            comment="Message in highlevel.messages that is its thread. API: threadId.",
        ),
        sa.Column(
            "position",
            sa.Integer(),
            nullable=True,
            comment="Place in the thread, from 0; null while only the email names its thread.",
        ),
        sa.Column(
            "conversation_id", sa.Text(), nullable=True, comment="Conversation it is part of. API: conversationId."
        ),
        sa.Column("contact_id", sa.Text(), nullable=True, comment="Contact it was exchanged with. API: contactId."),
        sa.Column("direction", sa.Text(), nullable=True, comment="inbound or outbound. API: direction."),
        sa.Column("status", sa.Text(), nullable=True, comment="Delivery status when last fetched. API: status."),
        sa.Column(
            "source", sa.Text(), nullable=True, comment="What sent it: workflow, campaign, api, app … API: source."
        ),
        sa.Column("provider", sa.Text(), nullable=True, comment="Service that carried it. API: provider."),
        sa.Column("subject", sa.Text(), nullable=True, comment="Subject. API: subject."),
        sa.Column("content_type", sa.Text(), nullable=True, comment="MIME type of body. API: contentType."),
        sa.Column("body", sa.Text(), nullable=True, comment="The email as sent, usually HTML. API: body."),
        sa.Column("body_text", sa.Text(), nullable=True, comment="body as plain text, for reading and searching."),
        sa.Column("sender", sa.Text(), nullable=True, comment="Address it came from. API: from."),
        sa.Column(
            "sender_name", sa.Text(), nullable=True, comment="Name beside that address; null when there is none."
        ),
        sa.Column("recipients", sa.ARRAY(sa.Text()), nullable=True, comment="Addresses it went to. API: to."),
        sa.Column("cc", sa.ARRAY(sa.Text()), nullable=True, comment="Addresses in copy. API: cc."),
        sa.Column("bcc", sa.ARRAY(sa.Text()), nullable=True, comment="Addresses in blind copy. API: bcc."),
        sa.Column("reply_to_email_id", sa.Text(), nullable=True, comment="Email it answers. API: replyToMessageId."),
        sa.Column("error", sa.Text(), nullable=True, comment="Why delivery failed. API: error."),
        sa.Column(
            "conversation_provider_id",
            sa.Text(),
            nullable=True,
            comment="Custom conversation provider that carried it. API: conversationProviderId.",
        ),
        sa.Column("alt_id", sa.Text(), nullable=True, comment="The provider's own id. API: altId."),
        sa.Column(
            "date_added", sa.DateTime(timezone=True), nullable=True, comment="When it was created. API: dateAdded."
        ),
        sa.Column(
            "date_updated",
            sa.DateTime(timezone=True),
            nullable=True,
            comment="When HighLevel last changed it. API: dateUpdated.",
        ),
        sa.Column(
            "extra",
            postgresql.JSONB(none_as_null=True, astext_type=sa.Text()),
            nullable=True,
            comment="Whatever the API sent that no column holds, under the API's own names; null when nothing.",
        ),
        sa.Column(
            "deleted_at",
            sa.DateTime(timezone=True),
            nullable=True,
            comment="When the API first said that the email no longer exists; null while it exists.",
        ),
        sa.Column(
            "fetched_at",
            sa.DateTime(timezone=True),
            nullable=True,
            comment="When the content shown here was first received; null: only named by its thread so far.",
        ),
        sa.Column(
            "created_at",
            sa.DateTime(timezone=True),
            server_default=sa.text("now()"),
            nullable=False,
            comment="When this row was first written.",
        ),
        sa.Column(
            "updated_at",
            sa.DateTime(timezone=True),
            server_default=sa.text("now()"),
            nullable=False,
            comment="When this row last changed.",
        ),
        sa.PrimaryKeyConstraint("location_id", "email_id", name=op.f("emails_pkey")),
        schema="highlevel",
        comment="One row an email. In highlevel.messages a whole thread is one message. A row exists as soon as the thread names the email, and is filled when it is fetched.",
    )
    op.create_index(
        op.f("emails_location_id_date_added_idx"),
        "emails",
        ["location_id", "date_added"],
        unique=False,
        schema="highlevel",
    )
    op.create_index(
        op.f("emails_location_id_message_id_position_idx"),
        "emails",
        ["location_id", "message_id", "position"],
        unique=False,
        schema="highlevel",
    )
    op.create_table(
        "locations",
        sa.Column("location_id", sa.Text(), nullable=False, comment="The location. API: id."),
        sa.Column("name", sa.Text(), nullable=True, comment="Name of the business. API: name."),
        sa.Column("time_zone", sa.Text(), nullable=True, comment="Its time zone. API: timezone."),
        sa.Column("company_id", sa.Text(), nullable=True, comment="Company (agency) it belongs to. API: companyId."),
        sa.Column("email", sa.Text(), nullable=True, comment="Email address. API: email."),
        sa.Column("phone", sa.Text(), nullable=True, comment="Phone number. API: phone."),
        sa.Column("city", sa.Text(), nullable=True, comment="City. API: city."),
        sa.Column("country", sa.Text(), nullable=True, comment="Country, two letters. API: country."),
        sa.Column(
            "extra",
            postgresql.JSONB(none_as_null=True, astext_type=sa.Text()),
            nullable=True,
            comment="Whatever the API sent that no column holds, under the API's own names.",
        ),
        sa.Column(
            "deleted_at",
            sa.DateTime(timezone=True),
            nullable=True,
            comment="When the API first said that the location no longer exists; null while it exists.",
        ),
        sa.Column("fetched_at", sa.DateTime(timezone=True), nullable=False, comment="When it was last fetched."),
        sa.Column(
            "created_at",
            sa.DateTime(timezone=True),
            server_default=sa.text("now()"),
            nullable=False,
            comment="When this row was first written.",
        ),
        sa.Column(
            "updated_at",
            sa.DateTime(timezone=True),
            server_default=sa.text("now()"),
            nullable=False,
            comment="When this row last changed.",
        ),
        sa.PrimaryKeyConstraint("location_id", name=op.f("locations_pkey")),
        schema="highlevel",
        comment="Locations (sub-accounts) by name and time zone, fetched when first seen and again when older than a day. Filled only where jobs.yaml has a job for them.",
    )
    op.create_table(
        "recordings",
        sa.Column("location_id", sa.Text(), nullable=False, comment="Location the call belongs to."),
        sa.Column("message_id", sa.Text(), nullable=False, comment="The call, as in highlevel.messages."),
        sa.Column(
            "leg",
            sa.Integer(),
            autoincrement=False,
            nullable=False,
            comment="Part of the call: 0, and 1 where it was passed on.",
        ),
        sa.Column("media_type", sa.Text(), nullable=True, comment="MIME type, as HighLevel said."),
        sa.Column("size_bytes", sa.BigInteger(), nullable=True, comment="Length of the audio; null where not said."),
        sa.Column(
            "sha256", sa.Text(), nullable=True, comment="SHA-256 of the audio, hexadecimal; null: it was not kept."
        ),
        sa.Column("url", sa.Text(), nullable=True, comment="Where the audio is kept; null: it was not kept."),
        sa.Column(
            "fetched_at",
            sa.DateTime(timezone=True),
            nullable=False,
            comment="When the content shown here was first received.",
        ),
        sa.Column(
            "created_at",
            sa.DateTime(timezone=True),
            server_default=sa.text("now()"),
            nullable=False,
            comment="When this row was first written.",
        ),
        sa.Column(
            "updated_at",
            sa.DateTime(timezone=True),
            server_default=sa.text("now()"),
            nullable=False,
            comment="When this row last changed.",
        ),
        sa.PrimaryKeyConstraint("location_id", "message_id", "leg", name=op.f("recordings_pkey")),
        schema="highlevel",
        comment="Audio of calls: what is known of it and, where recordings_url is set, where it is kept.",
    )
    op.create_table(
        "status_changes",
        sa.Column("location_id", sa.Text(), nullable=False, comment="Location the message belongs to."),
        sa.Column("message_id", sa.Text(), nullable=False, comment="Message whose status changed."),
        sa.Column(
            "seen_at", sa.DateTime(timezone=True), nullable=False, comment="When the new status was first received."
        ),
        sa.Column("previous_status", sa.Text(), nullable=True, comment="Status before; null when there was none."),
        sa.Column("status", sa.Text(), nullable=True, comment="Status from then on."),
        sa.Column(
            "date_updated",
            sa.DateTime(timezone=True),
            nullable=True,
            comment="HighLevel's own time of it. API: dateUpdated.",
        ),
        sa.PrimaryKeyConstraint("location_id", "message_id", "seen_at", name=op.f("status_changes_pkey")),
        schema="highlevel",
        comment="Changes of messages' statuses, as fetches found them: HighLevel announces none. A change and its reverse between two fetches leave no row.",
    )
    op.create_table(
        "transcripts",
        sa.Column("location_id", sa.Text(), nullable=False, comment="Location the call belongs to."),
        sa.Column("message_id", sa.Text(), nullable=False, comment="The call, as in highlevel.messages."),
        sa.Column(
            "transcript",
            sa.Text(),
            nullable=False,
            comment="The whole text, one line a sentence, in the order of time.",
        ),
        sa.Column(
            "sentences",
            postgresql.JSONB(none_as_null=True, astext_type=sa.Text()),
            nullable=False,
            comment="The sentences as the API gave them: mediaChannel (who spoke), startTime, endTime (ms), confidence …",
        ),
        sa.Column(
            "fetched_at",
            sa.DateTime(timezone=True),
            nullable=False,
            comment="When the content shown here was first received.",
        ),
        sa.Column(
            "created_at",
            sa.DateTime(timezone=True),
            server_default=sa.text("now()"),
            nullable=False,
            comment="When this row was first written.",
        ),
        sa.Column(
            "updated_at",
            sa.DateTime(timezone=True),
            server_default=sa.text("now()"),
            nullable=False,
            comment="When this row last changed.",
        ),
        sa.PrimaryKeyConstraint("location_id", "message_id", name=op.f("transcripts_pkey")),
        schema="highlevel",
        comment="What was said in calls. A row only where HighLevel has a transcript.",
    )
    op.create_table(
        "users",
        sa.Column("location_id", sa.Text(), nullable=False, comment="Location in which the user was seen."),
        sa.Column("user_id", sa.Text(), nullable=False, comment="The user. API: id."),
        sa.Column("name", sa.Text(), nullable=True, comment="Full name, as given or joined from its parts."),
        sa.Column("first_name", sa.Text(), nullable=True, comment="First name. API: firstName."),
        sa.Column("last_name", sa.Text(), nullable=True, comment="Last name. API: lastName."),
        sa.Column("email", sa.Text(), nullable=True, comment="Email address. API: email."),
        sa.Column("phone", sa.Text(), nullable=True, comment="Phone number. API: phone."),
        sa.Column("role", sa.Text(), nullable=True, comment="Role in the location. API: roles.role."),
        sa.Column(
            "extra",
            postgresql.JSONB(none_as_null=True, astext_type=sa.Text()),
            nullable=True,
            comment="Whatever the API sent that no column holds, under the API's own names.",
        ),
        sa.Column(
            "deleted_at",
            sa.DateTime(timezone=True),
            nullable=True,
            comment="When the API first said that the user no longer exists; null while it exists.",
        ),
        sa.Column("fetched_at", sa.DateTime(timezone=True), nullable=False, comment="When it was last fetched."),
        sa.Column(
            "created_at",
            sa.DateTime(timezone=True),
            server_default=sa.text("now()"),
            nullable=False,
            comment="When this row was first written.",
        ),
        sa.Column(
            "updated_at",
            sa.DateTime(timezone=True),
            server_default=sa.text("now()"),
            nullable=False,
            comment="When this row last changed.",
        ),
        sa.PrimaryKeyConstraint("location_id", "user_id", name=op.f("users_pkey")),
        schema="highlevel",
        comment="Users named by messages, fetched when first seen and again when older than a day. Filled only where jobs.yaml has a job for them.",
    )
    op.add_column(
        "message_queue",
        sa.Column(
            "conversation_id",
            sa.Text(),
            nullable=True,
            comment="Conversation of a message, where whoever queued it knew: there it is looked for if its id is refused.",
        ),
        schema="etl",
    )
    op.add_column(
        "message_queue",
        sa.Column(
            "dated_at",
            sa.DateTime(timezone=True),
            nullable=True,
            comment="When the message was created, where whoever queued it knew: many of one time are fetched together.",
        ),
        schema="etl",
    )
    op.alter_column(
        "message_queue",
        "kind",
        existing_type=sa.TEXT(),
        comment="What to fetch: message, email, conversation, transcription, recording, contact, user, location.",
        existing_comment="What to fetch: message, email, transcription, recording.",
        existing_nullable=False,
        existing_server_default=sa.text("'message'::text"),
        schema="etl",
    )
    op.alter_column(
        "message_queue",
        "message_id",
        existing_type=sa.TEXT(),
        comment="Its id in HighLevel: of a transcription or recording the message's, else the thing's own.",
        existing_comment="Its id in HighLevel (of an email: the email's).",
        existing_nullable=False,
        schema="etl",
    )
    op.add_column(
        "messages",
        sa.Column(
            "subject", sa.Text(), nullable=True, comment="Subject, where the message itself has one. API: subject."
        ),
        schema="highlevel",
    )
    op.add_column(
        "messages",
        sa.Column(
            "reply_to_message_id", sa.Text(), nullable=True, comment="Message it answers. API: replyToMessageId."
        ),
        schema="highlevel",
    )
    op.add_column(
        "messages",
        sa.Column(
            "mentions",
            sa.ARRAY(sa.Text()),
            nullable=True,
            comment="Users that an internal comment calls by name; their ids. API: mentions.",
        ),
        schema="highlevel",
    )


def downgrade() -> None:
    op.execute("DELETE FROM etl.message_queue WHERE kind IN ('conversation', 'contact', 'user', 'location')")
    op.drop_constraint("message_queue_kind_is_known_check", "message_queue", schema="etl")
    op.create_check_constraint(op.f("message_queue_kind_is_known_check"), "message_queue", KINDS_BEFORE, schema="etl")
    op.drop_column("messages", "mentions", schema="highlevel")
    op.drop_column("messages", "reply_to_message_id", schema="highlevel")
    op.drop_column("messages", "subject", schema="highlevel")
    op.alter_column(
        "message_queue",
        "message_id",
        existing_type=sa.TEXT(),
        comment="Its id in HighLevel (of an email: the email's).",
        existing_comment="Its id in HighLevel: of a transcription or recording the message's, else the thing's own.",
        existing_nullable=False,
        schema="etl",
    )
    op.alter_column(
        "message_queue",
        "kind",
        existing_type=sa.TEXT(),
        comment="What to fetch: message, email, transcription, recording.",
        existing_comment="What to fetch: message, email, conversation, transcription, recording, contact, user, location.",
        existing_nullable=False,
        existing_server_default=sa.text("'message'::text"),
        schema="etl",
    )
    op.drop_column("message_queue", "dated_at", schema="etl")
    op.drop_column("message_queue", "conversation_id", schema="etl")
    op.drop_table("users", schema="highlevel")
    op.drop_table("transcripts", schema="highlevel")
    op.drop_table("status_changes", schema="highlevel")
    op.drop_table("recordings", schema="highlevel")
    op.drop_table("locations", schema="highlevel")
    op.drop_index(op.f("emails_location_id_message_id_position_idx"), table_name="emails", schema="highlevel")
    op.drop_index(op.f("emails_location_id_date_added_idx"), table_name="emails", schema="highlevel")
    op.drop_table("emails", schema="highlevel")
    op.drop_table("email_attachments", schema="highlevel")
    op.drop_table("contacts", schema="highlevel")

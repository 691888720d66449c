"""Which columns of ``highlevel`` hold no words, names, numbers or addresses; a test asks for each column.

Ids of HighLevel, times, counts, and values from a list (HighLevel's or ours) hold no words. Everything else may have
been typed by somebody, or leads to such a text. A column name means the same in every table and view. A column that is
not named here is hidden.

Weakness: nothing checks that the values of HighLevel's lists, such as ``status`` and ``source``, are really from a
list.
"""

from etl.database import views
from etl.models import Base

SHOWN = """
    answer_channel answer_email_id answer_message_id answered_at answered_by answered_calls answered_seconds as_of
    attachment_count awaits_answer call_duration call_outcome call_status channel chat_widget_id checked_at closes
    company_id contact_id contact_type contacts content_type conversation_id conversation_provider_id country
    created_at date_added date_updated default_time_zone deleted_at delivered direction email_id ends_at failed
    fetched_at first_date_added has_recording has_transcript human_answered_at human_open_seconds
    human_response_seconds id inbound is_activity is_answer is_campaign is_internal is_refused known_as last_channel
    last_date_added last_direction last_local_day last_local_time last_message_id last_sent_by leg local_day
    local_month local_time local_time_zone location_id media_type mentions message_id message_type messages
    missed_calls only_row open_seconds opened opens other outbound position previous_status reply_to_email_id
    reply_to_message_id response_seconds role seen_at sent sent_by size_bytes source starts_at status table_name
    time_zone type_code updated_at user_id voicemails waiting waiting_for_human_since waiting_since weekday why
    with_contact
"""
"""Names of columns without words."""
# alt_id: that of WhatsApp has the contact's number in it, that of an email the address of a server.
HIDDEN = """
    alt_id bcc body body_text cc city company_name contact_name email error extra file_name first_name last_name
    location_name name phone provider recipient recipients recording_url sender sender_name sentences sha256 subject
    tags transcript url user_name
"""
"""Names of the others."""
TYPED = frozenset((("contacts", "source"),))
"""Columns in which somebody types, though nobody does in others of the same name."""
RELATIONS = frozenset(
    (*views.NAMES, *(each.name for each in Base.metadata.sorted_tables if each.schema == "highlevel"))
)
"""The tables and views that somebody looked at."""


def is_without_words(relation: str, column: str) -> bool:
    """Whether somebody looked at this column and saw that it holds no words."""
    return column in SHOWN.split() and (relation, column) not in TYPED

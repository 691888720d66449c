"""Which columns of ``highlevel`` hold no words, names, numbers or addresses; a test asks for each column once.

Without words are ids of HighLevel, times, counts, and what is chosen from a list, be it HighLevel's or ours. All else
somebody may have typed, or it leads to what somebody typed. A column that is not named here is hidden.

Weakness: that HighLevel chooses from its lists is believed, as of ``status`` or ``source``; nothing checks the value.
"""

SHOWN = {
    "attachments": "location_id message_id position media_type created_at updated_at",
    "contacts": """
        location_id contact_id contact_type time_zone date_added date_updated deleted_at fetched_at checked_at
        created_at updated_at
    """,
    "conversation_totals": """
        location_id conversation_id contact_id first_date_added last_date_added last_local_time last_local_day
        messages inbound outbound last_channel last_direction last_sent_by last_message_id waiting_since
        waiting_for_human_since
    """,
    "daily_totals": """
        location_id local_day position channel direction source sent_by messages contacts answered_calls missed_calls
        voicemails answered_seconds
    """,
    "delivery_totals": """
        location_id local_day position channel source sent_by messages waiting sent delivered opened failed
    """,
    "email_attachments": "location_id email_id position media_type created_at updated_at",
    "deleted_rows": "location_id id table_name deleted_at why",
    "email_status_changes": "location_id email_id seen_at previous_status status date_updated",
    "emails": """
        location_id email_id message_id position conversation_id contact_id direction status source content_type
        reply_to_email_id conversation_provider_id date_added date_updated deleted_at fetched_at checked_at
        created_at updated_at
    """,
    "locations": "location_id time_zone company_id country deleted_at fetched_at checked_at created_at updated_at",
    "marts": "only_row as_of",
    "message_types": "message_type type_code channel is_campaign is_activity is_internal",
    "messages": """
        location_id message_id conversation_id contact_id message_type type_code direction status source
        content_type user_id conversation_provider_id chat_widget_id date_added date_updated deleted_at
        fetched_at checked_at created_at updated_at reply_to_message_id mentions
    """,
    "meta": "location_id message_id call_duration call_status created_at updated_at",
    "opening_hours": "location_id weekday opens closes",
    "recordings": "location_id message_id leg media_type size_bytes fetched_at checked_at created_at updated_at",
    "settings": "only_row default_time_zone",
    "status_changes": "location_id message_id seen_at previous_status status date_updated",
    "time_zones": "time_zone known_as",
    "transcripts": "location_id message_id fetched_at checked_at created_at updated_at",
    "turns": """
        location_id conversation_id date_added contact_id message_id email_id channel local_time local_day local_month
        answered_at answer_message_id answer_email_id answer_channel answered_by human_answered_at user_id
        open_seconds human_open_seconds
    """,
    "users": "location_id user_id role deleted_at fetched_at checked_at created_at updated_at",
    "calls": """
        location_id message_id conversation_id contact_id user_id direction sent_by date_added local_time local_day
        call_outcome call_status status call_duration has_recording has_transcript
    """,
    "conversations": """
        location_id conversation_id contact_id first_date_added last_date_added last_local_time last_local_day
        messages inbound outbound last_channel last_direction last_sent_by last_message_id waiting_since
        waiting_for_human_since as_of
    """,
    "daily_messages": """
        location_id local_day channel direction source sent_by messages contacts answered_calls missed_calls
        voicemails answered_seconds as_of
    """,
    "delivery": """
        location_id local_day channel source sent_by messages waiting sent delivered opened failed other as_of
    """,
    "emails_flat": """
        location_id email_id message_id position conversation_id contact_id direction sent_by source status
        reply_to_email_id date_added local_time local_day attachment_count deleted_at fetched_at
    """,
    "local_days": "location_id local_time_zone local_day starts_at ends_at",
    "location_time_zones": "location_id time_zone local_time_zone is_refused",
    "messages_flat": """
        location_id message_id email_id conversation_id contact_id user_id message_type channel is_campaign
        with_contact direction sent_by source status date_added local_time_zone local_time local_day date_updated
        attachment_count call_duration call_status call_outcome awaits_answer is_answer deleted_at fetched_at
    """,
    "response_times": """
        location_id conversation_id contact_id message_id email_id channel date_added local_time local_day local_month
        answered_at answer_message_id answer_email_id answer_channel answered_by response_seconds human_answered_at
        user_id human_response_seconds as_of open_seconds human_open_seconds
    """,
}
"""Of each table and view, the columns without words."""

# alt_id: that of WhatsApp has the contact's number in it, that of an email the address of a server.
HIDDEN = {
    "attachments": "url file_name",
    "contacts": "name first_name last_name email phone company_name tags source extra",
    "delivery_totals": "error",
    "email_attachments": "url file_name",
    "emails": "provider subject body body_text sender sender_name recipients cc bcc error alt_id extra",
    "locations": "name email phone city extra",
    "messages": "body sender recipient error alt_id extra subject",
    "meta": "extra",
    "recordings": "sha256 url",
    "transcripts": "transcript sentences",
    "users": "name first_name last_name email phone extra",
    "calls": "location_name contact_name user_name recording_url transcript",
    "conversations": "location_name contact_name",
    "daily_messages": "location_name",
    "delivery": "location_name error",
    "emails_flat": "location_name contact_name provider error subject body sender sender_name recipient cc bcc",
    "local_days": "location_name",
    "location_time_zones": "location_name",
    "messages_flat": "location_name contact_name user_name error subject body sender recipient",
    "response_times": "location_name contact_name user_name",
}
"""The others."""


def is_known(relation: str) -> bool:
    """Whether somebody looked at this table or view."""
    return relation in SHOWN


def is_without_words(relation: str, column: str) -> bool:
    """Whether somebody looked at this column and saw that it holds no words."""
    return column in SHOWN.get(relation, "").split()

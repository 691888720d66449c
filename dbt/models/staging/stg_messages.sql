select
    location_id,
    message_id,
    email_id,
    conversation_id,
    contact_id,
    user_id,
    message_type,
    channel,
    is_campaign,
    direction,
    sent_by,
    source,
    status,
    date_added,
    local_time,
    local_day,
    attachment_count,
    call_duration,
    call_outcome,
    awaits_answer,
    is_answer
from {{ source('highlevel', 'messages_flat') }}
where with_contact and deleted_at is null

-- Walks the calendar: the conversations that ended a day are those of that day in which nothing came later.
CREATE OR REPLACE VIEW highlevel.conversations AS
SELECT
    d.location_id,
    d.location_name,
    c.conversation_id,
    c.contact_id,
    (
        SELECT n.name FROM highlevel.contacts AS n
        WHERE n.location_id = d.location_id AND n.contact_id = c.contact_id
    ) AS contact_name,
    a.first_date_added,
    c.date_added AS last_date_added,
    timezone(d.local_time_zone, c.date_added) AS last_local_time,
    d.local_day AS last_local_day,
    a.messages,
    a.inbound,
    a.outbound,
    c.channel AS last_channel,
    c.direction AS last_direction,
    c.sent_by AS last_sent_by,
    c.message_id AS last_message_id,
    (SELECT min(q) FROM unnest(a.asked_at) AS q WHERE q > a.answered_at) AS waiting_since,
    (SELECT min(q) FROM unnest(a.asked_at) AS q WHERE q > a.answered_by_human_at) AS waiting_for_human_since
FROM highlevel.local_days AS d
CROSS JOIN LATERAL (
    SELECT DISTINCT ON (m.location_id, m.conversation_id)
        m.conversation_id, m.contact_id, m.message_id, m.channel, m.direction, m.sent_by, m.date_added
    FROM highlevel.messages_flat AS m
    WHERE
        m.location_id = d.location_id AND m.date_added >= d.starts_at AND m.date_added < d.ends_at
        AND m.with_contact AND m.deleted_at IS NULL AND m.conversation_id IS NOT NULL
    ORDER BY m.location_id, m.conversation_id, m.date_added DESC, m.message_id DESC, m.email_id DESC
) AS c
CROSS JOIN LATERAL (
    SELECT
        min(m.date_added) AS first_date_added,
        count(*)::integer AS messages,
        (count(*) FILTER (WHERE m.direction = 'inbound'))::integer AS inbound,
        (count(*) FILTER (WHERE m.direction = 'outbound'))::integer AS outbound,
        coalesce(max(m.date_added) FILTER (WHERE m.is_answer), '-infinity') AS answered_at,
        coalesce(max(m.date_added) FILTER (WHERE m.is_answer AND m.sent_by IN ('human', 'contact')), '-infinity')
        AS answered_by_human_at,
        array_agg(m.date_added) FILTER (WHERE m.awaits_answer) AS asked_at
    FROM highlevel.messages_flat AS m
    WHERE
        m.location_id = d.location_id AND m.conversation_id = c.conversation_id AND m.date_added < d.ends_at
        AND m.with_contact AND m.deleted_at IS NULL
    GROUP BY m.location_id
) AS a
WHERE
    -- Not NOT EXISTS, which would read all that came later before it looks.
    (
        SELECT true FROM highlevel.messages_flat AS m
        WHERE
            m.location_id = d.location_id AND m.conversation_id = c.conversation_id AND m.date_added >= d.ends_at
            -- As far as local_days goes: what is dated further ahead hides no conversation.
            AND m.date_added <= now() + interval '1 day' AND m.with_contact AND m.deleted_at IS NULL
        LIMIT 1
    ) IS NULL;

COMMENT ON VIEW highlevel.conversations IS
    'One row a conversation in which something was exchanged with the contact. Internal messages, activities and deleted '
    'messages do not count. Filter by location_id and last_local_day: only those days are read. A month of 100,000 messages takes one to two seconds. '
    'Reading all of it takes two minutes at 5 million messages.';
COMMENT ON COLUMN highlevel.conversations.location_id IS 'Location it belongs to.';
COMMENT ON COLUMN highlevel.conversations.location_name IS 'Name of the business; null while not fetched.';
COMMENT ON COLUMN highlevel.conversations.conversation_id IS 'The conversation.';
COMMENT ON COLUMN highlevel.conversations.contact_id IS 'Contact of its last message.';
COMMENT ON COLUMN highlevel.conversations.contact_name IS 'Name of that contact; null while not fetched.';
COMMENT ON COLUMN highlevel.conversations.first_date_added IS 'When its first message was created, of those loaded.';
COMMENT ON COLUMN highlevel.conversations.last_date_added IS 'When its last message was created.';
COMMENT ON COLUMN highlevel.conversations.last_local_time IS 'The same on the location''s own clock.';
COMMENT ON COLUMN highlevel.conversations.last_local_day IS 'The day of last_local_time.';
COMMENT ON COLUMN highlevel.conversations.messages IS 'Messages in it; each fetched email counts, a thread without fetched emails once.';
COMMENT ON COLUMN highlevel.conversations.inbound IS 'Those from the contact.';
COMMENT ON COLUMN highlevel.conversations.outbound IS 'Those to the contact, whether they were delivered or not.';
COMMENT ON COLUMN highlevel.conversations.last_channel IS 'Channel of the last message.';
COMMENT ON COLUMN highlevel.conversations.last_direction IS 'Direction of the last message.';
COMMENT ON COLUMN highlevel.conversations.last_sent_by IS 'Who sent the last message; see messages_flat.sent_by.';
COMMENT ON COLUMN highlevel.conversations.last_message_id IS 'The last message.';
COMMENT ON COLUMN highlevel.conversations.waiting_since IS
    'When the contact first wrote or called since the last answer of any kind; null: nothing waits. Of one instant, the answer comes last. See messages_flat.awaits_answer and is_answer.';
COMMENT ON COLUMN highlevel.conversations.waiting_for_human_since IS
    'The same since the last answer with sent_by human, or the last call of the contact that somebody answered: an '
    'automatic reply does not end this wait.';

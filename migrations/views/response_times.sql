-- Walks the calendar by months: all messages of one, and of a week around it, are read and sorted once. Only where nothing
-- is found there, it is looked for outside. Looking up what came before and after each message takes six times as long.
CREATE OR REPLACE VIEW highlevel.response_times AS
SELECT
    d.location_id,
    d.location_name,
    t.conversation_id,
    t.contact_id,
    (
        SELECT c.name FROM highlevel.contacts AS c
        WHERE c.location_id = d.location_id AND c.contact_id = t.contact_id
    ) AS contact_name,
    t.message_id,
    t.email_id,
    t.channel,
    t.date_added,
    timezone(d.local_time_zone, t.date_added) AS local_time,
    timezone(d.local_time_zone, t.date_added)::date AS local_day,
    d.local_month,
    to_timestamp(t.answer[1]::double precision) AS answered_at,
    t.answer[2] AS answer_message_id,
    t.answer[3] AS answer_email_id,
    t.answer[4] AS answer_channel,
    t.answer[5] AS answered_by,
    t.answer[1]::double precision - extract(epoch FROM t.date_added)::double precision AS response_seconds,
    to_timestamp(t.human_answer[1]::double precision) AS human_answered_at,
    t.human_answer[6] AS user_id,
    u.name AS user_name,
    t.human_answer[1]::double precision - extract(epoch FROM t.date_added)::double precision AS human_response_seconds
FROM (
    SELECT
        m.*,
        m.starts_at - interval '7 days' AS reads_from,
        least(m.ends_at + interval '7 days', now() + interval '1 day') AS reads_until
    FROM (
        SELECT
            location_id, location_name, local_time_zone, date_trunc('month', local_day)::date AS local_month,
            min(starts_at) AS starts_at, max(ends_at) AS ends_at
        FROM highlevel.local_days
        GROUP BY 1, 2, 3, 4
    ) AS m
) AS d
CROSS JOIN LATERAL (
    SELECT
        m.*,
        -- What came before within the week, else the last before that.
        coalesce(lead(m.awaits_answer) OVER backwards, CASE WHEN m.awaits_answer THEN (
            SELECT f.awaits_answer FROM highlevel.messages_flat AS f
            WHERE
                f.location_id = m.location_id AND f.conversation_id = m.conversation_id AND f.date_added < d.reads_from
                AND (f.awaits_answer OR f.is_answer)
            ORDER BY f.date_added DESC, f.is_answer DESC LIMIT 1
        ) END) AS follows_request,
        -- Of what came later, the first: its time leads, in digits of one length, so that the least array is its.
        coalesce(min(m.given) OVER backwards, CASE WHEN m.awaits_answer AND m.date_added >= d.starts_at THEN (
            SELECT ARRAY[extract(epoch FROM f.date_added)::text, f.message_id, f.email_id, f.channel, f.sent_by, f.user_id]
            FROM highlevel.messages_flat AS f
            WHERE
                f.location_id = m.location_id AND f.conversation_id = m.conversation_id AND f.date_added >= d.reads_until
                AND f.date_added < now() + interval '1 day' AND f.is_answer
            ORDER BY f.date_added, f.message_id, f.email_id LIMIT 1
        ) END) AS answer,
        coalesce(
            min(m.given) FILTER (WHERE m.given[5] IN ('human', 'contact')) OVER backwards,
            CASE WHEN m.awaits_answer AND m.date_added >= d.starts_at THEN (
                SELECT
                    ARRAY[extract(epoch FROM f.date_added)::text, f.message_id, f.email_id, f.channel, f.sent_by, f.user_id]
                FROM highlevel.messages_flat AS f
                WHERE
                    f.location_id = m.location_id AND f.conversation_id = m.conversation_id
                    AND f.date_added >= d.reads_until AND f.date_added < now() + interval '1 day'
                    AND f.is_answer AND f.sent_by IN ('human', 'contact')
                ORDER BY f.date_added, f.message_id, f.email_id LIMIT 1
            ) END
        ) AS human_answer
    FROM (
        SELECT
            m.location_id, m.conversation_id, m.contact_id, m.message_id, m.email_id, m.channel, m.date_added,
            m.awaits_answer, m.is_answer,
            CASE WHEN m.is_answer THEN
                ARRAY[extract(epoch FROM m.date_added)::text, m.message_id, m.email_id, m.channel, m.sent_by, m.user_id]
            END AS given
        FROM highlevel.messages_flat AS m
        WHERE
            m.location_id = d.location_id AND m.conversation_id IS NOT NULL
            AND m.date_added >= d.reads_from AND m.date_added < d.reads_until
            AND (m.awaits_answer OR m.is_answer)
    ) AS m
    -- Of one instant, what asks comes before what answers.
    WINDOW backwards AS (
        PARTITION BY m.location_id, m.conversation_id
        ORDER BY m.date_added DESC, m.is_answer DESC, m.message_id DESC, m.email_id DESC
        ROWS UNBOUNDED PRECEDING
    )
) AS t
LEFT JOIN highlevel.users AS u ON u.location_id = d.location_id AND u.user_id = t.human_answer[6]
WHERE
    t.awaits_answer AND t.follows_request IS NOT TRUE AND t.date_added >= d.starts_at AND t.date_added < d.ends_at;

COMMENT ON VIEW highlevel.response_times IS
    'One row a turn of the contact: what they wrote or called in a row, until something answered. Internal messages, '
    'activities and deleted messages do not count; what failed is no answer; an inbound call that was answered is no '
    'turn. Of one instant, a question comes before an answer. An answer counts however late it comes. '
    'Filter by location_id and local_month: only those months are read, and a filter by day or date alone reads all. '
    'A month of 100,000 messages takes one to two seconds. '
    'Reading all of it takes more than a minute at 5 million messages.';
COMMENT ON COLUMN highlevel.response_times.location_id IS 'Location.';
COMMENT ON COLUMN highlevel.response_times.location_name IS 'Name of the business; null while not fetched.';
COMMENT ON COLUMN highlevel.response_times.conversation_id IS 'Conversation.';
COMMENT ON COLUMN highlevel.response_times.contact_id IS 'Contact who wrote or called.';
COMMENT ON COLUMN highlevel.response_times.contact_name IS 'Name of the contact; null while not fetched.';
COMMENT ON COLUMN highlevel.response_times.message_id IS 'First message of the turn.';
COMMENT ON COLUMN highlevel.response_times.email_id IS 'The same, where it is an email.';
COMMENT ON COLUMN highlevel.response_times.channel IS 'Its channel.';
COMMENT ON COLUMN highlevel.response_times.date_added IS 'When the turn began.';
COMMENT ON COLUMN highlevel.response_times.local_time IS 'The same on the location''s own clock.';
COMMENT ON COLUMN highlevel.response_times.local_day IS 'The day of local_time.';
COMMENT ON COLUMN highlevel.response_times.local_month IS 'The first day of its month.';
COMMENT ON COLUMN highlevel.response_times.answered_at IS 'When the first answer was created; null: none so far. See messages_flat.is_answer.';
COMMENT ON COLUMN highlevel.response_times.answer_message_id IS 'That answer.';
COMMENT ON COLUMN highlevel.response_times.answer_email_id IS 'The same, where it is an email.';
COMMENT ON COLUMN highlevel.response_times.answer_channel IS 'Its channel: a call may answer a text.';
COMMENT ON COLUMN highlevel.response_times.answered_by IS
    'human, workflow, campaign, api, ai or unknown, and what that does not tell: see messages_flat.sent_by. contact: the '
    'contact called, and somebody answered that call.';
COMMENT ON COLUMN highlevel.response_times.response_seconds IS 'Seconds from the turn''s begin to answered_at.';
COMMENT ON COLUMN highlevel.response_times.human_answered_at IS
    'When the first answer with sent_by human was created, or the contact called and somebody answered, be it after more '
    'turns of the contact; null: none so far.';
COMMENT ON COLUMN highlevel.response_times.user_id IS 'The user who gave that answer, where HighLevel says.';
COMMENT ON COLUMN highlevel.response_times.user_name IS 'Name of the user; null while not fetched.';
COMMENT ON COLUMN highlevel.response_times.human_response_seconds IS 'Seconds from the turn''s begin to human_answered_at.';

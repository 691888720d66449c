-- Walks the calendar: a day's turns are found among the conversations in which the contact wrote that day.
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
    d.local_day,
    t.answered_at,
    t.answer_message_id,
    t.answer_email_id,
    t.answer_channel,
    t.answered_by,
    extract(epoch FROM t.answered_at - t.date_added)::double precision AS response_seconds,
    t.human_answered_at,
    t.human_user_id AS user_id,
    (
        SELECT u.name FROM highlevel.users AS u
        WHERE u.location_id = d.location_id AND u.user_id = t.human_user_id
    ) AS user_name,
    extract(epoch FROM t.human_answered_at - t.date_added)::double precision AS human_response_seconds
FROM highlevel.local_days AS d
CROSS JOIN LATERAL (
    SELECT
        r.*,
        max(r.date_added) FILTER (WHERE r.is_answer) OVER answer AS answered_at,
        max(r.message_id) FILTER (WHERE r.is_answer) OVER answer AS answer_message_id,
        max(r.email_id) FILTER (WHERE r.is_answer) OVER answer AS answer_email_id,
        max(r.channel) FILTER (WHERE r.is_answer) OVER answer AS answer_channel,
        max(r.sent_by) FILTER (WHERE r.is_answer) OVER answer AS answered_by,
        max(r.date_added) FILTER (WHERE r.is_human) OVER human AS human_answered_at,
        max(r.user_id) FILTER (WHERE r.is_human) OVER human AS human_user_id
    FROM (
        SELECT
            m.*,
            m.is_answer AND m.sent_by IN ('human', 'contact') AS is_human,
            lag(m.awaits_answer) OVER talk AS follows_request,
            -- Rows with the same count have the same next answer, which is the only answer among them.
            count(*) FILTER (WHERE m.is_answer) OVER before AS answers_before,
            count(*) FILTER (WHERE m.is_answer AND m.sent_by IN ('human', 'contact')) OVER before AS human_answers_before
        FROM (
            SELECT DISTINCT m.conversation_id FROM highlevel.messages_flat AS m
            WHERE
                m.location_id = d.location_id AND m.date_added >= d.starts_at AND m.date_added < d.ends_at
                AND m.awaits_answer AND m.conversation_id IS NOT NULL
        ) AS c
        CROSS JOIN LATERAL (
            SELECT
                m.conversation_id, m.contact_id, m.message_id, m.email_id, m.channel, m.date_added, m.sent_by, m.user_id,
                m.awaits_answer, m.is_answer
            FROM highlevel.messages_flat AS m
            WHERE
                m.location_id = d.location_id AND m.conversation_id = c.conversation_id
                AND m.date_added >= d.starts_at - interval '30 days' AND m.date_added < d.ends_at + interval '30 days'
                AND (m.awaits_answer OR m.is_answer)
        ) AS m
        WINDOW
            talk AS (PARTITION BY m.conversation_id ORDER BY m.date_added, m.message_id, m.email_id),
            before AS (talk ROWS BETWEEN UNBOUNDED PRECEDING AND 1 PRECEDING)
    ) AS r
    WINDOW
        answer AS (PARTITION BY r.conversation_id, r.answers_before),
        human AS (PARTITION BY r.conversation_id, r.human_answers_before)
) AS t
WHERE
    t.awaits_answer AND t.follows_request IS NOT TRUE AND t.date_added >= d.starts_at AND t.date_added < d.ends_at;

COMMENT ON VIEW highlevel.response_times IS
    'One row a turn of the contact: what they wrote or called in a row, until something answered. Internal messages, '
    'activities and deleted messages do not count; what failed is no answer; an inbound call that was answered is no '
    'turn. Nobody looks further than 30 days: what comes after such a silence is a new turn, and a later answer is none. '
    'Filter by location_id and local_day: only those days are read. Whole: {cost} at 5 million messages.';
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

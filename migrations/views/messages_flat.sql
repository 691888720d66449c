-- What a BI tool points at: every message and every email with the names that belong to it.
CREATE OR REPLACE VIEW highlevel.messages_flat AS
SELECT
    m.location_id,
    l.name AS location_name,
    m.message_id,
    m.email_id,
    m.conversation_id,
    m.contact_id,
    c.name AS contact_name,
    m.user_id,
    u.name AS user_name,
    m.message_type,
    coalesce(t.channel, 'Other') AS channel,
    coalesce(t.is_campaign, false) AS is_campaign,
    k.with_contact,
    m.direction,
    k.sent_by,
    m.source,
    m.status,
    m.error,
    m.subject,
    m.body,
    m.sender,
    m.recipient,
    m.date_added,
    coalesce(z.time_zone, (SELECT s.default_time_zone FROM highlevel.settings AS s), 'UTC') AS local_time_zone,
    timezone(coalesce(z.time_zone, (SELECT s.default_time_zone FROM highlevel.settings AS s), 'UTC'), m.date_added)
    AS local_time,
    timezone(coalesce(z.time_zone, (SELECT s.default_time_zone FROM highlevel.settings AS s), 'UTC'), m.date_added)::date
    AS local_day,
    m.date_updated,
    CASE WHEN m.email_id IS NULL
        THEN (
            SELECT count(*)::integer FROM highlevel.attachments AS a
            WHERE a.location_id = m.location_id AND a.message_id = m.message_id
        )
        ELSE (
            SELECT count(*)::integer FROM highlevel.email_attachments AS a
            WHERE a.location_id = m.location_id AND a.email_id = m.email_id
        )
    END AS attachment_count,
    x.call_duration,
    x.call_status,
    k.call_outcome,
    k.with_contact AND m.deleted_at IS NULL AND m.direction = 'inbound'
    AND k.call_outcome IS DISTINCT FROM 'answered' AS awaits_answer,
    k.with_contact AND m.deleted_at IS NULL AND CASE m.direction
        WHEN 'inbound' THEN k.call_outcome = 'answered'
        ELSE coalesce(m.status, '') NOT IN ('failed', 'undelivered', 'scheduled') AND k.call_outcome IS DISTINCT FROM 'missed'
    END IS TRUE AS is_answer,
    m.deleted_at,
    m.fetched_at
FROM (
    -- Bare tables: only so does Postgres walk both in the order of time when the newest or next message is asked for.
    SELECT
        location_id, message_id, NULL::text AS email_id, conversation_id, contact_id, user_id, message_type, direction,
        source, status, error, subject, body, sender, recipient, date_added, date_updated, deleted_at, fetched_at
    FROM highlevel.messages
    UNION ALL
    SELECT
        location_id, message_id, email_id, conversation_id, contact_id, NULL, 'TYPE_EMAIL', direction,
        source, status, error, subject, coalesce(body_text, body), sender, array_to_string(recipients, ', '), date_added,
        date_updated, deleted_at, fetched_at
    FROM highlevel.emails
) AS m
LEFT JOIN highlevel.message_types AS t USING (message_type)
-- Only calls look for theirs, each by the key: a plain join would read the location's whole meta, for each day of a calendar
-- again.
LEFT JOIN LATERAL (
    SELECT max(y.call_duration) AS call_duration, max(y.call_status) AS call_status
    FROM highlevel.meta AS y
    WHERE y.location_id = m.location_id AND y.message_id = CASE WHEN t.channel = 'Call' THEN m.message_id END
    GROUP BY y.location_id
) AS x ON true
LEFT JOIN highlevel.locations AS l ON l.location_id = m.location_id
LEFT JOIN highlevel.time_zones AS z ON z.time_zone = l.time_zone
LEFT JOIN highlevel.contacts AS c ON c.location_id = m.location_id AND c.contact_id = m.contact_id
LEFT JOIN highlevel.users AS u ON u.location_id = m.location_id AND u.user_id = m.user_id
CROSS JOIN LATERAL (
    SELECT
        (t.is_activity OR t.is_internal) IS NOT TRUE AS with_contact,
        CASE
            WHEN m.direction = 'inbound' THEN 'contact'
            WHEN m.source = 'workflow' THEN 'workflow'
            WHEN m.source IN ('campaign', 'bulk_actions') THEN 'campaign'
            WHEN m.source IN ('app', 'manual') THEN 'human'
            WHEN m.source = 'api' THEN 'api'
            WHEN m.source ~ '(AI|[ _-](ai|bot))$|^(ai|bot)([ _-]|$)' THEN 'ai'
            WHEN m.source IS NULL AND m.user_id IS NOT NULL THEN 'human'
            WHEN m.source IS NULL AND t.is_campaign THEN 'campaign'
            ELSE 'unknown'
        END AS sent_by,
        CASE WHEN t.channel = 'Call' THEN CASE
            WHEN 'voicemail' IN (x.call_status, m.status) OR m.message_type LIKE '%VOICEMAIL' THEN 'voicemail'
            WHEN coalesce(x.call_status, m.status) IN ('answered', 'completed', 'connected') THEN 'answered'
            WHEN coalesce(x.call_status, m.status) IN ('busy', 'canceled', 'failed', 'no-answer', 'undelivered') THEN 'missed'
            ELSE 'unknown'
        END END AS call_outcome
) AS k
WHERE
    -- An email that a thread only names so far has no content; a thread is there only until one of its emails is.
    (m.email_id IS NULL OR m.fetched_at IS NOT NULL)
    AND (
        m.message_type IS DISTINCT FROM 'TYPE_EMAIL' OR m.email_id IS NOT NULL
        OR NOT EXISTS (
            SELECT FROM highlevel.emails AS e
            WHERE e.location_id = m.location_id AND e.message_id = m.message_id AND e.fetched_at IS NOT NULL
        )
    );

COMMENT ON VIEW highlevel.messages_flat IS
    'One row a message, with the names that belong to it; the one to point a BI tool at. Of an email thread each fetched '
    'email is a row instead of the thread. Deleted messages are here, with deleted_at; internal ones and activities too, '
    'without with_contact. Filter by location_id and date_added, which have an index; local_day alone reads the whole '
    'location. Whole: a minute at 5 million messages.';
COMMENT ON COLUMN highlevel.messages_flat.location_id IS 'Location (sub-account) the message belongs to.';
COMMENT ON COLUMN highlevel.messages_flat.location_name IS 'Name of the business; null while not fetched.';
COMMENT ON COLUMN highlevel.messages_flat.message_id IS 'The message; of an email its thread.';
COMMENT ON COLUMN highlevel.messages_flat.email_id IS
    'The email; null for what is none, and for a thread of which no email was fetched yet. Rows are unique by location_id, message_id, email_id.';
COMMENT ON COLUMN highlevel.messages_flat.conversation_id IS 'Conversation it is part of.';
COMMENT ON COLUMN highlevel.messages_flat.contact_id IS 'Contact it was exchanged with.';
COMMENT ON COLUMN highlevel.messages_flat.contact_name IS 'Name of the contact; null while not fetched.';
COMMENT ON COLUMN highlevel.messages_flat.user_id IS
    'HighLevel user who sent or answered it. HighLevel names none for emails, automation and most inbound.';
COMMENT ON COLUMN highlevel.messages_flat.user_name IS 'Name of the user; null while not fetched.';
COMMENT ON COLUMN highlevel.messages_flat.message_type IS 'Kind of message; see highlevel.message_types.';
COMMENT ON COLUMN highlevel.messages_flat.channel IS
    'SMS, Call, Email, WhatsApp …, as in highlevel.message_types; Other for a type that is not known there.';
COMMENT ON COLUMN highlevel.messages_flat.is_campaign IS 'True when its type says that a campaign sent it.';
COMMENT ON COLUMN highlevel.messages_flat.with_contact IS
    'True for what is exchanged with the contact; false for activities and internal messages, which never count as sent or answered.';
COMMENT ON COLUMN highlevel.messages_flat.direction IS 'inbound (from the contact) or outbound (to the contact).';
COMMENT ON COLUMN highlevel.messages_flat.sent_by IS
    'contact: inbound. workflow: source workflow. campaign: source campaign or bulk_actions, or no source and a '
    'campaign''s type. human: source app or manual, or no source and a user. api: source api, be it a person''s other '
    'program or a machine. ai: a source that says so in its name. unknown: the rest. HighLevel documents no mark for its '
    'own AI (highlevel-api-docs, issues 8 and 55): its messages may hide in api, human and unknown.';
COMMENT ON COLUMN highlevel.messages_flat.source IS 'What sent it, in HighLevel''s words: workflow, bulk_actions, campaign, api, app, manual.';
COMMENT ON COLUMN highlevel.messages_flat.status IS 'Delivery status as of fetched_at: HighLevel announces no changes.';
COMMENT ON COLUMN highlevel.messages_flat.error IS 'Why delivery failed, in the provider''s words.';
COMMENT ON COLUMN highlevel.messages_flat.subject IS 'Subject; of emails and few others.';
COMMENT ON COLUMN highlevel.messages_flat.body IS 'Text of the message; of an email its plain text.';
COMMENT ON COLUMN highlevel.messages_flat.sender IS 'Address or number it came from.';
COMMENT ON COLUMN highlevel.messages_flat.recipient IS 'Address or number it went to; of an email all of them, with commas.';
COMMENT ON COLUMN highlevel.messages_flat.date_added IS 'When it was created in HighLevel.';
COMMENT ON COLUMN highlevel.messages_flat.local_time_zone IS
    'The zone of local_time: the location''s, else highlevel.settings.default_time_zone; see highlevel.location_time_zones.';
COMMENT ON COLUMN highlevel.messages_flat.local_time IS 'date_added on the location''s own clock.';
COMMENT ON COLUMN highlevel.messages_flat.local_day IS 'The day of local_time.';
COMMENT ON COLUMN highlevel.messages_flat.date_updated IS 'When HighLevel last changed it.';
COMMENT ON COLUMN highlevel.messages_flat.attachment_count IS 'Files of the message. Calls have none: their audio is a recording.';
COMMENT ON COLUMN highlevel.messages_flat.call_duration IS 'Length of a call in seconds.';
COMMENT ON COLUMN highlevel.messages_flat.call_status IS 'Outcome of a call in HighLevel''s words.';
COMMENT ON COLUMN highlevel.messages_flat.call_outcome IS
    'Of a call, from call_status, else status. answered: completed, answered or connected. missed: no-answer, busy, '
    'canceled, failed or undelivered, on either side. voicemail: it says so. unknown: not told. Null for what is no call.';
COMMENT ON COLUMN highlevel.messages_flat.awaits_answer IS
    'True for inbound messages, missed calls and voicemails. An inbound call that was answered awaits none. Deleted ones neither.';
COMMENT ON COLUMN highlevel.messages_flat.is_answer IS
    'True for outbound messages that went out (status is not failed, undelivered or scheduled), outbound calls that were '
    'not missed, and inbound calls that were answered; not for deleted ones.';
COMMENT ON COLUMN highlevel.messages_flat.deleted_at IS 'When the API first said that it no longer exists; null while it exists.';
COMMENT ON COLUMN highlevel.messages_flat.fetched_at IS 'When the content shown here was first received.';

-- Every message and every email with the names that belong to it: the view for BI tools.
-- Postgres leaves out joins whose columns a query does not ask for. Citus gets subqueries by the key instead: etl/database/views.py.
CREATE OR REPLACE VIEW highlevel.messages_flat AS
SELECT
    m.location_id,
    m.location_name,
    m.message_id,
    m.email_id,
    m.conversation_id,
    m.contact_id,
    m.contact_name,
    m.user_id,
    m.user_name,
    m.message_type,
    m.channel,
    m.is_campaign,
    m.with_contact,
    m.direction,
    m.sent_by,
    m.source,
    m.status,
    m.error,
    m.subject,
    m.body,
    m.sender,
    m.recipient,
    m.date_added,
    m.local_time_zone,
    timezone(m.local_time_zone, m.date_added) AS local_time,
    timezone(m.local_time_zone, m.date_added)::date AS local_day,
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
    m.call_duration,
    m.call_status,
    m.call_outcome,
    (
        m.direction = 'inbound' AND m.with_contact AND m.deleted_at IS NULL AND m.call_outcome IS DISTINCT FROM 'answered'
    ) IS TRUE AS awaits_answer,
    (
        m.with_contact AND m.deleted_at IS NULL AND CASE m.direction
            WHEN 'inbound' THEN m.call_outcome = 'answered'
            WHEN 'outbound' THEN
                coalesce(m.status, '') NOT IN ('failed', 'undelivered', 'scheduled')
                AND m.call_outcome IS DISTINCT FROM 'missed'
        END
    ) IS TRUE AS is_answer,
    m.deleted_at,
    m.fetched_at
FROM (
    SELECT
        m.*,
        l.name AS location_name,
        c.name AS contact_name,
        u.name AS user_name,
        CASE WHEN m.message_type LIKE '%CALL' OR m.message_type LIKE '%VOICEMAIL' THEN y.call_duration END AS call_duration,
        CASE WHEN m.message_type LIKE '%CALL' OR m.message_type LIKE '%VOICEMAIL' THEN y.call_status END AS call_status,
        coalesce(
            l.known_zone, (SELECT highlevel.known_zone(s.default_time_zone) FROM highlevel.settings AS s), 'UTC'
        ) AS local_time_zone,
        CASE
            WHEN t.channel IS NOT NULL THEN t.channel
            WHEN m.message_type ^@ 'TYPE_ACTIVITY' THEN 'Activity'
            WHEN m.message_type ^@ 'TYPE_INTERNAL' THEN 'Internal'
            WHEN m.message_type LIKE '%CALL' OR m.message_type LIKE '%VOICEMAIL' THEN 'Call'
            WHEN m.message_type LIKE '%EMAIL' THEN 'Email'
            ELSE 'Other'
        END AS channel,
        coalesce(t.is_campaign, false) AS is_campaign,
        (
            t.is_activity OR t.is_internal OR m.message_type ^@ 'TYPE_ACTIVITY' OR m.message_type ^@ 'TYPE_INTERNAL'
        ) IS NOT TRUE AS with_contact,
        CASE
            WHEN m.direction = 'inbound' THEN 'contact'
            WHEN m.source = 'workflow' THEN 'workflow'
            WHEN m.source IN ('campaign', 'bulk_actions') THEN 'campaign'
            WHEN m.source IN ('app', 'manual') THEN 'human'
            WHEN m.source = 'api' THEN 'api'
            -- AI as a word or at the end of one, be it in one case or in both; and whatever ends with bot.
            WHEN
                m.source ~ '(^|[^A-Za-z])(([Aa]i|AI)([^A-Za-z]|$)|AI[A-Z][a-z])|[a-z]A[Ii]([^A-Za-z]|$)'
                OR m.source ~* 'bot([^a-z]|$)' THEN 'ai'
            WHEN m.source IS NULL AND m.user_id IS NOT NULL THEN 'human'
            WHEN m.source IS NULL AND t.is_campaign THEN 'campaign'
            ELSE 'unknown'
        END AS sent_by,
        CASE WHEN m.message_type LIKE '%CALL' OR m.message_type LIKE '%VOICEMAIL' THEN CASE
            WHEN 'voicemail' IN (y.call_status, m.status) OR m.message_type LIKE '%VOICEMAIL' THEN 'voicemail'
            WHEN coalesce(y.call_status, m.status) IN ('answered', 'completed', 'connected') THEN 'answered'
            WHEN coalesce(y.call_status, m.status) IN ('busy', 'canceled', 'failed', 'no-answer', 'undelivered') THEN 'missed'
            ELSE 'unknown'
        END END AS call_outcome
    FROM (
        -- Bare tables: only so does Postgres walk both in the order of time when the newest or next message is asked for.
        SELECT
            location_id, message_id, NULL::text AS email_id, conversation_id, contact_id, user_id, message_type, direction,
            source, status, error, subject, body, sender, recipient, date_added, date_updated, deleted_at, fetched_at
        FROM highlevel.messages
        UNION ALL
        -- Only the thread has its type, its user, and whether it was deleted.
        SELECT
            e.location_id, e.message_id, e.email_id, e.conversation_id, e.contact_id,
            (
                SELECT h.user_id FROM highlevel.messages AS h
                WHERE h.location_id = e.location_id AND h.message_id = e.message_id
            ) AS user_id,
            coalesce((
                SELECT h.message_type FROM highlevel.messages AS h
                WHERE h.location_id = e.location_id AND h.message_id = e.message_id
            ), 'TYPE_EMAIL') AS message_type,
            e.direction, e.source, e.status, e.error, e.subject, coalesce(e.body_text, e.body) AS body, e.sender,
            array_to_string(e.recipients, ', ') AS recipient, e.date_added, e.date_updated,
            least(e.deleted_at, (
                SELECT h.deleted_at FROM highlevel.messages AS h
                WHERE h.location_id = e.location_id AND h.message_id = e.message_id
            )) AS deleted_at,
            e.fetched_at
        FROM highlevel.emails AS e
    ) AS m
    LEFT JOIN highlevel.message_types AS t USING (message_type)
    -- In a subquery, so that a zone is looked up once a location and not once a message.
    LEFT JOIN (
        SELECT k.location_id, k.name, highlevel.known_zone(coalesce(z.known_as, z.time_zone)) AS known_zone
        FROM highlevel.locations AS k LEFT JOIN highlevel.time_zones AS z ON z.time_zone = k.time_zone
    ) AS l ON l.location_id = m.location_id
    LEFT JOIN highlevel.contacts AS c ON c.location_id = m.location_id AND c.contact_id = m.contact_id
    LEFT JOIN highlevel.users AS u ON u.location_id = m.location_id AND u.user_id = m.user_id
    LEFT JOIN highlevel.meta AS y ON y.location_id = m.location_id AND y.message_id = m.message_id
    WHERE
        -- An email that a thread only names so far has no content; a thread is there only until one of its emails is.
        (m.email_id IS NULL OR m.fetched_at IS NOT NULL)
        AND (
            m.email_id IS NOT NULL OR t.channel <> 'Email'
            -- Not NOT EXISTS, which under OR becomes a hash of the emails of all locations.
            OR (
                SELECT true FROM highlevel.emails AS e
                WHERE e.location_id = m.location_id AND e.message_id = m.message_id AND e.fetched_at IS NOT NULL
                LIMIT 1
            ) IS NULL
        )
) AS m;

COMMENT ON VIEW highlevel.messages_flat IS
    'One row for each message, with the names that belong to it. Point BI tools here. Each fetched email has its own row. '
    'Its thread then has none. Deleted messages are here, with deleted_at; so are internal messages and activities, '
    'with with_contact = false. Filter by location_id and date_added, which have an index. A filter by local_day alone '
    'reads the whole location.';
COMMENT ON COLUMN highlevel.messages_flat.location_id IS 'Location (sub-account) the message belongs to.';
COMMENT ON COLUMN highlevel.messages_flat.location_name IS 'Name of the business; null until it is fetched.';
COMMENT ON COLUMN highlevel.messages_flat.message_id IS 'The message; for an email, its thread, or null if no thread is known.';
COMMENT ON COLUMN highlevel.messages_flat.email_id IS
    'The email; null for other messages, and for a thread without a fetched email. Rows are unique by location_id, message_id, email_id.';
COMMENT ON COLUMN highlevel.messages_flat.conversation_id IS 'Conversation it is part of.';
COMMENT ON COLUMN highlevel.messages_flat.contact_id IS 'Contact it was exchanged with.';
COMMENT ON COLUMN highlevel.messages_flat.contact_name IS 'Name of the contact; null until it is fetched.';
COMMENT ON COLUMN highlevel.messages_flat.user_id IS
    'HighLevel user who sent or answered it; for an email, the user of its thread. HighLevel names none for automatic and most inbound messages.';
COMMENT ON COLUMN highlevel.messages_flat.user_name IS 'Name of the user; null until it is fetched.';
COMMENT ON COLUMN highlevel.messages_flat.message_type IS 'Kind of message; for an email, that of its thread. See highlevel.message_types.';
COMMENT ON COLUMN highlevel.messages_flat.channel IS
    'SMS, Call, Email, WhatsApp …, as in highlevel.message_types. For a type that is not in that table, its name decides: '
    'Activity, Internal, Call or Email, otherwise Other.';
COMMENT ON COLUMN highlevel.messages_flat.is_campaign IS 'True when its type says that a campaign sent it.';
COMMENT ON COLUMN highlevel.messages_flat.with_contact IS
    'True for messages from and to the contact. False for activities and internal messages, which never count as messages '
    'or answers: types that highlevel.message_types marks so, or that begin with TYPE_ACTIVITY or TYPE_INTERNAL.';
COMMENT ON COLUMN highlevel.messages_flat.direction IS 'inbound (from the contact) or outbound (to the contact).';
COMMENT ON COLUMN highlevel.messages_flat.sent_by IS
    'contact: inbound. workflow: source workflow. campaign: source campaign or bulk_actions, or no source and a '
    'campaign''s type. human: source app or manual, or no source and a user. api: source api, which may be a machine or a '
    'person who uses another program. ai: the source has the word AI or ends with bot, in any spelling. unknown: the rest. '
    'HighLevel does not mark all messages of its own AI (highlevel-api-docs, issues 8 and 55): some may be in api, human '
    'or unknown.';
COMMENT ON COLUMN highlevel.messages_flat.source IS 'What sent it, in HighLevel''s words: workflow, bulk_actions, campaign, api, app, manual.';
COMMENT ON COLUMN highlevel.messages_flat.status IS 'Delivery status as of checked_at of messages or emails; HighLevel does not announce changes.';
COMMENT ON COLUMN highlevel.messages_flat.error IS 'Why delivery failed, in the provider''s words.';
COMMENT ON COLUMN highlevel.messages_flat.subject IS 'Subject; emails have one, and few other messages.';
COMMENT ON COLUMN highlevel.messages_flat.body IS 'Text of the message; for an email, its plain text.';
COMMENT ON COLUMN highlevel.messages_flat.sender IS 'Address or number it came from.';
COMMENT ON COLUMN highlevel.messages_flat.recipient IS 'Address or number it went to; for an email, all addresses, separated by commas.';
COMMENT ON COLUMN highlevel.messages_flat.date_added IS 'When it was created in HighLevel.';
COMMENT ON COLUMN highlevel.messages_flat.local_time_zone IS
    'Time zone of local_time: the location''s or, if it has none, highlevel.settings.default_time_zone. See highlevel.location_time_zones.';
COMMENT ON COLUMN highlevel.messages_flat.local_time IS 'date_added on the location''s own clock.';
COMMENT ON COLUMN highlevel.messages_flat.local_day IS 'The day of local_time.';
COMMENT ON COLUMN highlevel.messages_flat.date_updated IS 'When HighLevel last changed it.';
COMMENT ON COLUMN highlevel.messages_flat.attachment_count IS 'Number of files of the message. Audio of calls does not count.';
COMMENT ON COLUMN highlevel.messages_flat.call_duration IS 'Length of a call in seconds.';
COMMENT ON COLUMN highlevel.messages_flat.call_status IS 'Outcome of a call in HighLevel''s words.';
COMMENT ON COLUMN highlevel.messages_flat.call_outcome IS
    'How a call ended: call_status or, where that is null, status. answered: completed, answered or connected. missed: '
    'no-answer, busy, canceled, failed or undelivered, whoever called. voicemail: the status or the type says voicemail. '
    'unknown: anything else. Null for other messages than calls.';
COMMENT ON COLUMN highlevel.messages_flat.awaits_answer IS
    'True for messages, missed calls and voicemails from the contact. False for everything else, also for inbound calls that were answered, deleted messages, and messages without a direction.';
COMMENT ON COLUMN highlevel.messages_flat.is_answer IS
    'True for outbound messages whose status is not failed, undelivered or scheduled, for outbound calls that were not '
    'missed, and for inbound calls that were answered. False for everything else, also for deleted messages and messages '
    'without a direction.';
COMMENT ON COLUMN highlevel.messages_flat.deleted_at IS 'When the API first said that the message, or the thread of the email, no longer exists; null while it exists.';
COMMENT ON COLUMN highlevel.messages_flat.fetched_at IS 'When the API first gave what is shown here.';

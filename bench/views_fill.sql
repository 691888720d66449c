-- Twenty locations and eighteen months of plausible messages; :conversations of ten messages each on average.
-- One location holds a third of everything. Rows are written in the order of time, as webhooks bring them.
SET LOCAL synchronous_commit = off;
SET LOCAL work_mem = '256MB';
SET LOCAL maintenance_work_mem = '512MB';
SELECT setseed(0.11);

-- Indexes are built at the end, in a tenth of the time: until then they look as if CREATE INDEX had not filled them yet.
UPDATE pg_index SET indisready = false, indisvalid = false
WHERE indrelid IN ('highlevel.messages'::regclass, 'highlevel.emails'::regclass, 'highlevel.contacts'::regclass);

CREATE TEMP TABLE talks AS
SELECT
    n,
    -- A third to the first, the others ever fewer.
    'location' || lpad((CASE WHEN random() < 1.0 / 3 THEN 0 ELSE 1 + floor(19 * random() ^ 2)::integer END)::text, 12, '0') AS location_id,
    'conv' || left(md5('v' || n), 16) AS conversation_id,
    'cont' || left(md5('c' || n), 16) AS contact_id,
    timestamptz '2025-01-01' + random() * interval '540 days' AS starts_at,
    1 + floor(-9.5 * ln(1 - random()))::integer AS length,
    random() * interval '10 days' AS pace
FROM generate_series(1, :conversations) AS n;

INSERT INTO highlevel.locations (location_id, name, time_zone, fetched_at)
SELECT location_id, 'Shop ' || right(location_id, 2),
    (ARRAY['America/New_York', 'Europe/Madrid', 'US/Central', NULL, 'Nowhere/Land'])[1 + right(location_id, 2)::integer % 5], now()
FROM (SELECT DISTINCT location_id FROM talks) AS l;

INSERT INTO highlevel.users (location_id, user_id, name, fetched_at)
SELECT location_id, 'user' || right(location_id, 2) || lpad(n::text, 14, '0'), 'User ' || n, now()
FROM highlevel.locations, generate_series(0, 9) AS n;

INSERT INTO highlevel.contacts (location_id, contact_id, name, email, fetched_at)
SELECT location_id, contact_id, 'Contact ' || n, 'contact' || n || '@example.com', now() FROM talks;

INSERT INTO highlevel.messages (
    location_id, message_id, conversation_id, contact_id, message_type, direction, status, source, content_type, body,
    sender, recipient, error, user_id, date_added, date_updated, deleted_at, fetched_at
)
SELECT
    d.location_id,
    'mess' || left(md5(d.n || '-' || d.k), 16),
    d.conversation_id,
    d.contact_id,
    d.message_type,
    d.direction,
    CASE
        WHEN d.message_type = 'TYPE_CALL' THEN (ARRAY['completed', 'completed', 'no-answer', 'voicemail'])[1 + floor(4 * d.y)::integer]
        WHEN d.direction = 'inbound' THEN 'delivered'
        WHEN d.y < 0.03 THEN 'failed'
        ELSE (ARRAY['sent', 'delivered', 'delivered', 'read', 'pending'])[1 + floor(5 * d.y)::integer]
    END,
    CASE WHEN d.direction = 'outbound' THEN s.source END,
    'text/plain',
    CASE WHEN d.message_type <> 'TYPE_CALL' THEN repeat('words of a customer ', 1 + floor(d.y * 8)::integer) END,
    '+15550001111',
    '+15550002222',
    CASE WHEN d.direction = 'outbound' AND d.y < 0.03 THEN 'Error 3000' || floor(d.y * 300)::integer END,
    CASE WHEN d.direction = 'outbound' AND s.source = 'app' THEN 'user' || right(d.location_id, 2) || lpad((d.n % 10)::text, 14, '0') END,
    d.date_added,
    d.date_added + interval '5 seconds',
    CASE WHEN d.z < 0.005 THEN d.date_added + interval '1 day' END,
    d.date_added + interval '10 seconds'
FROM (
    SELECT
        t.*,
        k,
        random() AS y,
        random() AS z,
        CASE WHEN random() < CASE WHEN k % 2 = 1 THEN 0.7 ELSE 0.3 END THEN 'inbound' ELSE 'outbound' END AS direction,
        (ARRAY['TYPE_SMS', 'TYPE_SMS', 'TYPE_SMS', 'TYPE_SMS', 'TYPE_SMS', 'TYPE_SMS', 'TYPE_SMS', 'TYPE_EMAIL', 'TYPE_EMAIL',
               'TYPE_CALL', 'TYPE_CALL', 'TYPE_WHATSAPP', 'TYPE_WHATSAPP', 'TYPE_FACEBOOK', 'TYPE_INSTAGRAM', 'TYPE_CAMPAIGN_SMS',
               'TYPE_ACTIVITY_APPOINTMENT', 'TYPE_INTERNAL_COMMENT', 'TYPE_LIVE_CHAT', 'TYPE_SMS'])[1 + floor(20 * random())::integer]
        AS message_type,
        -- Four messages within the hour, then days of silence.
        t.starts_at + (k - 1) / 4 * t.pace + ((k - 1) % 4 + random()) * interval '15 minutes' AS date_added
    FROM talks AS t, generate_series(1, t.length) AS k
) AS d
CROSS JOIN LATERAL (
    SELECT (ARRAY['app', 'app', 'app', 'app', 'app', 'workflow', 'workflow', 'workflow', 'campaign', 'api'])[1 + floor(10 * d.z)::integer] AS source
) AS s
ORDER BY d.date_added;

INSERT INTO highlevel.attachments (location_id, message_id, position, url, file_name, media_type)
SELECT location_id, message_id, 0, 'https://files.example/' || message_id || '.jpg', message_id || '.jpg', 'image/jpeg'
FROM highlevel.messages WHERE message_type <> 'TYPE_CALL' AND message_id < 'mess1';

INSERT INTO highlevel.meta (location_id, message_id, call_duration, call_status)
SELECT location_id, message_id, CASE WHEN status = 'completed' THEN 20 + length(message_id) * 7 END, status
FROM highlevel.messages WHERE message_type = 'TYPE_CALL';

INSERT INTO highlevel.transcripts (location_id, message_id, transcript, sentences, fetched_at)
SELECT location_id, message_id, repeat('what was said ', 60), '[]', now()
FROM highlevel.messages WHERE message_type = 'TYPE_CALL' AND status = 'completed' AND message_id < 'mess8';

INSERT INTO highlevel.recordings (location_id, message_id, leg, url, fetched_at)
SELECT location_id, message_id, 0, 's3://bucket/' || message_id || '.wav', now()
FROM highlevel.messages WHERE message_type = 'TYPE_CALL' AND status = 'completed';

INSERT INTO highlevel.emails (
    location_id, email_id, message_id, position, conversation_id, contact_id, direction, status, source, subject, body,
    body_text, sender, recipients, date_added, fetched_at
)
SELECT
    location_id, 'emai' || left(md5(message_id || p), 16), message_id, p, conversation_id, contact_id,
    CASE WHEN p % 2 = 0 THEN direction WHEN direction = 'inbound' THEN 'outbound' ELSE 'inbound' END,
    'delivered', source, 'Order', repeat('<p>words of a customer</p>', 12), repeat('words of a customer ', 12),
    'ann@example.com', ARRAY['shop@example.com'], date_added + p * interval '5 hours', fetched_at
FROM highlevel.messages, generate_series(0, 1) AS p
WHERE message_type = 'TYPE_EMAIL' AND message_id < 'messe'
ORDER BY date_added;

REINDEX TABLE highlevel.messages;
REINDEX TABLE highlevel.emails;
REINDEX TABLE highlevel.contacts;

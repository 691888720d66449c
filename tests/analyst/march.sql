-- March 2026 at three locations, small enough to count by hand. LOC1 is in Madrid: UTC+1, from the 29th at 01:00 UTC UTC+2.
INSERT INTO highlevel.locations (location_id, name, time_zone, fetched_at) VALUES
    ('LOC1', 'Harbour Dental', 'Europe/Madrid', '2026-03-01 00:00Z'),
    ('LOC3', 'Lost Shop', 'Nowhere/Land', '2026-03-01 00:00Z');
INSERT INTO highlevel.users (location_id, user_id, name, fetched_at) VALUES
    ('LOC1', 'USR1', 'Sam Fox', '2026-03-01 00:00Z'), ('LOC1', 'USR2', 'Kim Ray', '2026-03-01 00:00Z');
INSERT INTO highlevel.contacts (location_id, contact_id, name, fetched_at) VALUES
    ('LOC1', 'CON1', 'Ann Lee', '2026-03-01 00:00Z'), ('LOC1', 'CON2', 'Bob Roy', '2026-03-01 00:00Z'),
    ('LOC1', 'CON3', 'Cleo Diaz', '2026-03-01 00:00Z');

INSERT INTO highlevel.messages (
    location_id, message_id, conversation_id, contact_id, message_type, direction, status, source, user_id, error, body,
    date_added, deleted_at, fetched_at
)
SELECT g.location_id, g.message_id, g.conversation_id, g.contact_id, g.message_type, g.direction, g.status, g.source,
    g.user_id, g.error, 'words', g.date_added, g.deleted_at, coalesce(g.fetched_at, g.date_added + interval '1 minute')
FROM (VALUES
    -- Ann writes; a workflow answers, then Sam. She writes twice; Sam's answer fails, Kim's goes out an hour later.
    ('LOC1', 'M01', 'CNV1', 'CON1', 'TYPE_SMS', 'inbound', 'delivered', NULL, NULL, NULL, timestamptz '2026-03-02 09:00Z', NULL::timestamptz, NULL::timestamptz),
    ('LOC1', 'M02', 'CNV1', 'CON1', 'TYPE_SMS', 'outbound', 'delivered', 'workflow', NULL, NULL, '2026-03-02 09:02Z', NULL, NULL),
    ('LOC1', 'M03', 'CNV1', 'CON1', 'TYPE_SMS', 'outbound', 'delivered', 'app', 'USR1', NULL, '2026-03-02 09:30Z', NULL, NULL),
    ('LOC1', 'M04', 'CNV1', 'CON1', 'TYPE_INTERNAL_COMMENT', 'outbound', NULL, 'app', 'USR1', NULL, '2026-03-02 09:45Z', NULL, NULL),
    ('LOC1', 'M05', 'CNV1', 'CON1', 'TYPE_SMS', 'inbound', 'delivered', NULL, NULL, NULL, '2026-03-02 09:40Z', NULL, NULL),
    ('LOC1', 'M06', 'CNV1', 'CON1', 'TYPE_SMS', 'inbound', 'delivered', NULL, NULL, NULL, '2026-03-02 09:41Z', NULL, NULL),
    ('LOC1', 'M07', 'CNV1', 'CON1', 'TYPE_SMS', 'outbound', 'failed', 'app', 'USR1', 'Error 30005 - Unknown handset', '2026-03-02 10:10Z', NULL, NULL),
    ('LOC1', 'M08', 'CNV1', 'CON1', 'TYPE_SMS', 'outbound', 'delivered', 'app', 'USR2', NULL, '2026-03-02 10:40Z', NULL, NULL),
    -- Bob writes after midnight, gets an answer in the morning, and comes back after sixteen days.
    ('LOC1', 'M09', 'CNV2', 'CON2', 'TYPE_WHATSAPP', 'inbound', 'delivered', NULL, NULL, NULL, '2026-03-03 23:30Z', NULL, NULL),
    ('LOC1', 'M10', 'CNV2', 'CON2', 'TYPE_WHATSAPP', 'outbound', 'read', 'app', 'USR2', NULL, '2026-03-04 08:00Z', NULL, NULL),
    ('LOC1', 'M11', 'CNV2', 'CON2', 'TYPE_WHATSAPP', 'inbound', 'delivered', NULL, NULL, NULL, '2026-03-20 12:00Z', NULL, NULL),
    -- Cleo's call is missed and Sam calls back; her voicemail waits until she calls again. Then emails: M16 is a thread.
    ('LOC1', 'M12', 'CNV3', 'CON3', 'TYPE_CALL', 'inbound', 'delivered', NULL, NULL, NULL, '2026-03-05 10:00Z', NULL, NULL),
    ('LOC1', 'M13', 'CNV3', 'CON3', 'TYPE_CALL', 'outbound', 'completed', 'app', 'USR1', NULL, '2026-03-05 10:20Z', NULL, NULL),
    ('LOC1', 'M14', 'CNV3', 'CON3', 'TYPE_CALL', 'inbound', 'voicemail', NULL, NULL, NULL, '2026-03-05 15:00Z', NULL, NULL),
    ('LOC1', 'M15', 'CNV3', 'CON3', 'TYPE_CALL', 'inbound', 'completed', NULL, 'USR1', NULL, '2026-03-06 09:00Z', NULL, NULL),
    ('LOC1', 'M16', 'CNV3', 'CON3', 'TYPE_EMAIL', 'outbound', 'sent', 'campaign', NULL, NULL, '2026-03-06 11:00Z', NULL, NULL),
    -- A campaign, a program, a machine and nobody known write to CON4. M23 was sent again and so deleted upstream.
    ('LOC1', 'M17', 'CNV4', 'CON4', 'TYPE_CAMPAIGN_SMS', 'outbound', 'delivered', 'campaign', NULL, NULL, '2026-03-09 08:00Z', NULL, NULL),
    ('LOC1', 'M18', 'CNV4', 'CON4', 'TYPE_CAMPAIGN_SMS', 'outbound', 'undelivered', 'bulk_actions', NULL, 'Error 30003 - Unreachable', '2026-03-09 08:05Z', NULL, NULL),
    ('LOC1', 'M19', 'CNV4', 'CON4', 'TYPE_SMS', 'outbound', 'pending', 'api', NULL, NULL, '2026-03-10 09:00Z', NULL, NULL),
    ('LOC1', 'M20', 'CNV4', 'CON4', 'TYPE_SMS', 'outbound', 'sent', 'conversationAI', NULL, NULL, '2026-03-29 00:30Z', NULL, NULL),
    ('LOC1', 'M21', 'CNV4', 'CON4', 'TYPE_SMS', 'outbound', 'sent', NULL, NULL, NULL, '2026-03-28 23:30Z', NULL, '2026-03-31 23:30Z'),
    ('LOC1', 'M22', 'CNV4', 'CON4', 'TYPE_SMS', 'inbound', 'delivered', NULL, NULL, NULL, '2026-03-29 22:30Z', NULL, NULL),
    ('LOC1', 'M23', 'CNV4', 'CON4', 'TYPE_SMS', 'outbound', 'failed', 'app', 'USR1', 'Error 30008 - Unknown', '2026-03-10 08:59Z', '2026-03-10 12:00Z', NULL),
    ('LOC1', 'M24', 'CNV4', 'CON4', 'TYPE_ACTIVITY_APPOINTMENT', 'outbound', NULL, NULL, NULL, NULL, '2026-03-10 09:30Z', NULL, NULL),
    -- A location of which nothing is known, and one whose time zone does not exist.
    ('LOC2', 'N01', 'CNV1', 'CON1', 'TYPE_SMS', 'inbound', 'delivered', NULL, NULL, NULL, '2026-03-03 23:30Z', NULL, NULL),
    ('LOC3', 'N02', 'CNV1', 'CON1', 'TYPE_SMS', 'inbound', 'delivered', NULL, NULL, NULL, '2026-03-03 23:30Z', NULL, NULL)
) AS g (
    location_id, message_id, conversation_id, contact_id, message_type, direction, status, source, user_id, error,
    date_added, deleted_at, fetched_at
);

INSERT INTO highlevel.emails (
    location_id, email_id, message_id, position, conversation_id, contact_id, direction, status, source, subject, body,
    body_text, sender, recipients, date_added, fetched_at
) VALUES
    ('LOC1', 'E1', 'M16', 0, 'CNV3', 'CON3', 'outbound', 'opened', 'campaign', 'Spring', '<p>words</p>', 'words', 'shop@example.com', '{cleo@example.com,bob@example.com}', '2026-03-06 11:00Z', '2026-03-06 13:00Z'),
    ('LOC1', 'E2', 'M16', 1, 'CNV3', 'CON3', 'inbound', 'delivered', NULL, 'Re: Spring', '<p>words</p>', NULL, 'cleo@example.com', '{shop@example.com}', '2026-03-06 12:00Z', '2026-03-06 13:00Z'),
    ('LOC1', 'E3', 'M16', 2, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL);
INSERT INTO highlevel.attachments (location_id, message_id, position, url, media_type) VALUES
    ('LOC1', 'M03', 0, 'https://files.example/a.pdf', 'application/pdf'),
    ('LOC1', 'M05', 0, 'https://files.example/b.jpg', 'image/jpeg'), ('LOC1', 'M05', 1, 'https://files.example/c.jpg', 'image/jpeg');
INSERT INTO highlevel.email_attachments (location_id, email_id, position, url, media_type) VALUES
    ('LOC1', 'E2', 0, 'https://files.example/d.pdf', 'application/pdf');
INSERT INTO highlevel.meta (location_id, message_id, call_duration, call_status) VALUES
    ('LOC1', 'M12', NULL, 'no-answer'), ('LOC1', 'M13', 120, 'completed'), ('LOC1', 'M15', 300, 'answered');
INSERT INTO highlevel.recordings (location_id, message_id, leg, url, fetched_at) VALUES
    ('LOC1', 'M13', 0, 's3://audio/M13-0.wav', '2026-03-05 11:00Z'), ('LOC1', 'M14', 0, NULL, '2026-03-05 16:00Z');
INSERT INTO highlevel.transcripts (location_id, message_id, transcript, sentences, fetched_at) VALUES
    ('LOC1', 'M13', 'words', '[]', '2026-03-05 11:00Z');

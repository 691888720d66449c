CREATE OR REPLACE VIEW highlevel.daily_messages AS
SELECT
    d.location_id,
    d.location_name,
    d.local_day,
    f.channel,
    f.direction,
    f.source,
    f.sent_by,
    f.messages,
    f.contacts
FROM highlevel.local_days AS d
CROSS JOIN LATERAL (
    SELECT
        m.channel,
        m.direction,
        m.source,
        m.sent_by,
        count(*)::integer AS messages,
        count(DISTINCT m.contact_id)::integer AS contacts
    FROM highlevel.messages_flat AS m
    WHERE
        m.location_id = d.location_id AND m.date_added >= d.starts_at AND m.date_added < d.ends_at
        AND m.with_contact AND m.deleted_at IS NULL
    GROUP BY m.location_id, m.channel, m.direction, m.source, m.sent_by
) AS f;

COMMENT ON VIEW highlevel.daily_messages IS
    'Messages a day of the location''s own time zone, by channel, direction and source. Internal messages, activities and '
    'deleted messages do not count, nor those without a date or with one that no day of highlevel.local_days has. Filter by location_id and local_day: only those days '
    'are read. Days without messages have no row; see highlevel.local_days. Reading all of it takes half a minute at 5 million messages.';
COMMENT ON COLUMN highlevel.daily_messages.location_id IS 'Location.';
COMMENT ON COLUMN highlevel.daily_messages.location_name IS 'Name of the business; null while not fetched.';
COMMENT ON COLUMN highlevel.daily_messages.local_day IS 'Day in the location''s own time zone.';
COMMENT ON COLUMN highlevel.daily_messages.channel IS 'SMS, Call, Email …; see messages_flat.channel.';
COMMENT ON COLUMN highlevel.daily_messages.direction IS 'inbound or outbound.';
COMMENT ON COLUMN highlevel.daily_messages.source IS 'What sent it, in HighLevel''s words; null for most inbound.';
COMMENT ON COLUMN highlevel.daily_messages.sent_by IS 'contact, human, workflow, campaign, api, ai or unknown; see messages_flat.sent_by.';
COMMENT ON COLUMN highlevel.daily_messages.messages IS 'Messages; each fetched email counts, a thread without fetched emails once.';
COMMENT ON COLUMN highlevel.daily_messages.contacts IS 'Different contacts among them; do not add these up over rows.';

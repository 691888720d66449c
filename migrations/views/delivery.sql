-- The job marts keeps the rows; here are only the names.
CREATE OR REPLACE VIEW highlevel.delivery AS
SELECT
    t.location_id,
    l.name AS location_name,
    t.local_day,
    t.channel,
    t.source,
    t.sent_by,
    t.error,
    t.messages,
    t.waiting,
    t.sent,
    t.delivered,
    t.opened,
    t.failed,
    t.messages - t.waiting - t.sent - t.failed AS other,
    (SELECT s.as_of FROM highlevel.marts AS s) AS as_of
FROM highlevel.delivery_totals AS t
LEFT JOIN highlevel.locations AS l ON l.location_id = t.location_id;

COMMENT ON VIEW highlevel.delivery IS
    'What became of outbound messages, by the day they were created, as far as their statuses are known (see '
    'messages.checked_at). Calls are not here; internal messages, activities and deleted messages do not count. '
    'Kept by the job marts, within a minute of what was loaded: see as_of. Reading all of it takes half a second at 3.5 million messages.';
COMMENT ON COLUMN highlevel.delivery.location_id IS 'Location.';
COMMENT ON COLUMN highlevel.delivery.location_name IS 'Name of the business; null while not fetched.';
COMMENT ON COLUMN highlevel.delivery.local_day IS 'Day in the location''s own time zone.';
COMMENT ON COLUMN highlevel.delivery.channel IS 'SMS, Email …; see messages_flat.channel.';
COMMENT ON COLUMN highlevel.delivery.source IS 'What sent it, in HighLevel''s words.';
COMMENT ON COLUMN highlevel.delivery.sent_by IS 'human, workflow, campaign, api, ai or unknown; see messages_flat.sent_by.';
COMMENT ON COLUMN highlevel.delivery.error IS 'The provider''s words for what failed; null where there are none.';
COMMENT ON COLUMN highlevel.delivery.messages IS 'All of them: waiting + sent + failed + other.';
COMMENT ON COLUMN highlevel.delivery.waiting IS 'Status pending, queued or scheduled.';
COMMENT ON COLUMN highlevel.delivery.sent IS 'Status sent, or any that comes after it: these include delivered.';
COMMENT ON COLUMN highlevel.delivery.delivered IS 'Status delivered, read, opened or clicked: these include opened.';
COMMENT ON COLUMN highlevel.delivery.opened IS 'Status read, opened or clicked; few channels tell.';
COMMENT ON COLUMN highlevel.delivery.failed IS 'Status failed or undelivered.';
COMMENT ON COLUMN highlevel.delivery.other IS 'Any other status, or none.';
COMMENT ON COLUMN highlevel.delivery.as_of IS
    'Everything loaded until then is counted, in all rows alike; null while the job marts fills its tables for the first time, when rows are missing.';

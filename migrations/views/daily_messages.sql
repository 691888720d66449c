-- The job marts fills the table; the view adds the names.
CREATE OR REPLACE VIEW highlevel.daily_messages AS
SELECT
    t.location_id,
    l.name AS location_name,
    t.local_day,
    t.channel,
    t.direction,
    t.source,
    t.sent_by,
    t.messages,
    t.contacts,
    (SELECT s.as_of FROM highlevel.marts AS s) AS as_of,
    t.answered_calls,
    t.missed_calls,
    t.voicemails,
    t.answered_seconds
FROM highlevel.daily_totals AS t
LEFT JOIN highlevel.locations AS l ON l.location_id = t.location_id;

COMMENT ON VIEW highlevel.daily_messages IS
    'Number of messages by day (in the location''s own time zone), channel, direction and source. Internal messages, '
    'activities and deleted messages do not count, nor do those without a date, or dated before 2000 or more than a day '
    'ahead. A day without messages has no row; see highlevel.local_days. The job marts counts a message within a minute '
    'after it was loaded: see as_of. Reading the whole view takes half a second at 3.5 million messages.';
COMMENT ON COLUMN highlevel.daily_messages.location_id IS 'Location.';
COMMENT ON COLUMN highlevel.daily_messages.location_name IS 'Name of the business; null until it is fetched.';
COMMENT ON COLUMN highlevel.daily_messages.local_day IS 'Day in the location''s own time zone.';
COMMENT ON COLUMN highlevel.daily_messages.channel IS 'SMS, Call, Email …; see messages_flat.channel.';
COMMENT ON COLUMN highlevel.daily_messages.direction IS 'inbound or outbound.';
COMMENT ON COLUMN highlevel.daily_messages.source IS 'What sent it, in HighLevel''s words; null for most inbound messages.';
COMMENT ON COLUMN highlevel.daily_messages.sent_by IS 'contact, human, workflow, campaign, api, ai or unknown; see messages_flat.sent_by.';
COMMENT ON COLUMN highlevel.daily_messages.messages IS 'Number of messages. Each fetched email counts; a thread without fetched emails counts once.';
COMMENT ON COLUMN highlevel.daily_messages.contacts IS 'Number of different contacts. Do not add these up: a contact may be in many rows.';
COMMENT ON COLUMN highlevel.daily_messages.as_of IS
    'Everything that was loaded until then is counted; the same in all rows. Null while the job marts fills its tables for the first time: rows are missing then.';
COMMENT ON COLUMN highlevel.daily_messages.answered_calls IS
    'Calls that were answered, see messages_flat.call_outcome; null for channels other than Call.';
COMMENT ON COLUMN highlevel.daily_messages.missed_calls IS 'Calls that were missed; null for channels other than Call.';
COMMENT ON COLUMN highlevel.daily_messages.voicemails IS 'Calls that ended in a voicemail; null for channels other than Call.';
COMMENT ON COLUMN highlevel.daily_messages.answered_seconds IS
    'Length of all answered calls in seconds; calls whose length HighLevel does not say count as 0. Null for channels other than Call.';

-- The job marts fills the table; the view adds the names.
CREATE OR REPLACE VIEW highlevel.daily_users AS
SELECT
    t.location_id,
    l.name AS location_name,
    t.local_day,
    t.user_id,
    u.name AS user_name,
    t.channel,
    t.direction,
    t.sent_by,
    t.messages,
    t.contacts,
    t.answered_calls,
    t.missed_calls,
    t.voicemails,
    t.answered_seconds,
    (SELECT s.as_of FROM highlevel.marts AS s) AS as_of
FROM highlevel.user_totals AS t
LEFT JOIN highlevel.locations AS l ON l.location_id = t.location_id
LEFT JOIN highlevel.users AS u ON u.location_id = t.location_id AND u.user_id = t.user_id;

COMMENT ON VIEW highlevel.daily_users IS
    'Number of messages and calls that name a user, by day (in the location''s own time zone), user, channel and direction. '
    'The same messages count as in daily_messages, except those that name no user. The job marts counts a '
    'message within a minute after it was loaded: see as_of. Reading the whole view takes half a second at 3.5 million messages.';
COMMENT ON COLUMN highlevel.daily_users.location_id IS 'Location.';
COMMENT ON COLUMN highlevel.daily_users.location_name IS 'Name of the business; null until it is fetched.';
COMMENT ON COLUMN highlevel.daily_users.local_day IS 'Day in the location''s own time zone.';
COMMENT ON COLUMN highlevel.daily_users.user_id IS 'User who sent or answered them; see messages_flat.user_id.';
COMMENT ON COLUMN highlevel.daily_users.user_name IS 'Name of the user; null until it is fetched.';
COMMENT ON COLUMN highlevel.daily_users.channel IS 'SMS, Call, Email …; see messages_flat.channel.';
COMMENT ON COLUMN highlevel.daily_users.direction IS 'inbound or outbound.';
COMMENT ON COLUMN highlevel.daily_users.sent_by IS 'contact, human, workflow, campaign, api, ai or unknown; see messages_flat.sent_by.';
COMMENT ON COLUMN highlevel.daily_users.messages IS 'Number of messages. Each fetched email counts; a thread without fetched emails counts once.';
COMMENT ON COLUMN highlevel.daily_users.contacts IS 'Number of different contacts. Do not add these up: a contact may be in many rows.';
COMMENT ON COLUMN highlevel.daily_users.answered_calls IS
    'Calls that were answered, see messages_flat.call_outcome; null for channels other than Call.';
COMMENT ON COLUMN highlevel.daily_users.missed_calls IS 'Calls that were missed; null for channels other than Call.';
COMMENT ON COLUMN highlevel.daily_users.voicemails IS 'Calls that ended in a voicemail; null for channels other than Call.';
COMMENT ON COLUMN highlevel.daily_users.answered_seconds IS
    'Length of all answered calls in seconds; calls whose length HighLevel does not say count as 0. Null for channels other than Call.';
COMMENT ON COLUMN highlevel.daily_users.as_of IS
    'Everything that was loaded until then is counted; the same in all rows. Null while the job marts fills its tables for the first time: rows are missing then.';

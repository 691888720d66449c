-- The job marts fills the table; the view adds the names.
CREATE OR REPLACE VIEW highlevel.conversations AS
SELECT
    t.location_id,
    l.name AS location_name,
    t.conversation_id,
    t.contact_id,
    c.name AS contact_name,
    t.first_date_added,
    t.last_date_added,
    t.last_local_time,
    t.last_local_day,
    t.messages,
    t.inbound,
    t.outbound,
    t.last_channel,
    t.last_direction,
    t.last_sent_by,
    t.last_message_id,
    t.waiting_since,
    t.waiting_for_human_since,
    (SELECT s.as_of FROM highlevel.marts AS s) AS as_of
FROM highlevel.conversation_totals AS t
LEFT JOIN highlevel.locations AS l ON l.location_id = t.location_id
LEFT JOIN highlevel.contacts AS c ON c.location_id = t.location_id AND c.contact_id = t.contact_id;

COMMENT ON VIEW highlevel.conversations IS
    'One row for each conversation with a message from or to the contact. Internal messages, activities and deleted '
    'messages do not count, nor do those dated before 2000 or more than a day ahead. The job marts counts a message within '
    'a minute after it was loaded: see as_of. Reading the whole view takes a second at 3.5 million messages.';
COMMENT ON COLUMN highlevel.conversations.location_id IS 'Location it belongs to.';
COMMENT ON COLUMN highlevel.conversations.location_name IS 'Name of the business; null until it is fetched.';
COMMENT ON COLUMN highlevel.conversations.conversation_id IS 'The conversation.';
COMMENT ON COLUMN highlevel.conversations.contact_id IS 'Contact of its last message.';
COMMENT ON COLUMN highlevel.conversations.contact_name IS 'Name of that contact; null until it is fetched.';
COMMENT ON COLUMN highlevel.conversations.first_date_added IS 'When the first of its loaded messages was created.';
COMMENT ON COLUMN highlevel.conversations.last_date_added IS 'When its last message was created.';
COMMENT ON COLUMN highlevel.conversations.last_local_time IS 'The same on the location''s own clock.';
COMMENT ON COLUMN highlevel.conversations.last_local_day IS 'The day of last_local_time.';
COMMENT ON COLUMN highlevel.conversations.messages IS 'Number of messages. Each fetched email counts; a thread without fetched emails counts once.';
COMMENT ON COLUMN highlevel.conversations.inbound IS 'Those from the contact.';
COMMENT ON COLUMN highlevel.conversations.outbound IS 'Those to the contact, whether they were delivered or not.';
COMMENT ON COLUMN highlevel.conversations.last_channel IS 'Channel of the last message.';
COMMENT ON COLUMN highlevel.conversations.last_direction IS 'Direction of the last message.';
COMMENT ON COLUMN highlevel.conversations.last_sent_by IS 'Who sent the last message; see messages_flat.sent_by.';
COMMENT ON COLUMN highlevel.conversations.last_message_id IS 'The last message; for an email, its thread, or null if no thread is known.';
COMMENT ON COLUMN highlevel.conversations.waiting_since IS
    'When the contact first wrote or called after the last answer of any kind; null: nothing waits for an answer. If both have the same time, the answer counts as later. See messages_flat.awaits_answer and is_answer.';
COMMENT ON COLUMN highlevel.conversations.waiting_for_human_since IS
    'The same after the last answer with sent_by human, or the last call of the contact that somebody answered: an '
    'automatic reply does not end this wait.';
COMMENT ON COLUMN highlevel.conversations.as_of IS
    'Everything that was loaded until then is counted; the same in all rows. Null while the job marts fills its tables for the first time: rows are missing then.';

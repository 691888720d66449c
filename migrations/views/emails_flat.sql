CREATE OR REPLACE VIEW highlevel.emails_flat AS
SELECT
    f.location_id,
    f.location_name,
    f.email_id,
    f.message_id,
    e.position,
    f.conversation_id,
    f.contact_id,
    f.contact_name,
    f.direction,
    f.sent_by,
    f.source,
    e.provider,
    f.status,
    f.error,
    f.subject,
    f.body,
    f.sender,
    e.sender_name,
    f.recipient,
    array_to_string(e.cc, ', ') AS cc,
    array_to_string(e.bcc, ', ') AS bcc,
    e.reply_to_email_id,
    f.date_added,
    f.local_time,
    f.local_day,
    f.attachment_count,
    f.deleted_at,
    f.fetched_at
FROM highlevel.messages_flat AS f
JOIN highlevel.emails AS e USING (location_id, email_id)
WHERE f.email_id IS NOT NULL;

COMMENT ON VIEW highlevel.emails_flat IS
    'One row for each fetched email, with the names that belong to it. Deleted emails are here, with deleted_at. Emails '
    'that were not fetched yet are in highlevel.emails. Filter by location_id and date_added, which have an index.';
COMMENT ON COLUMN highlevel.emails_flat.location_id IS 'Location.';
COMMENT ON COLUMN highlevel.emails_flat.location_name IS 'Name of the business; null until it is fetched.';
COMMENT ON COLUMN highlevel.emails_flat.email_id IS 'The email.';
COMMENT ON COLUMN highlevel.emails_flat.message_id IS 'Message in highlevel.messages that is its thread; null if no thread is known.';
COMMENT ON COLUMN highlevel.emails_flat.position IS 'Place in the thread, from 0; null until the thread lists the email.';
COMMENT ON COLUMN highlevel.emails_flat.conversation_id IS 'Conversation it is part of.';
COMMENT ON COLUMN highlevel.emails_flat.contact_id IS 'Contact it was exchanged with.';
COMMENT ON COLUMN highlevel.emails_flat.contact_name IS 'Name of the contact; null until it is fetched.';
COMMENT ON COLUMN highlevel.emails_flat.direction IS 'inbound or outbound.';
COMMENT ON COLUMN highlevel.emails_flat.sent_by IS 'Who sent it; see messages_flat.sent_by. HighLevel names no user for an email, so the user of its thread counts.';
COMMENT ON COLUMN highlevel.emails_flat.source IS 'What sent it, in HighLevel''s words.';
COMMENT ON COLUMN highlevel.emails_flat.provider IS 'Service that carried it.';
COMMENT ON COLUMN highlevel.emails_flat.status IS 'Delivery status as of emails.checked_at.';
COMMENT ON COLUMN highlevel.emails_flat.error IS 'Why delivery failed.';
COMMENT ON COLUMN highlevel.emails_flat.subject IS 'Subject.';
COMMENT ON COLUMN highlevel.emails_flat.body IS 'The email as plain text; its HTML is in highlevel.emails.body.';
COMMENT ON COLUMN highlevel.emails_flat.sender IS 'Address it came from.';
COMMENT ON COLUMN highlevel.emails_flat.sender_name IS 'Name beside that address.';
COMMENT ON COLUMN highlevel.emails_flat.recipient IS 'Addresses it went to, separated by commas.';
COMMENT ON COLUMN highlevel.emails_flat.cc IS 'Addresses in copy, separated by commas.';
COMMENT ON COLUMN highlevel.emails_flat.bcc IS 'Addresses in blind copy, separated by commas.';
COMMENT ON COLUMN highlevel.emails_flat.reply_to_email_id IS 'Email it answers.';
COMMENT ON COLUMN highlevel.emails_flat.date_added IS 'When it was created in HighLevel.';
COMMENT ON COLUMN highlevel.emails_flat.local_time IS 'The same on the location''s own clock.';
COMMENT ON COLUMN highlevel.emails_flat.local_day IS 'The day of local_time.';
COMMENT ON COLUMN highlevel.emails_flat.attachment_count IS 'Number of files of the email.';
COMMENT ON COLUMN highlevel.emails_flat.deleted_at IS 'When the API first said that it or its thread no longer exists; null while both exist.';
COMMENT ON COLUMN highlevel.emails_flat.fetched_at IS 'When the API first gave what is shown here.';

CREATE OR REPLACE VIEW highlevel.calls AS
SELECT
    f.location_id,
    f.location_name,
    f.message_id,
    f.conversation_id,
    f.contact_id,
    f.contact_name,
    f.user_id,
    f.user_name,
    f.direction,
    f.sent_by,
    f.date_added,
    f.local_time,
    f.local_day,
    f.call_outcome,
    f.call_status,
    f.status,
    f.call_duration,
    r.message_id IS NOT NULL OR s.message_id IS NOT NULL AS has_recording,
    coalesce(r.url, s.url) AS recording_url,
    t.message_id IS NOT NULL AS has_transcript,
    t.transcript
FROM highlevel.messages_flat AS f
LEFT JOIN highlevel.recordings AS r ON r.location_id = f.location_id AND r.message_id = f.message_id AND r.leg = 0
LEFT JOIN highlevel.recordings AS s ON s.location_id = f.location_id AND s.message_id = f.message_id AND s.leg = 1
LEFT JOIN highlevel.transcripts AS t ON t.location_id = f.location_id AND t.message_id = f.message_id
-- No call is an email, so nothing is read of emails.
WHERE f.channel = 'Call' AND f.email_id IS NULL AND f.deleted_at IS NULL;

COMMENT ON VIEW highlevel.calls IS
    'One row for each call or voicemail that is not deleted. Filter by location_id and date_added, which have an index.';
COMMENT ON COLUMN highlevel.calls.location_id IS 'Location.';
COMMENT ON COLUMN highlevel.calls.location_name IS 'Name of the business; null until it is fetched.';
COMMENT ON COLUMN highlevel.calls.message_id IS 'The call, as in highlevel.messages.';
COMMENT ON COLUMN highlevel.calls.conversation_id IS 'Conversation it is part of.';
COMMENT ON COLUMN highlevel.calls.contact_id IS 'Contact who called or was called.';
COMMENT ON COLUMN highlevel.calls.contact_name IS 'Name of the contact; null until it is fetched.';
COMMENT ON COLUMN highlevel.calls.user_id IS 'User who called or answered; null: HighLevel names none, as for many inbound calls.';
COMMENT ON COLUMN highlevel.calls.user_name IS 'Name of the user; null until it is fetched.';
COMMENT ON COLUMN highlevel.calls.direction IS 'inbound (the contact called) or outbound.';
COMMENT ON COLUMN highlevel.calls.sent_by IS 'contact for inbound calls; for outbound calls, who called: see messages_flat.sent_by.';
COMMENT ON COLUMN highlevel.calls.date_added IS 'When the call was created in HighLevel.';
COMMENT ON COLUMN highlevel.calls.local_time IS 'The same on the location''s own clock.';
COMMENT ON COLUMN highlevel.calls.local_day IS 'The day of local_time.';
COMMENT ON COLUMN highlevel.calls.call_outcome IS 'answered, missed, voicemail or unknown; see messages_flat.call_outcome.';
COMMENT ON COLUMN highlevel.calls.call_status IS 'Outcome in HighLevel''s words; null: HighLevel gave none.';
COMMENT ON COLUMN highlevel.calls.status IS 'Status of the message; some calls have their outcome only here.';
COMMENT ON COLUMN highlevel.calls.call_duration IS 'Length in seconds; HighLevel gives none for voicemails and some long transferred calls.';
COMMENT ON COLUMN highlevel.calls.has_recording IS 'True if highlevel.recordings has a row for the call.';
COMMENT ON COLUMN highlevel.calls.recording_url IS 'Where a copy of the audio of its first leg is kept; null: no copy is kept.';
COMMENT ON COLUMN highlevel.calls.has_transcript IS 'True if highlevel.transcripts has a row for the call.';
COMMENT ON COLUMN highlevel.calls.transcript IS 'What was said, one line a sentence.';

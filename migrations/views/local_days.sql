-- A calendar for each location, to join days without messages to.
CREATE OR REPLACE VIEW highlevel.local_days AS
SELECT
    z.location_id,
    z.location_name,
    z.local_time_zone,
    d.day::date AS local_day,
    -- A midnight at which clocks go back comes twice, and Postgres takes it for the later: an hour after 23:00 is the first.
    least(
        timezone(z.local_time_zone, d.day), timezone(z.local_time_zone, d.day - interval '1 hour') + interval '1 hour'
    ) AS starts_at,
    least(
        timezone(z.local_time_zone, d.day + interval '1 day'),
        timezone(z.local_time_zone, d.day + interval '23 hours') + interval '1 hour'
    ) AS ends_at
FROM highlevel.location_time_zones AS z
CROSS JOIN LATERAL (
    SELECT min(m.date_added) AS first_at, max(m.date_added) AS last_at
    FROM highlevel.messages AS m
    -- One wrong date must not make a calendar of a thousand years.
    WHERE m.location_id = z.location_id AND m.date_added BETWEEN '2000-01-01 00:00:00Z' AND now() + interval '1 day'
) AS of_messages
CROSS JOIN LATERAL (
    SELECT min(e.date_added) AS first_at, max(e.date_added) AS last_at
    FROM highlevel.emails AS e
    WHERE e.location_id = z.location_id AND e.date_added BETWEEN '2000-01-01 00:00:00Z' AND now() + interval '1 day'
) AS of_emails
CROSS JOIN LATERAL generate_series(
    date_trunc('day', timezone(z.local_time_zone, least(of_messages.first_at, of_emails.first_at))),
    date_trunc('day', timezone(z.local_time_zone, greatest(of_messages.last_at, of_emails.last_at))),
    interval '1 day'
) AS d (day);

COMMENT ON VIEW highlevel.local_days IS
    'A calendar: one row for each location and day in its own time zone, from its first message to its last, also for '
    'days without messages. It has no day before 2000 and none after tomorrow. Join other tables to it with a left join '
    'to show days on which nothing happened.';
COMMENT ON COLUMN highlevel.local_days.location_id IS 'The location.';
COMMENT ON COLUMN highlevel.local_days.location_name IS 'Name of the business; null until it is fetched.';
COMMENT ON COLUMN highlevel.local_days.local_time_zone IS 'Time zone of its days; see highlevel.location_time_zones.';
COMMENT ON COLUMN highlevel.local_days.local_day IS 'The day.';
COMMENT ON COLUMN highlevel.local_days.starts_at IS 'When the day begins.';
COMMENT ON COLUMN highlevel.local_days.ends_at IS 'When the next day begins: 23 or 25 hours later on days when clocks change.';

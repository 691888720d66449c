-- The time zone of each location's days, and whether the location's own could not be used.
CREATE OR REPLACE VIEW highlevel.location_time_zones AS
SELECT
    p.location_id,
    l.name AS location_name,
    l.time_zone,
    coalesce(
        l.known_zone, (SELECT highlevel.known_zone(s.default_time_zone) FROM highlevel.settings AS s), 'UTC'
    ) AS local_time_zone,
    l.time_zone IS NOT NULL AND l.known_zone IS NULL AS is_refused
FROM (SELECT DISTINCT location_id FROM highlevel.messages) AS p
LEFT JOIN (
    SELECT k.location_id, k.name, k.time_zone, highlevel.known_zone(coalesce(z.known_as, z.time_zone)) AS known_zone
    FROM highlevel.locations AS k LEFT JOIN highlevel.time_zones AS z ON z.time_zone = k.time_zone
) AS l USING (location_id);

COMMENT ON VIEW highlevel.location_time_zones IS
    'One row for each location that has messages: the time zone of its local times and days. Until the job locations has '
    'fetched it, and for a location that has none, that is the default zone: UTC, unless you change it with '
    'UPDATE highlevel.settings SET default_time_zone = ''Europe/Madrid''.';
COMMENT ON COLUMN highlevel.location_time_zones.location_id IS 'The location.';
COMMENT ON COLUMN highlevel.location_time_zones.location_name IS 'Name of the business; null until it is fetched.';
COMMENT ON COLUMN highlevel.location_time_zones.time_zone IS 'Its time zone, as HighLevel says; null until it is fetched.';
COMMENT ON COLUMN highlevel.location_time_zones.local_time_zone IS
    'The time zone that is used: its own, by today''s name, if highlevel.time_zones has it; otherwise highlevel.settings.default_time_zone.';
COMMENT ON COLUMN highlevel.location_time_zones.is_refused IS
    'True if HighLevel gives a time zone that this Postgres does not know, so that the default is used.';

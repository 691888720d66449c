-- Statements that break the rule for distributed tables, each under what is said of it, and some that keep it.
-- Citus takes those marked [taken], but not on one node alone: see docs/architecture.md.

-- has a function in DO UPDATE that is not immutable
INSERT INTO highlevel.users (location_id, user_id) VALUES ($1, $2)
ON CONFLICT (location_id, user_id) DO UPDATE SET updated_at = now();

-- has a function in DO UPDATE that is not immutable
INSERT INTO highlevel.users (location_id, user_id) VALUES ($1, $2)
ON CONFLICT (location_id, user_id) DO UPDATE SET updated_at = CURRENT_TIMESTAMP;

-- has a function in DO UPDATE that is not immutable
INSERT INTO highlevel.users (location_id, user_id) VALUES ($1, $2)
ON CONFLICT (location_id, user_id) DO UPDATE SET name = excluded.name WHERE users.fetched_at < clock_timestamp();

-- inserts what a query reads, with a parameter in DO UPDATE or RETURNING
INSERT INTO highlevel.users (location_id, user_id, name) SELECT g.location_id, g.user_id, g.name
FROM jsonb_populate_recordset(NULL::highlevel.users, $1) AS g
ON CONFLICT (location_id, user_id) DO UPDATE SET name = coalesce(excluded.name, $2);

-- inserts what a query reads, with a parameter in DO UPDATE or RETURNING
INSERT INTO highlevel.users (location_id, user_id, name, created_at, updated_at)
SELECT g.location_id, g.user_id, g.name, g.created_at, g.updated_at
FROM jsonb_populate_recordset(NULL::highlevel.users, $1) AS g
ON CONFLICT (location_id, user_id) DO UPDATE SET name = excluded.name RETURNING users.created_at = $2;

-- locks rows without a value for location_id
SELECT message_id FROM highlevel.messages WHERE message_id = $1 FOR UPDATE;

-- locks rows without a value for location_id
SELECT message_id FROM highlevel.messages WHERE location_id = ANY($1) FOR SHARE;

-- changes messages without location_id in WHERE [taken]
UPDATE highlevel.messages SET deleted_at = $1 WHERE message_id = $2;

-- changes messages without location_id in WHERE [taken]
DELETE FROM highlevel.messages WHERE location_id = $1 OR message_id = $2;

-- changes messages without location_id in WHERE [taken]
DELETE FROM highlevel.messages USING highlevel.message_types WHERE messages.message_id = $1;

-- joins messages, attachments without equating location_id
SELECT * FROM highlevel.messages JOIN highlevel.attachments USING (message_id);

-- joins messages, attachments without equating location_id
SELECT * FROM highlevel.messages AS m, highlevel.attachments AS a WHERE a.message_id = m.message_id;

-- joins messages, attachments without equating location_id
SELECT (SELECT count(*) FROM highlevel.attachments AS a WHERE a.message_id = m.message_id) FROM highlevel.messages AS m;

-- joins messages, attachments without equating location_id
SELECT 1 FROM highlevel.messages AS m
WHERE EXISTS (SELECT FROM highlevel.attachments AS a WHERE a.message_id = m.message_id);

-- joins messages, attachments without equating location_id [taken]
SELECT 1 FROM highlevel.messages AS m
JOIN (SELECT location_id, message_id FROM highlevel.attachments) AS a ON a.message_id = m.message_id;

-- joins messages, attachments without equating location_id [taken]
WITH a AS (SELECT location_id, message_id FROM highlevel.attachments)
SELECT 1 FROM highlevel.messages AS m JOIN a ON a.message_id = m.message_id;

-- joins messages, attachments without equating location_id
DELETE FROM highlevel.messages AS m USING highlevel.attachments AS a
WHERE m.location_id = $1 AND a.message_id = m.message_id;

-- inserts into users without location_id
INSERT INTO highlevel.users (user_id) VALUES ($1);

-- joins highlevel with etl, which stays on the coordinator [taken]
DELETE FROM highlevel.contacts AS c USING etl.forgotten AS f WHERE c.location_id = f.location_id AND c.location_id = $1;

-- a lateral subquery has LIMIT
SELECT 1 FROM highlevel.local_days AS d CROSS JOIN LATERAL (
    SELECT 1 FROM highlevel.messages AS m
    WHERE m.location_id = d.location_id AND m.date_added >= d.starts_at LIMIT 1
) AS f;

-- a lateral subquery groups, or partitions a window, without location_id
SELECT 1 FROM highlevel.local_days AS d CROSS JOIN LATERAL (
    SELECT count(*) FROM highlevel.messages AS m WHERE m.location_id = d.location_id AND m.date_added >= d.starts_at
) AS f;

-- a lateral subquery groups, or partitions a window, without location_id
SELECT 1 FROM highlevel.local_days AS d CROSS JOIN LATERAL (
    SELECT m.status FROM highlevel.messages AS m
    WHERE m.location_id = d.location_id AND m.date_added >= d.starts_at GROUP BY m.status
) AS f;

-- a lateral subquery groups, or partitions a window, without location_id
SELECT 1 FROM highlevel.local_days AS d CROSS JOIN LATERAL (
    SELECT DISTINCT ON (m.status) 1 FROM highlevel.messages AS m
    WHERE m.location_id = d.location_id AND m.date_added >= d.starts_at
) AS f;

-- a lateral subquery groups, or partitions a window, without location_id
SELECT 1 FROM highlevel.local_days AS d CROSS JOIN LATERAL (
    SELECT rank() OVER w FROM highlevel.messages AS m
    WHERE m.location_id = d.location_id AND m.date_added >= d.starts_at WINDOW w AS (PARTITION BY m.status)
) AS f;

-- good
SELECT 1 FROM highlevel.locations AS l CROSS JOIN LATERAL (
    SELECT (SELECT min(m.date_added) FROM highlevel.messages AS m WHERE m.location_id = l.location_id) AS first
) AS x;

-- good
INSERT INTO highlevel.users (location_id, user_id, updated_at) VALUES ($1, $2, now())
ON CONFLICT (location_id, user_id)
DO UPDATE SET updated_at = excluded.updated_at, name = coalesce(excluded.name, users.name);

-- good
SELECT message_id FROM highlevel.messages WHERE location_id = $1 AND message_id = ANY($2) FOR UPDATE;

-- good
DELETE FROM highlevel.attachments WHERE (location_id, message_id, position) IN (($1, $2, $3));

-- good
SELECT * FROM highlevel.messages JOIN highlevel.attachments USING (location_id, message_id);

-- good
SELECT * FROM highlevel.messages JOIN highlevel.message_types USING (message_type);

-- good
SELECT 1 FROM highlevel.messages AS m
WHERE m.location_id = $1
AND NOT EXISTS (SELECT FROM highlevel.emails AS e WHERE e.location_id = $2 AND e.message_id = m.message_id);

-- good
SELECT 1 FROM highlevel.location_time_zones AS z CROSS JOIN LATERAL (
    SELECT 1 FROM highlevel.messages AS m WHERE m.location_id = z.location_id ORDER BY m.date_added LIMIT 1
) AS n;

-- good
UPDATE etl.locations SET name = $1, updated_at = now() WHERE location_id = $2;

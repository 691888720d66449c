-- A stand-in for what etl.distribution reads and calls of Citus 11.0 and newer, with the columns and arguments that its
-- manual documents. It moves no row and runs on a plain Postgres. Whether the real one agrees is not tested by it.
SET LOCAL allow_system_table_mods = on;
INSERT INTO pg_extension (oid, extname, extowner, extnamespace, extrelocatable, extversion)
VALUES (999999, 'citus', 10, 'pg_catalog'::regnamespace, false, '13.2-1');

CREATE TABLE pg_dist_node (
    nodeid serial, groupid int, nodename text, nodeport int, isactive bool DEFAULT true, noderole text DEFAULT 'primary',
    shouldhaveshards bool DEFAULT true
);
INSERT INTO pg_dist_node (groupid, nodename, nodeport, shouldhaveshards)
VALUES (0, 'coordinator', 5432, false), (1, 'worker1', 5432, true), (2, 'worker2', 5432, true);

CREATE TABLE pg_dist_partition (logicalrelid regclass, partmethod "char", partkey text, colocationid int, repmodel "char");

CREATE FUNCTION citus_is_coordinator() RETURNS bool LANGUAGE sql AS 'SELECT true';

CREATE TABLE stopped (nodename text);
CREATE FUNCTION citus_check_cluster_node_health(
    OUT from_nodename text, OUT from_nodeport int, OUT to_nodename text, OUT to_nodeport int, OUT result bool
) RETURNS SETOF record LANGUAGE sql AS $$
    SELECT f.nodename, f.nodeport, t.nodename, t.nodeport,
           CASE WHEN f.nodename NOT IN (TABLE stopped) THEN t.nodename NOT IN (TABLE stopped) END
    FROM pg_dist_node AS f CROSS JOIN pg_dist_node AS t
$$;

CREATE FUNCTION column_to_column_name(table_name regclass, column_var_text text) RETURNS text LANGUAGE sql AS 'SELECT $2';

CREATE FUNCTION create_distributed_table(table_name regclass, distribution_column text, colocate_with text)
RETURNS void LANGUAGE plpgsql AS $$
BEGIN
    IF current_setting('citus.shard_replication_factor') <> '1' THEN RAISE 'replicated'; END IF;
    INSERT INTO pg_dist_partition SELECT table_name, 'h', distribution_column, CASE colocate_with
        WHEN 'none' THEN coalesce(max(colocationid), 0) + 1
        ELSE max(colocationid) FILTER (WHERE logicalrelid = to_regclass(colocate_with))
    END, 's' FROM pg_dist_partition;
END $$;

CREATE FUNCTION create_reference_table(table_name regclass) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
    IF EXISTS (SELECT FROM pg_constraint WHERE contype = 'f' AND table_name::oid IN (conrelid, confrelid)) THEN
        RAISE 'referenced table must be a distributed table or a reference table' USING ERRCODE = '0A000';
    END IF;
    INSERT INTO pg_dist_partition VALUES (table_name, 'n', NULL, 1000, 't');
END $$;

CREATE FUNCTION run_command_on_placements(
    table_name regclass, command text, parallel bool DEFAULT true,
    OUT nodename text, OUT nodeport int, OUT shardid bigint, OUT success bool, OUT result text
) RETURNS SETOF record LANGUAGE sql AS $$
    SELECT n.nodename, n.nodeport, 102008, true, '7' FROM pg_dist_node AS n WHERE n.shouldhaveshards
$$;

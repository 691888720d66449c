"""The warehouse on Citus: what would be done, and what is refused.

No Citus is asked. What reads its catalogues is tried on a stand-in (citus_stand_in.sql) for the parts of them it reads.
"""

from dataclasses import replace
from pathlib import Path
from subprocess import CompletedProcess

import pytest
from sqlalchemy import Engine, text

from etl.database import distribution, schema
from etl.database.distribution import DISTRIBUTED, REFERENCE, Cluster, ForeignKey, Table, require_new_enough
from etl.errors import ConfigurationError
from tests import servers
from tests.command import Command

STAND_IN = (Path(__file__).parent / "citus_stand_in.sql").read_text(encoding="utf-8")
KEY = "FOREIGN KEY (a) REFERENCES highlevel.time_zones(b)"
FRESH = Cluster(
    is_coordinator=True,
    nodes=("worker1:5432", "worker2:5432"),
    away=(),
    tables=tuple(Table(name) for name in sorted(distribution.TABLES)),
    foreign_keys=(ForeignKey("settings", "settings_fkey", KEY),),
)
DONE = replace(
    FRESH,
    tables=tuple(
        Table(name, DISTRIBUTED, "location_id", 3) if has_location else Table(name, REFERENCE, None, 9)
        for name, has_location in distribution.TABLES.items()
    ),
)


def with_table(cluster: Cluster, table: Table) -> Cluster:
    """The same, but for one table."""
    return replace(cluster, tables=tuple(table if each.name == table.name else each for each in cluster.tables))


def refusal(cluster: Cluster | None) -> str:
    with pytest.raises(ConfigurationError) as caught:
        distribution.plan(cluster)
    return str(caught.value)


UNFIT = text("""
    SELECT 'trigger ' || tgname FROM pg_trigger AS t JOIN pg_class AS c ON c.oid = t.tgrelid
    WHERE NOT tgisinternal AND c.relnamespace = 'highlevel'::regnamespace
    UNION ALL
    SELECT 'column ' || attname FROM pg_attribute AS a JOIN pg_class AS c ON c.oid = a.attrelid
    WHERE (attidentity <> '' OR attgenerated <> '') AND c.relnamespace = 'highlevel'::regnamespace
    UNION ALL
    SELECT 'key ' || i.indexrelid::regclass FROM pg_index AS i JOIN pg_class AS c ON c.oid = i.indrelid
    WHERE i.indisunique AND c.relnamespace = 'highlevel'::regnamespace AND c.relname = ANY(:spread)
          AND NOT EXISTS (SELECT FROM pg_attribute AS a WHERE a.attrelid = i.indrelid AND a.attname = 'location_id'
                          AND a.attnum = ANY(i.indkey))
    UNION ALL
    SELECT 'foreign key ' || conname FROM pg_constraint AS k JOIN pg_class AS c ON c.oid = k.conrelid
    WHERE contype = 'f' AND c.relnamespace = 'highlevel'::regnamespace AND c.relname = ANY(:spread)
""")


def test_no_table_has_what_citus_refuses_to_distribute(engine: Engine) -> None:
    spread = [name for name, has_location in distribution.TABLES.items() if has_location]
    with engine.connect() as connection:
        assert list(connection.execute(UNFIT, {"spread": spread}).scalars()) == []


def test_small_tables_are_copied_in_one_step_without_their_foreign_keys() -> None:
    assert distribution.plan(FRESH)[0] == (
        "ALTER TABLE highlevel.settings DROP CONSTRAINT settings_fkey",
        "SELECT create_reference_table('highlevel.marts')",
        "SELECT create_reference_table('highlevel.message_types')",
        "SELECT create_reference_table('highlevel.settings')",
        "SELECT create_reference_table('highlevel.time_zones')",
        f"ALTER TABLE highlevel.settings ADD CONSTRAINT settings_fkey {KEY}",
    )


def test_messages_come_first_and_all_others_beside_them() -> None:
    statements = [step[-1] for step in distribution.plan(FRESH)[1:]]
    beside = "'location_id', colocate_with => 'highlevel.messages')"
    assert statements[0].endswith("('highlevel.messages', 'location_id', colocate_with => 'none')")
    assert statements[1] == f"SELECT create_distributed_table('highlevel.attachments', {beside}"
    assert len(statements) == sum(distribution.TABLES.values())


def test_no_table_gets_several_copies_of_a_shard() -> None:
    assert {step[0] for step in distribution.plan(FRESH)[1:]} == {"SET LOCAL citus.shard_replication_factor = 1"}


def test_what_is_right_already_is_left_alone() -> None:
    assert distribution.plan(DONE) == []


def test_a_table_that_a_migration_added_is_put_beside_the_others() -> None:
    (step,) = distribution.plan(with_table(DONE, Table("emails")))
    assert step[-1].endswith("'highlevel.emails', 'location_id', colocate_with => 'highlevel.messages')")


def test_a_table_that_a_migration_added_is_a_difference() -> None:
    cluster = with_table(DONE, Table("emails"))
    assert distribution.differences(cluster) == ["highlevel.emails is not distributed yet. Run: etl db distribute"]


@pytest.mark.parametrize("cluster", [None, FRESH, DONE])
def test_a_warehouse_that_is_not_spread_or_wholly_so_has_no_difference(cluster: Cluster | None) -> None:
    assert distribution.differences(cluster) == []


def test_a_table_distributed_by_another_column_is_refused_with_the_cure() -> None:
    said = refusal(with_table(FRESH, Table("emails", DISTRIBUTED, "email_id", 3)))
    assert said == (
        "highlevel.emails is distributed by email_id; it must be distributed by location_id. "
        "First: SELECT undistribute_table('highlevel.emails'); then: etl db distribute"
    )


def test_a_table_with_locations_that_is_copied_to_every_node_is_refused() -> None:
    assert "it must be distributed by location_id" in refusal(with_table(FRESH, Table("emails", REFERENCE)))


def test_a_small_table_that_is_distributed_is_refused() -> None:
    said = refusal(with_table(FRESH, Table("time_zones", DISTRIBUTED, "time_zone", 3)))
    assert said.startswith("highlevel.time_zones is distributed by time_zone; it must be a reference table.")


def test_a_table_distributed_apart_from_messages_is_refused_with_the_cure() -> None:
    said = refusal(with_table(DONE, Table("emails", DISTRIBUTED, "location_id", 4)))
    assert "alter_distributed_table('highlevel.emails', colocate_with => 'highlevel.messages')" in said


def test_every_problem_is_reported_at_once() -> None:
    cluster = replace(with_table(FRESH, Table("emails", DISTRIBUTED, "email_id", 3)), away=("worker1:5432",))
    assert len(refusal(cluster).splitlines()) == 2


def test_a_node_that_is_away_is_named_with_its_port() -> None:
    assert refusal(replace(FRESH, away=("worker2:5433",))).startswith(
        "The node worker2:5433 of Citus is away. Start it"
    )


def test_a_cluster_without_a_node_for_rows_is_refused() -> None:
    assert "citus_add_node" in refusal(replace(FRESH, nodes=()))


def test_a_worker_node_is_no_place_to_do_it_from() -> None:
    assert "Point it to the coordinator" in refusal(replace(FRESH, is_coordinator=False))


@pytest.mark.parametrize("version", ["10.2-5", "9.5-1"])
def test_an_older_citus_is_refused(version: str) -> None:
    with pytest.raises(ConfigurationError, match=r"must be 11\.0 or newer"):
        require_new_enough(version)


def outcome(done: CompletedProcess[str]) -> tuple[int, str]:
    assert "Traceback" not in done.stderr
    return done.returncode, done.stdout + done.stderr


@pytest.fixture
def plain_postgres() -> None:
    if servers.CITUS:
        pytest.skip("TEST_CITUS_URL names a real Citus")


@pytest.fixture
def citus(plain_postgres: None, engine: Engine) -> Engine:  # noqa: ARG001 - the stand-in needs a plain one
    """A migrated database with the stand-in."""
    with engine.begin() as connection:
        connection.exec_driver_sql(STAND_IN, execution_options={"no_parameters": True})
    return engine


def execute(engine: Engine, statement: str) -> None:
    with engine.begin() as connection:
        connection.exec_driver_sql(statement)


def cluster_of(engine: Engine) -> Cluster | None:
    with engine.connect() as connection:
        return distribution.read(connection)


@pytest.mark.usefixtures("plain_postgres")
def test_a_plain_postgres_has_nothing_to_distribute(etl: Command) -> None:
    code, printed = outcome(etl("db", "distribute"))
    assert (code, printed.startswith("Error: This Postgres has no Citus, so there is nothing")) == (2, True)


@pytest.mark.usefixtures("plain_postgres")
def test_a_plain_postgres_shows_nothing_of_nodes(etl: Command) -> None:
    assert "node" not in outcome(etl("status"))[1]


def test_distributing_puts_every_table_in_its_place_and_can_be_repeated(citus: Engine, etl: Command) -> None:
    first, second = outcome(etl("db", "distribute")), outcome(etl("db", "distribute"))
    assert (first[0], second) == (0, (0, "the warehouse is distributed, nothing to do\n"))
    found = cluster_of(citus)
    assert found is not None
    kinds = {table.name: (table.kind, table.column) for table in found.tables}
    assert kinds == {table.name: (table.kind, table.column) for table in DONE.tables}
    assert (len({table.group for table in found.tables if table.kind == DISTRIBUTED}), found.away) == (1, ())


def test_distributing_gives_the_views_the_form_that_citus_takes(citus: Engine, etl: Command) -> None:
    outermost = "SELECT pg_get_viewdef('highlevel.messages_flat'::regclass) ~ E'\\nUNION ALL\\n SELECT'"
    with citus.connect() as connection:
        assert connection.execute(text(outermost)).scalar_one() is False
    assert outcome(etl("db", "distribute"))[0] == 0
    with citus.connect() as connection:
        assert connection.execute(text(outermost)).scalar_one() is True
        assert schema.differences(connection) == []


def test_distributing_keeps_the_foreign_keys(citus: Engine, etl: Command) -> None:
    before = cluster_of(citus)
    outcome(etl("db", "distribute"))
    after = cluster_of(citus)
    assert before is not None
    assert after is not None
    assert (after.foreign_keys, len(before.foreign_keys)) == (before.foreign_keys, 1)


def test_a_dry_run_changes_nothing_and_prints_what_psql_takes(citus: Engine, etl: Command) -> None:
    before = cluster_of(citus)
    code, printed = outcome(etl("db", "distribute", "--dry-run"))
    assert (code, cluster_of(citus)) == (0, before)
    execute(citus, printed)
    assert outcome(etl("db", "distribute", "--dry-run")) == (0, "the warehouse is distributed, nothing to do\n")


def test_a_stopped_node_is_found(citus: Engine, etl: Command) -> None:
    execute(citus, "INSERT INTO stopped VALUES ('worker2')")
    code, printed = outcome(etl("db", "distribute"))
    assert (code, printed.startswith("Error: The node worker2:5432 of Citus is away.")) == (2, True)


def test_what_citus_refuses_is_reported_and_can_be_repeated(citus: Engine, etl: Command) -> None:
    execute(citus, "DROP FUNCTION create_reference_table")
    code, printed = outcome(etl("db", "distribute"))
    assert (code, "Error: Citus refuses: function create_reference_table" in printed) == (2, True)


def test_an_older_citus_is_reported_before_it_is_asked(citus: Engine, etl: Command) -> None:
    execute(
        citus,
        "SET LOCAL allow_system_table_mods = on; UPDATE pg_extension SET extversion = '10.2-4' "
        "WHERE extname = 'citus'; DROP FUNCTION citus_is_coordinator",
    )
    code, printed = outcome(etl("db", "distribute"))
    assert (code, "This is Citus 10.2-4. It must be 11.0 or newer" in printed) == (2, True)


@pytest.mark.usefixtures("citus")
def test_check_doctor_and_status_know_a_warehouse_that_is_spread(etl: Command) -> None:
    outcome(etl("db", "distribute"))
    assert outcome(etl("db", "check")) == (0, "models and schema agree\n")
    assert "ok    warehouse: 2 nodes hold its rows\n" in outcome(etl("doctor", "--offline"))[1]
    assert "# nodes\nnode\tmessages, about\nworker1:5432\t7\nworker2:5432\t7\n" in outcome(etl("status"))[1]


def test_check_and_doctor_and_upgrade_find_a_table_that_is_not_distributed_yet(citus: Engine, etl: Command) -> None:
    outcome(etl("db", "distribute"))
    execute(citus, "DELETE FROM pg_dist_partition WHERE logicalrelid = 'highlevel.emails'::regclass")
    said = "highlevel.emails is not distributed yet. Run: etl db distribute\n"
    assert outcome(etl("db", "check")) == (1, f"models and schema differ\n{said}")
    assert f"FAIL  warehouse: {said}" in outcome(etl("doctor", "--offline"))[1]
    assert said in outcome(etl("db", "upgrade"))[1]


def test_the_doctor_says_which_node_is_away(citus: Engine, etl: Command) -> None:
    outcome(etl("db", "distribute"))
    execute(citus, "INSERT INTO stopped VALUES ('worker1')")
    code, printed = outcome(etl("doctor", "--offline"))
    assert (code, "FAIL  warehouse: The node worker1:5432 of Citus is away." in printed) == (1, True)

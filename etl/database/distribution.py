"""The warehouse on Citus: which table of ``highlevel`` is where, and the statements that spread it by location.

Reads Citus's catalogues; decides with values alone. Only :func:`apply` changes anything. The schema ``etl`` stays on
the coordinator. Functions and columns are those of https://docs.citusdata.com/en/stable/develop/api_udf.html and
api_metadata.html there. docs/citus.md says what was tried.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from sqlalchemy import Connection, text
from sqlalchemy.exc import DBAPIError

from etl.database.failures import first_line, sqlstate_of
from etl.errors import ConfigurationError
from etl.models import Base

KEY = "location_id"
OLDEST = (11, 0)
"""Since then the open Citus passes on views, roles and grants, has citus_is_coordinator and
citus_check_cluster_node_health, and allows what needs the rows of one location in a lateral subquery."""

ANCHOR = "messages"
"""The table whose group all others join."""
TABLES = {table.name: KEY in table.columns for table in Base.metadata.sorted_tables if table.schema == "highlevel"}
"""The tables of ``highlevel``, and whether each is distributed; what is not is copied to every node."""

DISTRIBUTED, REFERENCE, LOCAL, OTHER = "distributed", "reference", "local", "other"


@dataclass(frozen=True, slots=True)
class Table:
    """How a table is distributed."""

    name: str
    kind: str = LOCAL
    column: str | None = None
    """The column by which it is distributed."""
    group: int = 0
    """Tables of one group have the same location on the same node."""


@dataclass(frozen=True, slots=True)
class ForeignKey:
    """A foreign key between two tables of ``highlevel``."""

    table: str
    name: str
    definition: str


@dataclass(frozen=True, slots=True)
class Cluster:
    """The state of the cluster, by the catalogues of Citus."""

    is_coordinator: bool
    nodes: tuple[str, ...]
    """``host:port`` of those that may hold rows."""
    away: tuple[str, ...]
    """Those of all nodes that cannot be reached, or were switched off."""
    tables: tuple[Table, ...]
    foreign_keys: tuple[ForeignKey, ...] = ()

    @property
    def is_distributed(self) -> bool:
        """Return whether the warehouse was spread, at least in part."""
        return any(table.kind in (DISTRIBUTED, REFERENCE) for table in self.tables)


Step = tuple[str, ...]
"""Statements of one transaction."""


def read(connection: Connection) -> Cluster | None:
    """Return what the catalogues say; None on a Postgres without Citus.

    Raises:
        ConfigurationError: this Citus is too old to be asked.
    """
    version = connection.execute(text("SELECT extversion FROM pg_extension WHERE extname = 'citus'")).scalar()
    if version is None:
        return None
    require_new_enough(version)
    is_coordinator = connection.execute(text("SELECT citus_is_coordinator()")).scalar_one()
    if not is_coordinator:
        return Cluster(is_coordinator=False, nodes=(), away=(), tables=())
    nodes = connection.execute(NODES).all()
    return Cluster(
        is_coordinator=True,
        nodes=tuple(each.node for each in nodes if each.has_rows and each.isactive),
        away=tuple(sorted({each.node for each in nodes if not each.isactive} | _unreachable(connection))),
        tables=tuple(
            Table(row.name, kind=row.kind, column=row.key, group=row.colocationid or 0)
            for row in connection.execute(STATE, {"names": list(TABLES)})
        ),
        foreign_keys=tuple(ForeignKey(*row) for row in connection.execute(FOREIGN_KEYS, {"names": list(TABLES)})),
    )


NODES = text("""
    SELECT nodename || ':' || nodeport AS node, isactive, shouldhaveshards AS has_rows
    FROM pg_dist_node WHERE noderole = 'primary' ORDER BY 1
""")

# partmethod h: by hash; n: whole. repmodel t: on every node. A group, but no column: a table of a distributed schema.
STATE = text(f"""
    SELECT c.relname AS name, p.colocationid,
           CASE WHEN p.partmethod = 'h' THEN column_to_column_name(p.logicalrelid, p.partkey) END AS key,
           CASE WHEN p.partmethod IS NULL OR (p.partmethod = 'n' AND p.colocationid = 0) THEN '{LOCAL}'
                WHEN p.partmethod = 'n' AND p.repmodel = 't' THEN '{REFERENCE}'
                WHEN p.partmethod = 'h' THEN '{DISTRIBUTED}' ELSE '{OTHER}' END AS kind
    FROM pg_class AS c LEFT JOIN pg_dist_partition AS p ON p.logicalrelid = c.oid
    WHERE c.relnamespace = 'highlevel'::regnamespace AND c.relname = ANY(:names) ORDER BY 1
""")  # noqa: S608 - our own words

FOREIGN_KEYS = text("""
    SELECT c.relname, k.conname, pg_get_constraintdef(k.oid)
    FROM pg_constraint AS k JOIN pg_class AS c ON c.oid = k.conrelid
    WHERE k.contype = 'f' AND c.relnamespace = 'highlevel'::regnamespace AND c.relname = ANY(:names) ORDER BY 1, 2
""")


def _unreachable(connection: Connection) -> set[str]:
    """Return the nodes that no other node reaches: each asks each, so one that is away has no good answer at all."""
    query = "SELECT to_nodename || ':' || to_nodeport FROM citus_check_cluster_node_health() GROUP BY 1 "
    return set(connection.execute(text(query + "HAVING bool_or(result) IS NOT TRUE")).scalars())


def require_new_enough(version: str) -> None:
    """Raise ConfigurationError where this Citus is too old to be asked."""
    found = tuple(int(part) for part in version.split("-", maxsplit=1)[0].split(".")[:2])
    if found < OLDEST:
        raise ConfigurationError(
            f"This is Citus {version}. It must be {OLDEST[0]}.{OLDEST[1]} or newer: older ones do not pass views and "
            "roles on to the nodes. Upgrade Citus, then: ALTER EXTENSION citus UPDATE"
        )


def plan(cluster: Cluster | None) -> list[Step]:
    """Return what is left to do; empty if nothing is.

    Raises:
        ConfigurationError: it cannot be done so; with all reasons and their cures.
    """
    if cluster is None:
        raise ConfigurationError(
            "This Postgres has no Citus, so there is nothing to distribute. For one server that is right. "
            "On Citus: CREATE EXTENSION citus"
        )
    if not cluster.is_coordinator:
        raise ConfigurationError("DATABASE_URL points to a worker node of Citus. Point it to the coordinator.")
    problems = _of_nodes(cluster) + _of_tables(cluster)
    if problems:
        raise ConfigurationError(*problems)
    local = [table.name for table in cluster.tables if table.kind == LOCAL]
    return [*_references(cluster, local), *_distributed(cluster, local)]


def _references(cluster: Cluster, local: Sequence[str]) -> Iterable[Step]:
    """Yield one step for all: a foreign key must not lead from a table that is copied to one that is not."""
    names = [name for name in local if not TABLES[name]]
    if names:
        keys = [key for key in cluster.foreign_keys if not TABLES[key.table]]
        yield (
            *(f"ALTER TABLE highlevel.{key.table} DROP CONSTRAINT {key.name}" for key in keys),
            *(f"SELECT create_reference_table('highlevel.{name}')" for name in names),
            *(f"ALTER TABLE highlevel.{key.table} ADD CONSTRAINT {key.name} {key.definition}" for key in keys),
        )


def _distributed(cluster: Cluster, local: Sequence[str]) -> Iterable[Step]:
    """Yield one step for each: writes to one table wait while its rows are copied."""
    names = sorted((name for name in local if TABLES[name]), key=lambda name: (name != ANCHOR, name))
    there = sorted(table.name for table in cluster.tables if table.kind == DISTRIBUTED)
    anchor = ANCHOR if ANCHOR in there or not there else there[0]
    for name in names:
        beside = "none" if name == anchor else f"highlevel.{anchor}"
        # With more copies of a shard, Citus refuses to lock rows.
        yield (
            "SET LOCAL citus.shard_replication_factor = 1",
            f"SELECT create_distributed_table('highlevel.{name}', '{KEY}', colocate_with => '{beside}')",
        )


def _of_nodes(cluster: Cluster) -> list[str]:
    if cluster.away:
        return [f"The node {node} of Citus is away. {AWAY}" for node in cluster.away]
    if not cluster.nodes:
        return ["Citus has no node that may hold rows. Add one: SELECT citus_add_node('host', 5432)"]
    return []


AWAY = "Start it, or take it out of the cluster. Who reaches whom: SELECT * FROM citus_check_cluster_node_health()"


def _of_tables(cluster: Cluster) -> list[str]:
    """Return what no statement of ours can fix, since somebody set it on purpose."""
    problems = []
    groups = {table.name: table.group for table in cluster.tables if table.kind == DISTRIBUTED}
    anchor = ANCHOR if ANCHOR in groups else min(groups, default=ANCHOR)
    for table in cluster.tables:
        wanted = DISTRIBUTED if TABLES[table.name] else REFERENCE
        by = f" by {table.column}" if table.column else ""
        undo = f"First: SELECT undistribute_table('highlevel.{table.name}'); then: etl db distribute"
        if table.kind not in (LOCAL, wanted) or (wanted == DISTRIBUTED and table.column not in (None, KEY)):
            how = f"distributed by {KEY}" if wanted == DISTRIBUTED else "a reference table"
            is_now = {DISTRIBUTED: f"distributed{by}", REFERENCE: "a reference table"}.get(
                table.kind, "in a schema's shard"
            )
            problems.append(f"highlevel.{table.name} is {is_now}; it must be {how}. {undo}")
        elif table.kind == DISTRIBUTED and table.group != groups[anchor]:
            problems.append(
                f"highlevel.{table.name} is distributed apart from highlevel.{anchor}. Put them together: "
                f"SELECT alter_distributed_table('highlevel.{table.name}', colocate_with => 'highlevel.{anchor}')"
            )
    return problems


def script(steps: Sequence[Step]) -> str:
    """Return the statements as psql takes them."""
    return "\n".join(f"{statement};" for step in steps for statement in ("BEGIN", *step, "COMMIT"))


def apply(connection: Connection, step: Step) -> None:
    """Do one step, and commit it.

    Raises:
        ConfigurationError: Citus refuses, in its own words; nothing of the step is done.
    """
    try:
        for statement in step:
            connection.exec_driver_sql(statement, execution_options={"no_parameters": True})
        connection.commit()
    except DBAPIError as error:
        connection.rollback()
        if sqlstate_of(error) is None:
            raise
        raise ConfigurationError(
            f"Citus refuses: {first_line(error)}. The statement was: {statement}. What was done before stays; "
            "repeat etl db distribute when that is fixed."
        ) from error


def differences(cluster: Cluster | None) -> list[str]:
    """Return the faults of a distributed warehouse, one line each; empty where nothing is distributed."""
    if cluster is None or not cluster.is_coordinator or not cluster.is_distributed:
        return []
    local = [table.name for table in cluster.tables if table.kind == LOCAL]
    return [f"highlevel.{name} is not distributed yet. Run: etl db distribute" for name in local] + _of_tables(cluster)


def rows_by_node(connection: Connection) -> dict[str, int]:
    """Return about how many messages each node has, by its statistics; empty where nothing was spread."""
    is_citus = connection.execute(text("SELECT to_regclass('pg_dist_partition')")).scalar() is not None
    if not is_citus or connection.execute(IS_SPREAD).scalar() is None:
        return {}
    command = "SELECT greatest(reltuples, 0)::bigint FROM pg_class WHERE oid = '%s'::regclass"
    query = text("""
        SELECT nodename || ':' || nodeport AS node, sum(result::bigint)::bigint AS rows
        FROM run_command_on_placements('highlevel.messages', :command) WHERE success GROUP BY 1 ORDER BY 1
    """)
    return {row.node: row.rows for row in connection.execute(query, {"command": command})}


IS_SPREAD = text("SELECT partmethod FROM pg_dist_partition WHERE logicalrelid = to_regclass('highlevel.messages')")

"""The rights of roles, tried by logging in with them."""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from sqlalchemy import Connection, Engine, text

from etl.database import roles, schema
from etl.database.connections import open_engine
from etl.database.narrowed import Narrowing
from etl.errors import ConfigurationError
from tests import servers
from tests.command import Command
from tests.job import Job
from tests.login_role import Login, login_role
from tests.privacy.filling import fill

GRANTS: dict[str, Callable[[Connection, str], bool]] = {
    "reader": roles.grant_reader,
    "transformer": roles.grant_transformer,
    "worker": roles.grant_worker,
    "receiver": roles.grant_receiver,
}


def _login(engine: Engine, role: str) -> Iterator[Login]:
    with login_role(engine, GRANTS[role]) as (name, url):
        login = Login(name, url)
        yield login
        login.close()


@pytest.fixture
def reader(engine: Engine) -> Iterator[Login]:
    yield from _login(engine, "reader")


@pytest.fixture
def transformer(engine: Engine) -> Iterator[Login]:
    yield from _login(engine, "transformer")


@pytest.fixture
def worker(engine: Engine) -> Iterator[Login]:
    yield from _login(engine, "worker")


@pytest.fixture
def receiver(engine: Engine) -> Iterator[Login]:
    yield from _login(engine, "receiver")


READER = {
    "SELECT * FROM highlevel.messages, highlevel.message_types": True,
    "SELECT * FROM messages": True,
    "UPDATE highlevel.messages SET body = ''": False,
    "SET default_transaction_read_only = off; DELETE FROM highlevel.messages": False,
    "SELECT name FROM etl.locations": False,
    "SELECT count(*) FROM etl.message_queue": False,
    "SELECT etl.enqueue('M1')": False,
    "CREATE TABLE highlevel.mine ()": False,
    "SET default_transaction_read_only = off; COMMIT; CREATE TABLE public.mine ()": False,
    "SET default_transaction_read_only = off; COMMIT; CREATE TEMPORARY TABLE mine ()": False,
    "SET default_transaction_read_only = off; COMMIT; SELECT lo_create(0)": False,
    "SET default_transaction_read_only = off; COMMIT; SELECT lo_creat(0)": False,
    "SET default_transaction_read_only = off; COMMIT; SELECT lo_from_bytea(0, 'x')": False,
    "SET temp_file_limit = -1": False,
}
TRANSFORMER = {
    "SELECT * FROM highlevel.messages_flat": True,
    "CREATE TEMPORARY TABLE mine AS SELECT * FROM highlevel.messages; CREATE TABLE {own}.mine AS SELECT * FROM mine; "
    "CREATE VIEW {own}.flat AS SELECT * FROM messages_flat; DROP TABLE {own}.mine": True,
    "GRANT USAGE ON SCHEMA {own} TO pg_monitor": True,
    "UPDATE highlevel.messages SET body = ''": False,
    "INSERT INTO highlevel.locations (location_id, fetched_at) VALUES ('L', now())": False,
    "DELETE FROM highlevel.messages": False,
    "CREATE TABLE highlevel.mine ()": False,
    "CREATE TABLE public.mine ()": False,
    "CREATE SCHEMA mine": False,
    "ALTER SCHEMA {own} RENAME TO mine": False,
    "CREATE TABLE {own}.mine (message_id text REFERENCES highlevel.message_types)": False,
    "CREATE RULE mine AS ON INSERT TO highlevel.messages DO NOTHING": False,
    "SELECT lo_create(0)": False,
    "SELECT * FROM etl.alembic_version": False,
    "SELECT name FROM etl.locations": False,
    "SELECT etl.enqueue('M1')": False,
    "SET temp_file_limit = -1": False,
}
WORKER = {
    "SELECT access_token FROM etl.locations": True,
    "UPDATE highlevel.messages SET deleted_at = now()": True,
    "DELETE FROM highlevel.attachments": True,
    "DELETE FROM highlevel.messages": False,
    "DELETE FROM highlevel.contacts": False,
    "TRUNCATE highlevel.attachments": False,
    "CREATE TABLE highlevel.mine ()": False,
    "CREATE TABLE etl.mine ()": False,
    "ALTER TABLE highlevel.messages ADD COLUMN mine text": False,
    "DROP TABLE highlevel.meta": False,
    "UPDATE etl.alembic_version SET version_num = '0001'": False,
    "SELECT body FROM etl.webhook_events": False,
    "DELETE FROM etl.forgotten": False,
    "INSERT INTO etl.forgotten (contact_id, location_id) VALUES ('C', 'L')": False,
    "DELETE FROM etl.runs": False,
}
RECEIVER = {
    "INSERT INTO etl.message_queue (message_id) VALUES ('M1')": True,
    "SELECT etl.enqueue('M1')": True,
    "SELECT webhook_id FROM etl.webhook_events": True,
    "SELECT body FROM etl.webhook_events": False,
    "UPDATE etl.webhook_events SET body = ''": False,
    "DELETE FROM etl.webhook_events": False,
    "DELETE FROM etl.message_queue": False,
    "SELECT access_token FROM etl.locations": False,
    "SELECT refresh_token FROM etl.companies": False,
    "SELECT * FROM etl.locations": False,
    "UPDATE etl.locations SET access_token = 'mine', token_source = 'private'": False,
    "INSERT INTO etl.locations (location_id, access_token, token_source) VALUES ('L', 'mine', 'private')": False,
    "DELETE FROM etl.locations": False,
    "SELECT payload FROM etl.dead_letters": False,
    "SELECT * FROM etl.runs": False,
    "SELECT * FROM highlevel.messages": False,
    "CREATE TABLE etl.mine ()": False,
}


def test_a_reader_may_do_this_and_not_that(reader: Login) -> None:
    assert {statement: not reader.is_refused(statement) for statement in READER} == READER


def test_a_transformer_may_do_this_and_not_that(transformer: Login) -> None:
    assert {each: not transformer.is_refused(each.format(own=transformer.name)) for each in TRANSFORMER} == TRANSFORMER


def test_a_worker_may_do_this_and_not_that(worker: Login) -> None:
    assert {statement: not worker.is_refused(statement) for statement in WORKER} == WORKER


def test_a_receiver_may_do_this_and_not_that(receiver: Login) -> None:
    assert {statement: not receiver.is_refused(statement) for statement in RECEIVER} == RECEIVER


@pytest.mark.parametrize("command", [("dbt-sources",), ("db", "describe"), ("report", "--out", "page.html")])
def test_an_analyst_needs_no_more_than_the_role_of_a_reader(
    job: Job, etl: Command, reader: Login, command: tuple[str, ...]
) -> None:
    fill(job, "ZOE")
    job.execute("INSERT INTO etl.mart_changes (location_id) SELECT DISTINCT location_id FROM highlevel.messages")
    etl("run", "marts")
    done = etl(*command, DATABASE_URL=reader.url)
    assert done.returncode == 0, done.stderr


def test_a_run_works_under_the_role_of_a_worker(job: Job, etl: Command, worker: Login) -> None:
    job.enqueue(*job.ids[:30], "unknown-id")
    job.enqueue(*job.ids[:30])
    kinds = ("email", "transcription", "contact", "user", "location")
    others = "".join(f"  {kind}s:\n    kind: {kind}\n" for kind in kinds)
    (etl.directory / "jobs.yaml").write_text(f"jobs:\n  messages:\n    max_attempts: 1\n{others}")
    done = etl("run", DATABASE_URL=worker.url)
    assert (1, 30, 1) == (
        done.returncode,
        job.value("SELECT count(*) FROM highlevel.messages"),
        job.value("SELECT count(*) FROM etl.dead_letters"),
    ), done.stderr
    assert job.value("SELECT count(*) FROM highlevel.contacts") > 0


def test_files_that_a_message_lost_are_deleted_under_the_role_of_a_worker(
    job: Job, etl: Command, worker: Login
) -> None:
    job.enqueue(job.ids[0])
    etl("run")
    job.execute(
        "INSERT INTO highlevel.attachments (location_id, message_id, position, url) "
        "SELECT location_id, message_id, 99, 'https://example.org/old' FROM highlevel.messages"
    )
    job.enqueue(job.ids[0])
    assert etl("run", DATABASE_URL=worker.url).returncode == 0
    assert job.value("SELECT count(*) FROM highlevel.attachments WHERE position = 99") == 0


def test_a_worker_cannot_migrate_and_gets_an_error(etl: Command, job: Job, worker: Login) -> None:
    job.execute("UPDATE etl.alembic_version SET version_num = '0005'")
    done = etl("db", "upgrade", DATABASE_URL=worker.url)
    assert (2, "Traceback" in done.stderr) == (done.returncode, False)


@pytest.mark.parametrize("role", GRANTS)
def test_a_role_gets_timeouts(engine: Engine, role: str) -> None:
    for login in _login(engine, role):
        shown = [login.shows(f"{name}_timeout") for name in ("statement", "lock", "idle_in_transaction_session")]
        assert "0" not in shown


def test_programs_of_ours_need_not_set_their_sessions_anew_behind_a_pooler(worker: Login, receiver: Login) -> None:
    shown = [[login.shows("search_path"), login.shows("timezone")] for login in (worker, receiver)]
    assert shown == [["pg_catalog, pg_temp", "UTC"]] * 2


@pytest.mark.parametrize("role", GRANTS)
def test_granting_again_changes_nothing(engine: Engine, role: str) -> None:
    for login in _login(engine, role):
        before = rights(engine, login.name)
        with engine.begin() as connection:
            assert GRANTS[role](connection, login.name) is False
        assert rights(engine, login.name) == before


def rights(engine: Engine, role: str) -> list[str]:
    query = text("""
        SELECT concat_ws(' ', table_schema, table_name, column_name, privilege_type)
        FROM information_schema.column_privileges WHERE grantee = :role
        UNION ALL SELECT concat_ws(' ', table_schema, table_name, privilege_type)
        FROM information_schema.table_privileges WHERE grantee = :role
        UNION ALL SELECT array_to_string(setconfig, ' ') FROM pg_db_role_setting AS s
        JOIN pg_roles AS r ON r.oid = s.setrole WHERE rolname = :role
        UNION ALL SELECT defaclacl::text FROM pg_default_acl WHERE defaclacl::text LIKE '%' || :role || '%'
        ORDER BY 1
    """)
    with engine.connect() as connection:
        return list(connection.execute(query, {"role": role}).scalars())


def test_a_role_that_becomes_another_one_keeps_nothing_of_the_first(engine: Engine, worker: Login) -> None:
    with engine.begin() as connection:
        roles.grant_receiver(connection, worker.name)
    with login_role(engine, roles.grant_receiver) as (other, _):
        assert rights(engine, worker.name) == [line.replace(other, worker.name) for line in rights(engine, other)]


def test_a_table_of_a_later_migration_is_for_readers_alone_until_a_role_is_granted_again(engine: Engine) -> None:
    with engine.connect() as connection:
        for role, grant in GRANTS.items():
            grant(connection, f'test "{role}')
        connection.execute(text("CREATE TABLE highlevel.later (); CREATE TABLE etl.later ()"))

        def may(role: str, schema: str) -> bool:
            query = text(f"SELECT has_table_privilege(:role, '{schema}.later', 'SELECT')")
            return bool(connection.execute(query, {"role": f'test "{role}'}).scalar_one())

        before = [(role, schema) for role in GRANTS for schema in ("highlevel", "etl") if may(role, schema)]
        assert before == [("reader", "highlevel"), ("transformer", "highlevel")]
        roles.grant_worker(connection, 'test "worker')
        assert (may("worker", "highlevel"), may("worker", "etl")) == (True, True)
        connection.rollback()


def may_create(engine: Engine, role: str, schema: str) -> bool:
    with engine.connect() as connection:
        query = text("SELECT has_schema_privilege(:role, :schema, 'CREATE')")
        return bool(connection.execute(query, {"role": role, "schema": schema}).scalar_one())


def test_whom_a_transformer_let_in_stays_when_it_is_granted_again(engine: Engine, transformer: Login) -> None:
    page = Path("docs/analysts.md").read_text(encoding="utf-8")
    documented = page.partition("```psql\n")[2].partition("```")[0]
    with login_role(engine, roles.grant_reader) as (analyst, url), engine.connect() as connection:
        connection.execute(text(f"SET ROLE {transformer.name}"))
        connection.execute(text(documented.replace("analyst;", f"{analyst};").replace("analytics", transformer.name)))
        connection.execute(text(f"CREATE TABLE {transformer.name}.built (); RESET ROLE"))
        # On Citus, one transaction may not change what it changed as another role.
        connection.commit()
        roles.grant_transformer(connection, transformer.name)
        connection.commit()
        guest = Login(analyst, url)
        refused = [guest.is_refused(f"{each} {transformer.name}.built") for each in ("SELECT FROM", "DELETE FROM")]
        guest.close()
        connection.execute(text(f"DROP OWNED BY {transformer.name}"))
        connection.commit()
    assert refused == [False, True]


@pytest.mark.parametrize("becomes", ["reader", "transformer of another schema"])
def test_a_transformer_that_becomes_something_else_cannot_write_its_schema(
    engine: Engine, transformer: Login, becomes: str
) -> None:
    with engine.begin() as connection:
        if becomes == "reader":
            roles.grant_reader(connection, transformer.name)
        else:
            roles.grant_transformer(connection, transformer.name, schema="test: another's")
    temporary = "SET default_transaction_read_only = off; COMMIT; CREATE TEMPORARY TABLE mine ()"
    assert (
        may_create(engine, transformer.name, transformer.name),
        may_create(engine, transformer.name, "test: another's") if becomes != "reader" else None,
        transformer.is_refused(temporary),
    ) == ((False, None, True) if becomes == "reader" else (False, True, False))


def test_a_schema_of_the_roles_own_making_is_taken(engine: Engine, etl: Command) -> None:
    def make(connection: Connection, name: str) -> bool:
        connection.execute(text(f"CREATE ROLE {name} LOGIN; CREATE SCHEMA {name} AUTHORIZATION {name}"))
        return True

    with login_role(engine, make) as (name, _):
        done = etl("db", "grant-transformer", name)
        assert (0, True) == (done.returncode, may_create(engine, name, name)), done.stderr


@pytest.mark.parametrize(
    "schema", ["highlevel", "etl", "public", "pg_catalog", "pg_mine", "of_another", "with_a_table"]
)
def test_a_schema_that_belongs_to_another_is_refused(etl: Command, engine: Engine, worker: Login, schema: str) -> None:
    with engine.begin() as connection:
        connection.execute(text(f"CREATE SCHEMA of_another AUTHORIZATION {worker.name}"))
        connection.execute(text("CREATE SCHEMA with_a_table CREATE TABLE ours ()"))
    done = etl("db", "grant-transformer", "test_nobody", "--schema", schema)
    assert (2, True, False) == (done.returncode, "--schema" in done.stderr, "Traceback" in done.stderr), done.stderr
    with engine.connect() as connection:
        assert connection.execute(text("SELECT to_regrole('test_nobody')")).scalar_one() is None


def test_an_upgrade_names_the_roles_that_have_to_be_granted_again(etl: Command, engine: Engine, worker: Login) -> None:
    with engine.connect() as connection:
        schema.downgrade(connection, "-1")
    told = etl("db", "upgrade").stderr
    assert ("Grant these roles again" in told, worker.name in told) == (True, True), told


def test_what_everybody_may_is_left_to_others_in_a_database_that_is_not_ours_alone(
    etl: Command, engine: Engine
) -> None:
    with engine.begin() as connection:
        connection.execute(text("CREATE TABLE public.of_somebody_else ()"))
    with login_role(engine, roles.grant_reader) as (name, _):
        told = etl("db", "grant-reader", name)
        cures = ["REVOKE TEMPORARY ON DATABASE", "REVOKE EXECUTE ON FUNCTION lo_create(oid)", "temp_file_limit"]
        assert (told.returncode, [cure in told.stderr for cure in cures]) == (0, [True, True, False]), told.stderr


def test_tables_of_an_extension_leave_a_database_ours_alone(engine: Engine) -> None:
    with engine.begin() as connection:
        connection.execute(text("CREATE TABLE public.of_an_extension (id integer PRIMARY KEY)"))
        connection.execute(text("ALTER EXTENSION plpgsql ADD TABLE public.of_an_extension"))
    with login_role(engine, roles.grant_reader) as (name, _), engine.connect() as connection:
        assert roles.left_open(connection, name) == {}


def test_the_doctor_tells_who_may_define_what_others_run_unawares(etl: Command, engine: Engine, reader: Login) -> None:
    before = etl("doctor", "--offline")
    with engine.begin() as connection:
        connection.execute(text(f"GRANT CREATE ON SCHEMA public TO PUBLIC, {reader.name}"))
    told = etl("doctor", "--offline")
    cure = f"REVOKE CREATE ON SCHEMA public FROM PUBLIC, {reader.name}"
    assert (before.returncode, told.returncode) == (0, 0), told.stdout
    said = ["".join(done.stdout.split()) for done in (before, told)]
    assert ["nobodyelsemaycreateinit" in said[0], cure.replace(" ", "") in said[1]] == [True, True], told.stdout


def make_owner(connection: Connection, name: str) -> bool:
    """Somebody who makes the tables and is no superuser, as providers of Postgres have it."""
    connection.execute(text(f"CREATE ROLE {name} LOGIN CREATEROLE"))
    connection.execute(text(f"GRANT CREATE ON DATABASE {connection.engine.url.database} TO {name}"))
    return True


def test_an_owner_who_may_not_end_the_rights_of_everybody_grants_and_gets_the_statements(
    empty_database_url: str,
) -> None:
    superuser = open_engine(empty_database_url)
    with login_role(superuser, make_owner) as (_, url):
        owner = open_engine(url)
        with owner.connect() as connection:
            schema.upgrade(connection)
            for schema_of in ("test_mine", "test_other"):  # twice: as new, and as it is there
                roles.grant_transformer(connection, "test_dbt", schema=schema_of)
                if not servers.CITUS:
                    roles.grant_narrowed_reader(connection, Narrowing("test_clinic", locations=("LOC1",)))
            roles.grant_reader(connection, "test_analyst")
            left = roles.left_open(connection, "test_analyst")
            connection.rollback()
        owner.dispose()
    superuser.dispose()
    assert [what for what in roles.OPEN if what in left] == [
        "make temporary tables of any size",
        "make large objects",
        "fill the disk with what its queries sort",
    ]


@pytest.mark.parametrize("role", GRANTS)
def test_a_role_that_has_more_to_do_is_never_narrowed(engine: Engine, role: str) -> None:
    with engine.connect() as connection, pytest.raises(ConfigurationError, match="Name another role"):
        GRANTS[role](connection, connection.execute(text("SELECT current_user")).scalar_one())


@pytest.mark.parametrize("role", GRANTS)
def test_the_error_of_a_role_that_may_not_grant_names_the_cure(worker: Login, role: str) -> None:
    engine = open_engine(worker.url)
    with engine.connect() as connection, pytest.raises(ConfigurationError, match="with CREATEROLE"):
        GRANTS[role](connection, "test_of_a_worker")
    engine.dispose()


@pytest.mark.parametrize("role", GRANTS)
def test_the_command_says_what_the_role_may(etl: Command, engine: Engine, role: str) -> None:
    with login_role(engine, GRANTS[role]) as (name, _):
        done = etl("db", f"grant-{role}", name)
        assert (0, f"{name} may ") == (done.returncode, done.stdout[: len(name) + 5])

"""The receiver under the role that etl db grant-receiver makes."""

from collections.abc import Iterator

import pytest
from sqlalchemy import Engine

from etl.database import roles, schema
from tests.job import Job
from tests.login_role import login_role
from tests.receive.receiver import Launch, Receiver, Warehouse
from tests.waiting import await_


@pytest.fixture
def granted(job: Job, database_url: str, launch: Launch) -> Iterator[Receiver]:
    """A receiver with no other rights, of the app APP1, on a database with an old event."""
    job.execute(
        "INSERT INTO etl.webhook_events (webhook_id, received_at, type, location_id, outcome, body) "
        "VALUES ('old', now() - interval '1 year', '', '', 'ignored', '{}')"
    )
    warehouse = Warehouse(database_url)
    with (
        login_role(warehouse.engine, roles.grant_receiver) as (_, url),
        launch(url, WEBHOOK_APP_ID="APP1") as receiver,
    ):
        yield receiver
        receiver.stop()
    warehouse.engine.dispose()


def test_it_stores_events_and_queues_their_items(job: Job, granted: Receiver) -> None:
    event = {"type": "InboundMessage", "appId": "APP1", "locationId": "LOC1", "messageId": "M1", "conversationId": "C1"}
    others = (
        {"webhookId": "first"},
        {"webhookId": "first"},
        {"webhookId": "first", "body": "x"},
        {"webhookId": "more"},
    )
    assert [granted.say(**(event | other)) for other in others] == [200] * 4
    assert job.rows("SELECT kind, message_id FROM etl.message_queue") == [("message", "M1")]
    assert job.value("SELECT count(*) FROM etl.webhook_events WHERE webhook_id <> 'old'") == 3


def test_it_asks_which_locations_are_known_and_what_was_erased(job: Job, granted: Receiver) -> None:
    assert (
        granted.say(type="InboundMessage", locationId="LOC9", messageId="M9", contactId="C9", webhookId="foreign")
        == 200
    )
    assert job.rows("SELECT outcome FROM etl.webhook_events WHERE webhook_id = 'foreign'") == [("ignored",)]


def test_it_notes_where_the_app_is_installed_and_removed(job: Job, granted: Receiver) -> None:
    for name, place in (("a", {"locationId": "LOC1", "companyId": "CO1"}), ("b", {"companyId": "CO1"})):
        for number, type_ in enumerate(("INSTALL", "UNINSTALL", "INSTALL", "UNINSTALL")):
            assert granted.say(type=type_, webhookId=f"{name}{number}", appId="APP1", **place) == 200
    assert job.rows("SELECT location_id, retired_at IS NULL FROM etl.locations") == [("LOC1", False)]
    assert job.rows("SELECT company_id, retired_at IS NULL FROM etl.companies") == [("CO1", False)]


def test_it_is_ready_and_leaves_old_events_to_prune(job: Job, granted: Receiver) -> None:
    assert granted.get("/readyz").status_code == 200
    await_(lambda: "events_not_purged_here" in granted.log)
    assert job.value("SELECT count(*) FROM etl.webhook_events WHERE webhook_id = 'old'") == 1


def test_a_role_that_was_made_before_an_upgrade_goes_on(engine: Engine, job: Job, launch: Launch) -> None:
    with login_role(engine, roles.grant_receiver) as (_, url):
        with engine.connect() as connection:
            schema.downgrade(connection, "0017")
            schema.upgrade(connection)
        place = {"appId": "APP1", "locationId": "LOC1", "webhookId": "same"}
        with launch(url, WEBHOOK_APP_ID="APP1") as receiver:
            said = [receiver.say(type=type_, **place) for type_ in ("INSTALL", "UNINSTALL", "INSTALL")]
            receiver.stop()
    assert said == [200, 200, 200]
    assert job.rows("SELECT location_id, retired_at IS NULL FROM etl.locations") == [("LOC1", False)]

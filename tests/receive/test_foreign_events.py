"""Events of somebody else's locations, which HighLevel signs as it signs ours."""

from etl.sandbox.server import RunningSandbox
from tests.command import Command
from tests.job import Job
from tests.receive.receiver import Launch


def test_what_an_event_of_another_location_names_is_not_fetched_with_our_token(
    job: Job, etl: Command, launch: Launch, database_url: str, sandbox: RunningSandbox
) -> None:
    with launch(database_url) as receiver:
        assert 200 == receiver.say(type="InboundMessage", locationId="LOC9", messageId=job.ids[0])
    done = etl("run", HIGHLEVEL_LOCATION_ID="")
    assert (3, 0) == (done.returncode, sandbox.stats()["requests"])
    assert "LOC9: no token serves it" in done.stderr
    assert [("message", job.ids[0])] == job.queued()


def test_an_event_of_another_location_does_not_move_an_item_of_ours(
    job: Job, etl: Command, launch: Launch, database_url: str
) -> None:
    job.enqueue(job.ids[0], location_id=job.location_id)
    job.enqueue(job.ids[1])
    with launch(database_url) as receiver:
        for message_id in job.ids[:2]:
            assert 200 == receiver.say(type="InboundMessage", locationId="LOC9", messageId=message_id)
    etl("run")
    loaded = job.rows("SELECT location_id, message_id FROM highlevel.messages ORDER BY message_id")
    assert sorted((job.location_id, each) for each in job.ids[:2]) == loaded
    assert [("message", each) for each in sorted(job.ids[:2])] == job.queued("message")

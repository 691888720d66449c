import json
from datetime import datetime
from typing import Any

import pytest

from etl.sandbox.app import SandboxApp
from etl.sandbox.config import SandboxConfig
from etl.sandbox.dataset import Dataset
from etl.sandbox.endpoints import export
from etl.sandbox.messages import MESSAGE_TYPES
from etl.sandbox.replies import RefusedError
from etl.sandbox.server import RunningSandbox

DATA = Dataset()
PLACE = DATA.location_ids[0]
MINE = {known: DATA.messages[known] for known in DATA.ids(PLACE)}
EMAILS = {known for known, each in MINE.items() if MESSAGE_TYPES[each["messageType"]][1] == "email"}


def talked(conversation_id: str) -> list[str]:
    """The messages of a conversation, oldest first."""
    ids: list[str] = DATA.things[conversation_id].content["messageIds"]
    return ids


TALK = next(talk for talk in DATA.ids_of("conversation", PLACE) if len(talked(talk)) == 20)
EXPORT = "/conversations/messages/export"


def page(sandbox: RunningSandbox, **query: Any) -> dict[str, Any]:
    asked: dict[str, Any] = {"locationId": PLACE, "limit": 500}
    response = sandbox.ask(EXPORT, **asked | query)
    assert 200 == response.status_code, response.text
    return dict(response.json())


def walk(sandbox: RunningSandbox, **query: Any) -> list[str]:
    """The ids of all pages."""
    pages = [page(sandbox, **query)]
    while (cursor := pages[-1]["nextCursor"]) is not None:
        pages.append(page(sandbox, **query | {"cursor": cursor}))
    return [row["id"] for each in pages for row in each["messages"]]


def ids(sandbox: RunningSandbox, **query: Any) -> list[str]:
    return [row["id"] for row in page(sandbox, **query)["messages"]]


def refusal(sandbox: RunningSandbox, path: str = EXPORT, **query: Any) -> tuple[int, Any]:
    asked: dict[str, Any] = {"locationId": PLACE}
    response = sandbox.ask(path, **asked | query)
    return response.status_code, response.json()["message"]


def talk(sandbox: RunningSandbox, **query: Any) -> dict[str, Any]:
    return dict(sandbox.ask(f"/conversations/{TALK}/messages", **query).json()["messages"])


def test_an_export_without_channel_has_everything_but_emails(sandbox: RunningSandbox) -> None:
    assert set(MINE) - EMAILS == set(ids(sandbox))


def test_emails_are_exported_alone(sandbox: RunningSandbox) -> None:
    assert set(ids(sandbox, channel="Email")) == EMAILS


def test_a_row_is_what_the_message_is(sandbox: RunningSandbox) -> None:
    rows = page(sandbox, limit=10)["messages"]
    answers = [sandbox.get(row["id"]).json() for row in rows]
    assert [answer.get("message", answer) for answer in answers] == rows


def test_an_export_is_flat_with_total_and_cursor(sandbox: RunningSandbox) -> None:
    found = page(sandbox, limit=10)
    assert ({"messages", "nextCursor", "total", "traceId"}, 10, len(MINE) - len(EMAILS)) == (
        set(found),
        len(found["messages"]),
        found["total"],
    )


def test_pages_have_every_row_once(sandbox: RunningSandbox) -> None:
    rows = walk(sandbox, limit=50)
    assert sorted(set(MINE) - EMAILS) == sorted(rows)


def test_the_newest_come_first_unless_asked_otherwise(sandbox: RunningSandbox) -> None:
    assert ids(sandbox) == ids(sandbox, sortOrder="asc")[::-1]


def test_a_window_has_its_beginning_and_not_its_end(sandbox: RunningSandbox) -> None:
    moments = sorted(MINE[known]["dateAdded"] for known in set(MINE) - EMAILS)
    start, end = moments[50], moments[60]
    found = [MINE[known]["dateAdded"] for known in ids(sandbox, startDate=start, endDate=end, sortOrder="asc")]
    assert moments[50:60] == found


def test_a_window_can_be_given_in_milliseconds(sandbox: RunningSandbox) -> None:
    moment = sorted(MINE[known]["dateAdded"] for known in MINE)[100]
    milliseconds = round(datetime.fromisoformat(moment).timestamp() * 1000)
    assert ids(sandbox, startDate=moment) == ids(sandbox, startDate=milliseconds)


@pytest.mark.parametrize(
    ("query", "text"),
    [
        ({"limit": 9}, "limit: Input should be greater than or equal to 10"),
        ({"limit": 501}, "limit: Input should be less than or equal to 500"),
        ({"sortBy": "updatedAt"}, "sortBy: Input should be 'createdAt'"),
        ({"contactId": "x"}, "contactId: Extra inputs are not permitted"),
        ({"startDate": "yesterday"}, "startDate: Input should be a valid datetime or date, input is too short"),
    ],
)
def test_what_makes_no_sense_is_refused_with_a_list(sandbox: RunningSandbox, query: dict[str, Any], text: str) -> None:
    assert (422, [text]) == refusal(sandbox, **query)


def test_another_location_cannot_be_exported(sandbox: RunningSandbox) -> None:
    expected = (403, "The token does not have access to this location.")
    assert expected == refusal(sandbox, locationId=DATA.location_ids[1])


def test_a_location_that_is_nobodys_cannot_be_exported(sandbox: RunningSandbox) -> None:
    assert 403 == refusal(sandbox, locationId="nobody")[0]


def test_a_deleted_message_is_not_exported(sandbox: RunningSandbox) -> None:
    gone = ids(sandbox)[0]
    sandbox.delete(gone)
    assert gone not in ids(sandbox)


def test_a_changed_message_is_exported_as_it_is_now(sandbox: RunningSandbox) -> None:
    known = ids(sandbox)[-1]
    sandbox.change(known, status="read", dateAdded="2027-01-01T00:00:00.000Z")
    (row,) = page(sandbox)["messages"][:1]
    assert (known, "read") == (row["id"], row["status"])


def test_a_page_can_be_asked_for_again(sandbox: RunningSandbox) -> None:
    cursor = page(sandbox, limit=10)["nextCursor"]
    assert ids(sandbox, cursor=cursor) == ids(sandbox, cursor=cursor)


def test_cursors_can_be_made_to_die(sandbox: RunningSandbox) -> None:
    cursor = page(sandbox, limit=10)["nextCursor"]
    sandbox.expire_cursors()
    assert (400, "cursor expired") == refusal(sandbox, cursor=cursor)


def test_a_cursor_lives_two_minutes_after_the_last_request() -> None:
    now = 1_800_000_000.0
    world = SandboxApp(SandboxConfig(), clock=lambda: now).world
    query = {"locationId": PLACE, "limit": "10"}

    def ask(**more: str) -> dict[str, Any]:
        return dict(json.loads(export(world, world.things[PLACE], query | more, "").body))

    cursor = ask()["nextCursor"]
    for seconds in (119, 119):
        now += seconds
        assert ask(cursor=cursor)["messages"]
    now += 120
    with pytest.raises(RefusedError, match="cursor expired"):
        ask(cursor=cursor)


def test_a_cursor_that_is_a_place_counts_in_what_is_asked_for_now(sandbox: RunningSandbox) -> None:
    asked = {"sortOrder": "asc", "limit": 50}
    first, second = page(sandbox, **asked), walk(sandbox, **asked)[50:100]
    assert ids(sandbox, **asked, cursor=first["nextCursor"]) == second
    later = MINE[second[0]]["dateAdded"]
    assert ids(sandbox, **asked, cursor=first["nextCursor"], startDate=later)[0] not in second


def test_a_cursor_that_is_a_key_belongs_to_one_query_and_pages_have_a_hundred_rows_at_most() -> None:
    with RunningSandbox(SandboxConfig(cursors="key", limit=None, daily=None)) as sandbox:
        found = page(sandbox)
        assert (100, len(MINE) - len(EMAILS)) == (len(found["messages"]), found["total"])
        assert sorted(set(MINE) - EMAILS) == sorted(walk(sandbox))
        for other in ({"limit": 400}, {"sortOrder": "asc"}, {"startDate": 1_800_000_000_000}, {"channel": "Email"}):
            query = {"limit": 500, "cursor": found["nextCursor"]} | other
            assert (400, "the cursor is of another query") == refusal(sandbox, **query)


def test_a_page_can_make_the_next_skip_a_row(sandbox: RunningSandbox) -> None:
    whole = walk(sandbox, limit=50)
    sandbox.faults(ids={f"export/{PLACE}": {"kind": "skip_rows", "after": 1, "times": 1}})
    assert whole[:100] + whole[101:] == walk(sandbox, limit=50)


def test_a_page_can_make_the_next_repeat_a_row(sandbox: RunningSandbox) -> None:
    whole = walk(sandbox, limit=50)
    sandbox.faults(ids={PLACE: {"kind": "repeat_rows", "after": 1, "times": 1}})
    assert whole[:100] + whole[99:] == walk(sandbox, limit=50)


def test_an_export_can_fail(sandbox: RunningSandbox) -> None:
    sandbox.faults(ids={PLACE: "503"})
    assert 503 == sandbox.ask(EXPORT, locationId=PLACE).status_code


def test_a_conversation_is_listed_from_the_newest_to_the_oldest(sandbox: RunningSandbox) -> None:
    rows = talk(sandbox, limit=100)["messages"]
    assert [row["id"] for row in rows] == talked(TALK)[::-1]
    moments = [MINE[row["id"]]["dateAdded"] for row in rows]
    assert sorted(moments, reverse=True) == moments


def test_a_row_of_a_conversation_is_what_the_message_is_but_for_the_body_of_an_email(sandbox: RunningSandbox) -> None:
    known = next(each for each in EMAILS if "body" in MINE[each])
    rows = sandbox.ask(f"/conversations/{MINE[known]['conversationId']}/messages").json()["messages"]["messages"]
    answers = [sandbox.get(row["id"]).json() for row in rows]
    expected = [dict(answer.get("message", answer)) for answer in answers]
    for each in expected:
        if each["id"] in EMAILS:
            each.pop("body", None)
    assert expected == rows


def test_the_last_page_of_a_conversation_says_that_it_is_the_last(sandbox: RunningSandbox) -> None:
    assert [True, False] == [talk(sandbox, limit=limit)["nextPage"] for limit in (19, 20)]


def test_at_most_a_hundred_messages_are_listed_at_once(sandbox: RunningSandbox) -> None:
    response = sandbox.ask(f"/conversations/{TALK}/messages", limit=101)
    expected = (422, ["limit: Input should be less than or equal to 100"])
    assert expected == (response.status_code, response.json()["message"])


def test_an_unknown_conversation_is_refused(sandbox: RunningSandbox) -> None:
    assert (400, "Conversation not found") == refusal(sandbox, "/conversations/nobody/messages")


def test_a_conversation_of_another_location_cannot_be_listed(sandbox: RunningSandbox) -> None:
    other = DATA.ids_of("conversation", DATA.location_ids[1])[0]
    assert 403 == sandbox.ask(f"/conversations/{other}/messages").status_code

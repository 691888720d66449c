"""The seeded table highlevel.message_types, column by column."""

from sqlalchemy import Engine, text

from etl.transform.catalogue import MESSAGE_TYPES, TYPE_OF_CODE

WORDS_OF_CHANNELS = {
    "ACTIVITY": "Activity",
    "INTERNAL": "Internal",
    "CALL": "Call",
    "VOICEMAIL": "Call",
    "EMAIL": "Email",
    "WHATSAPP": "WhatsApp",
    "FACEBOOK": "Facebook",
    "INSTAGRAM": "Instagram",
    "TIKTOK": "TikTok",
    "GMB": "Google",
    "CHAT": "Chat",
    "WEBCHAT": "Chat",
    "FORM": "Form",
    "RCS": "RCS",
    "SMS": "SMS",
    "REVIEW": "Review",
}
"""The first word of a type's name that says its channel."""

INTERNAL = {"TYPE_INTERNAL_COMMENT", "TYPE_INTERNAL_CHAT", "TYPE_LIVE_CHAT_INFO_MESSAGE"}


def column(engine: Engine, name: str) -> dict[str, object]:
    with engine.connect() as connection:
        rows = connection.execute(text("SELECT * FROM highlevel.message_types"))
        return {row["message_type"]: row[name] for row in rows.mappings()}


def test_every_known_type_is_there(engine: Engine) -> None:
    assert set(column(engine, "channel")) == MESSAGE_TYPES


def test_each_type_has_the_channel_that_its_name_says(engine: Engine) -> None:
    expected = {
        name: next(channel for word, channel in WORDS_OF_CHANNELS.items() if word in name.split("_"))
        for name in MESSAGE_TYPES
    }
    assert column(engine, "channel") == expected


def test_campaigns_are_those_that_say_so(engine: Engine) -> None:
    assert column(engine, "is_campaign") == {name: "CAMPAIGN" in name for name in MESSAGE_TYPES}


def test_activities_are_those_that_say_so(engine: Engine) -> None:
    assert column(engine, "is_activity") == {name: "ACTIVITY" in name for name in MESSAGE_TYPES}


def test_what_no_customer_sees_is_internal(engine: Engine) -> None:
    assert column(engine, "is_internal") == {name: name in INTERNAL for name in MESSAGE_TYPES}


def test_the_numbers_are_those_of_the_catalogue(engine: Engine) -> None:
    numbers = {name: code for code, name in TYPE_OF_CODE.items()}
    assert column(engine, "type_code") == {name: numbers.get(name) for name in MESSAGE_TYPES}

"""Kinds of items, one module each: the request to HighLevel, and the rows and further items in its answer.

To add a kind: a module here with ``extract`` and ``transform``, its entry in :func:`all_kinds`, its name in
``etl.models.KINDS``, its tables in ``etl/models/highlevel.py``, a migration, and an entry in jobs.yaml.
"""

from functools import partial

from etl.kinds import (
    contacts,
    conversations,
    emails,
    locations,
    messages,
    names,
    recordings,
    transcriptions,
    users,
    window_pages,
)
from etl.kinds.audio import AudioStore
from etl.kinds.kind import Kind, NotFoundPolicy, Options, Origin
from etl.models import Contact, Email, LocationProfile, Message, Recording, Transcript, User
from etl.state.windows import KIND

NOT_YET = NotFoundPolicy(delays=(600.0, 3600.0, 21_600.0, 57_600.0), is_failure=False, is_usual=True)
"""A recording or transcript is made some time after the call, or never: it is retried for a day."""
NAMELESS = NotFoundPolicy(is_failure=False)
"""A name that no longer exists is no failure."""


def all_kinds(options: Options) -> dict[str, Kind]:
    """Return the kinds by name, as an entry of jobs.yaml wants them."""
    store = AudioStore(options.recordings_url) if options.recordings_url else None
    kinds = (
        Kind("message", Message, messages.extract, partial(messages.transform, options=options)),
        Kind("email", Email, emails.extract, partial(emails.transform, options=options)),
        Kind("conversation", None, conversations.extract, partial(conversations.transform, options=options)),
        Kind(
            "recording",
            Recording,
            partial(recordings.extract, store=store),
            recordings.transform,
            NOT_YET,
            requests=recordings.LEGS,
        ),
        Kind("transcription", Transcript, transcriptions.extract, transcriptions.transform, NOT_YET),
        Kind(
            "contact",
            Contact,
            partial(names.extract, name="contact"),
            contacts.transform,
            NAMELESS,
            named_in_messages_as="contact_id",
        ),
        Kind("user", User, partial(names.extract, name="user"), users.transform, NAMELESS),
        Kind("location", LocationProfile, partial(names.extract, name="location"), locations.transform, NAMELESS),
        Kind(
            KIND,
            None,
            window_pages.extract,
            partial(window_pages.transform, options=options),
            requests=window_pages.LEAST_REQUESTS,
            most_requests=window_pages.REQUESTS,
        ),
    )
    return {each.name: each for each in kinds}

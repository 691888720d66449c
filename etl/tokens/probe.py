"""Asks the API with one request of the location's allowance whether it accepts a token."""

from etl.api.client import Call, Client
from etl.errors import ItemError, LocationError, RefusedError, UnreachableError

PROBE_ID = "etl-probe-no-such-message"
"""A message that does not exist: an accepted token is answered "not found", a refused one why it is refused."""


def refusal(client: Client, token: str) -> ItemError | None:
    """Return why a token is refused or cannot be checked now; None when it is accepted.

    Does not tell whose token it is: only a message of the location would.
    """
    try:
        answer = Call(client, token).get(f"/conversations/messages/{PROBE_ID}")
    except (LocationError, UnreachableError) as error:
        return error
    except RefusedError as error:
        # A page in place of JSON is not HighLevel's answer; a refusal of the id is.
        return None if error.cause.startswith("http_") else error
    except ItemError:
        return None
    return None if answer.payload else UnreachableError("empty", "the answer has status 200 and nothing in it")

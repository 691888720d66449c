"""Asks with one request whether the API accepts a token. Spends one request of the location's allowance, no more."""

from etl.api.client import Call, Client
from etl.errors import ItemError, LocationError, RefusedError, UnreachableError

PROBE_ID = "etl-probe-no-such-message"
"""A message that does not exist: whoever may ask for it is told that, whoever may not is told why."""


def refusal(client: Client, token: str) -> ItemError | None:
    """Why a token is refused, or why that cannot be told now; None when it is accepted.

    It does not show whose token it is: only a message of the location would.
    """
    try:
        answer = Call(client, token).get(f"/conversations/messages/{PROBE_ID}")
    except (LocationError, UnreachableError) as error:
        return error
    except RefusedError as error:
        # A page where JSON belongs is not HighLevel's answer; a refusal of the id is.
        return None if error.cause.startswith("http_") else error
    except ItemError:
        return None
    return None if answer.payload else UnreachableError("empty", "the answer has status 200 and nothing in it")

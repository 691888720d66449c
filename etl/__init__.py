"""HighLevel conversations in your own Postgres.

::

    HighLevel ──webhook──▶ receive ──▶ etl.message_queue ──▶ extract ──▶ transform ──▶ load ──▶ highlevel.*
                           1            2                     3           4             5

1. ``receive`` verifies what HighLevel posts and remembers which messages it names.
2. ``message_queue`` is the memory: every statement on ``etl.message_queue``.
3. ``extract`` fetches one item from the API, paced for each location.
4. ``transform`` turns the API's JSON into rows; it performs no I/O.
5. ``load`` upserts the rows and removes the item in one transaction.

``kinds`` says what 3 to 5 do for each kind of item. ``worker`` runs 2 to 5 in a loop, ``cli`` starts
it, ``sandbox`` is a stand-in for HighLevel.
"""

from importlib.metadata import version

__version__ = version("highlevel-etl")
"""The last tag, and the commits since: git said so when it was installed."""

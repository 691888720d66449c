"""HighLevel conversations in your own Postgres.

::

    HighLevel ──webhook──▶ receive ──▶ etl.message_queue ──▶ api ──▶ transform ──▶ load ──▶ highlevel.*
                              1          state: 2             3          4           5

1. ``receive`` verifies what HighLevel posts and stores which items it names.
2. ``state`` has every statement on the schema ``etl``; ``state.message_queue`` those on the queue.
3. ``api`` fetches an item from HighLevel, paced for each location.
4. ``transform`` turns the API's JSON into rows; it performs no I/O.
5. ``load`` upserts the rows, in the transaction that removes the item from the queue.

``kinds`` says what 3 to 5 do for each kind of item. ``worker`` runs 2 to 5 in a loop, ``cli`` starts it, ``sandbox`` is
a stand-in for HighLevel. docs/architecture.md shows all rooms.
"""

from pathlib import Path

from etl._version import __version__ as __version__


def packaged(name: str) -> Path:
    """Return a file or folder that is inside an installed package, and beside the package in a checkout."""
    inside = Path(__file__).parent / name
    return inside if inside.exists() else Path(__file__).parent.parent / name

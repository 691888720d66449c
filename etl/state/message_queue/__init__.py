"""Every SQL statement on ``etl.message_queue``. Nothing here commits.

The life of an item::

                     claim                     complete
    waiting ───────────────────▶ claimed ───────────────────▶ gone (its rows are written)
       ▲                            │ │
       │  retry (attempt spent)     │ │ to_dead_letter
       │  snooze (no attempt spent) │ └──────────────────────▶ dead letter ──▶ etl dead retry ──▶ waiting
       └────────────────────────────┤
          release (lease lapsed) ◀──┘

A claim is a lease: it lapses unless renewed, and then the item waits again. Every settling statement names the lease
it was claimed under and acts only while that lease is held, so a worker that comes back late settles nothing. Lease
numbers come from a sequence. (The attempt number would not do as a fence: a snooze spends none, and an item that was
completed and queued again starts anew.)

When a lease lapses, nobody knows which of its items were begun, so none has spent an attempt. But one of them may
be what killed the worker. After its second lapse an item is a *suspect*: it is fetched alone, so that the next lapse is
its own. Then it spends an attempt, and after three of those it becomes a dead letter.

``again`` marks a claimed item that was queued once more meanwhile. It is neither removed nor made a dead letter, but
waits anew.
"""

from etl.models import KINDS
from etl.state.message_queue.choosing import Depth, ItemFilter, Waiting, cancel, causes, counts, depth, due, find, hurry
from etl.state.message_queue.claiming import backlogs, claim, due_locations, release_lapsed, renew, waiting_locations
from etl.state.message_queue.enqueuing import enqueue, enqueue_items, follow_up
from etl.state.message_queue.finishing import complete, keep, put_back, to_dead_letter
from etl.state.message_queue.items import Backlog, DeadLetter, Item, NewItem, PayloadWithoutId, PutBack
from etl.state.message_queue.removing import count, drop_suspects, erase, locations_of, queued, remove, waiting

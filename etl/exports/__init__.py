"""Many messages at a time, through ``GET /conversations/messages/export``: history, what webhooks missed, backlogs.

``pages`` asks for pages, ``walk`` for all of a window, ``loading`` writes their rows; ``backfill``, ``reconcile`` and
``bulk`` are what that is good for. ``windows`` says which times to ask for.
"""

"""Runs a job: claims items, has them fetched, settles them, until there is nothing left to do.

``loop`` is the thread that decides; ``claims`` takes items, ``fetchers`` are the threads that process them,
``settlement`` writes what came of them, ``leases`` keeps them ours meanwhile. ``outage``, ``retry`` and ``listener``
say when to wait and when to come back.
"""

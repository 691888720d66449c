"""Runs a job: claims items, has them fetched, settles them, until there is nothing left to do.

``loop`` is the thread that decides; ``claims`` takes items, ``fetchers`` are the threads that process them,
``evidence`` tells whose fault an error is, ``settlement`` writes what came of them, ``leases`` keeps them ours
meanwhile. ``retry`` and ``listener`` say when to come back.
"""

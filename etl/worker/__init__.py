"""Runs a job: claims items, has them fetched, settles them, until there is nothing left to do.

``loop`` is the thread that decides; ``claims`` takes items; ``fetchers`` are the threads that process them;
``evidence`` decides whose fault an error is; ``settlement`` writes the outcomes; ``leases`` renews the claims
meanwhile. ``retry`` says when a failed item comes due again, and ``listener`` wakes a run that waits.
"""

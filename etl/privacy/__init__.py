"""Erases for good, in short transactions: one contact, or what is older than jobs.yaml says."""

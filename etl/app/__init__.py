"""Builds the parts from the settings, and runs jobs in threads and processes."""

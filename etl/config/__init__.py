"""The user's settings: the environment, jobs.yaml, the log."""

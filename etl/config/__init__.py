"""What the user sets: the environment, jobs.yaml, the log."""

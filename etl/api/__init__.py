"""The only HTTP to HighLevel: requests, answers, and what a status means."""

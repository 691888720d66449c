"""The webhook receiver: verify, parse, store, and only then answer."""

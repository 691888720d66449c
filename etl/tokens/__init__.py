"""Tokens: stored encrypted, renewed before they expire, and which of them serves a location."""

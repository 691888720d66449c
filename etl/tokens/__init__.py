"""Tokens: stored encrypted, renewed before they expire, chosen for each location."""

"""Shared by tests of runs over several locations and tests of tokens."""

from tests.tokens.conftest import _token_sandbox, key, office

__all__ = ["_token_sandbox", "key", "office"]

"""What tests of runs over several locations share with those of tokens."""

from tests.tokens.conftest import _token_sandbox, key, office

__all__ = ["_token_sandbox", "key", "office"]

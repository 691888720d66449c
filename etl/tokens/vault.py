"""Encrypts tokens before they are stored, and decrypts them. Performs no I/O; nothing else has the keys.

Fernet (https://github.com/fyrd/spec: AES-128-CBC with HMAC-SHA256). With several keys the first encrypts and all of
them decrypt, so that a key can be replaced without a pause: put the new one in front, ``etl locations rekey``, drop
the old one.
"""

from collections.abc import Sequence
from functools import cached_property
from typing import TYPE_CHECKING

from etl.errors import ConfigurationError

if TYPE_CHECKING:
    from cryptography.fernet import MultiFernet


class UnreadableError(Exception):
    """None of the keys decrypts a stored token."""


class Vault:
    """Keys that encrypt and decrypt. The repr hides them."""

    def __init__(self, keys: Sequence[str]) -> None:
        """Take Fernet keys, the newest first; without keys, no token can be stored or read."""
        self._keys = tuple(keys)

    def __repr__(self) -> str:
        return f"Vault({len(self._keys)} keys)"

    def encrypt(self, token: str) -> str:
        """Encrypt with the newest key.

        Raises:
            ConfigurationError: there is no key, since tokens are never stored in the clear; or one is no Fernet key.
        """
        if not self._keys:
            raise ConfigurationError(
                "ETL_SECRET_KEY is not set, and tokens are only stored encrypted. Make one with: etl connect --new-key"
            )
        return self._fernets.encrypt(token.encode()).decode("ascii")

    def decrypt(self, encrypted: str) -> str:
        """Decrypt.

        Raises:
            UnreadableError: no key decrypts it.
        """
        if not self._keys:
            raise UnreadableError("ETL_SECRET_KEY is not set, so stored tokens cannot be read")
        # Imported on first use: a run on the environment's token alone starts faster without.
        from cryptography.fernet import InvalidToken  # noqa: PLC0415

        try:
            return self._fernets.decrypt(encrypted.encode()).decode()
        except (InvalidToken, ValueError):
            raise UnreadableError("no key in ETL_SECRET_KEY decrypts it") from None

    def is_current(self, encrypted: str) -> bool:
        """Return whether the newest key alone decrypts a text."""
        try:
            Vault(self._keys[:1]).decrypt(encrypted)
        except UnreadableError:
            return False
        return True

    @cached_property
    def _fernets(self) -> "MultiFernet":
        from cryptography.fernet import Fernet, MultiFernet  # noqa: PLC0415 - as above

        try:
            return MultiFernet([Fernet(key) for key in self._keys])
        except ValueError:
            raise ConfigurationError(
                "ETL_SECRET_KEY holds something that is not a Fernet key. Make one with: etl connect --new-key"
            ) from None


def new_key() -> str:
    """Return a fresh key for ETL_SECRET_KEY."""
    from cryptography.fernet import Fernet  # noqa: PLC0415 - as above

    return Fernet.generate_key().decode("ascii")

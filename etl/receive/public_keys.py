"""Reads the public keys that webhooks are verified with; the only place that knows PEM and files."""

import re
from collections.abc import Sequence
from pathlib import Path

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey
from cryptography.hazmat.primitives.asymmetric.types import PublicKeyTypes
from cryptography.hazmat.primitives.serialization import load_pem_public_key
from nacl.signing import VerifyKey

from etl.errors import ConfigurationError
from etl.receive.signature import Keys

ED25519 = "WEBHOOK_ED25519_PUBLIC_KEY"
RSA = "WEBHOOK_RSA_PUBLIC_KEY"

PUBLISHED = Path(__file__).parent / "keys"
"""HighLevel's own: docs page "Webhook Authentication" and docs/oauth/WebhookAuthentication.md of its docs repository.
One key for all apps of all customers."""

NONE = "none"
"""Turns the older scheme off, whose end HighLevel has announced (docs page "Webhook Authentication")."""

SMALLEST_RSA_KEY = 2048

_PEM = re.compile(r"-----BEGIN PUBLIC KEY-----.+?-----END PUBLIC KEY-----", re.DOTALL)


def read(ed25519: str | None, rsa: str | None) -> Keys:
    """Return the keys that two settings name: PEM text, or paths separated by commas, each with one key or more.

    Args:
        ed25519: value of WEBHOOK_ED25519_PUBLIC_KEY; None: HighLevel's published key.
        rsa: value of WEBHOOK_RSA_PUBLIC_KEY; None: HighLevel's published key; ``none``: the older scheme is refused.

    Raises:
        ConfigurationError: with everything that is wrong.
    """
    problems: list[str] = []
    new = _read(ED25519, ed25519 or str(PUBLISHED / "x-ghl-signature.ed25519.pem"), problems)
    old: list[PublicKeyTypes] = []
    if (rsa or "").strip().lower() != NONE:
        old = _read(RSA, rsa or str(PUBLISHED / "x-wh-signature.rsa.pem"), problems)
    keys = Keys(
        [VerifyKey(key.public_bytes_raw()) for key in new if isinstance(key, Ed25519PublicKey)],
        [key for key in old if isinstance(key, RSAPublicKey)],
    )
    if len(keys.ed25519) < len(new):
        problems.append(f"{ED25519}: not every key is an Ed25519 key")
    if len(keys.rsa) < len(old):
        problems.append(f"{RSA}: not every key is an RSA key")
    if any(key.key_size < SMALLEST_RSA_KEY for key in keys.rsa):
        problems.append(f"{RSA}: a key has fewer than {SMALLEST_RSA_KEY} bits")
    if problems:
        raise ConfigurationError(*problems)
    return keys


def _read(name: str, value: str, problems: list[str]) -> list[PublicKeyTypes]:
    keys: list[PublicKeyTypes] = []
    for source, text in _texts(name, value, problems):
        blocks = _PEM.findall(text)
        if not blocks:
            problems.append(f"{name}: {source} holds no PEM public key (-----BEGIN PUBLIC KEY-----)")
        for block in blocks:
            try:
                keys.append(load_pem_public_key(block.encode()))
            except (ValueError, UnsupportedAlgorithm):
                problems.append(f"{name}: {source} holds a damaged key")
    return keys


def _texts(name: str, value: str, problems: list[str]) -> Sequence[tuple[str, str]]:
    """Return each source of keys with its text."""
    if "-----BEGIN" in value:
        # A line of an env file cannot hold a line break, so people write \n.
        return [("the value", value.replace("\\n", "\n"))]
    texts = []
    for path in filter(None, (part.strip() for part in value.split(","))):
        try:
            texts.append((path, Path(path).expanduser().read_text(encoding="ascii")))
        except (OSError, ValueError) as error:
            reason = getattr(error, "strerror", None) or "it is not a PEM file"
            problems.append(f"{name}: {path} cannot be read: {reason}")
    return texts

"""Checks that HighLevel signed a body. Performs no I/O and parses nothing.

The signed bytes are the raw body (HighLevel docs, "Webhook Authentication"). Its samples verify the body after parsing
and writing it again, which refuses genuine events as soon as a number or an escape is written differently.
"""

import base64
import binascii
import hmac
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Literal

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.padding import PKCS1v15
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey
from cryptography.hazmat.primitives.hashes import SHA256
from nacl.exceptions import BadSignatureError
from nacl.signing import VerifyKey

Scheme = Literal["ed25519", "rsa"]

ED25519_HEADER, RSA_HEADER = "x-ghl-signature", "x-wh-signature"
"""The headers that hold a signature; the second one is older."""
UNSIGNED = "N/A"
"""What HighLevel puts into a signature header when it did not sign (docs page "Webhook Authentication", 2026-08)."""


class WebhookRefusedError(Exception):
    """An event is not taken; ``status`` is the answer, ``reason`` a short code for the log and never for the sender."""

    def __init__(self, status: int, reason: str) -> None:
        super().__init__(status, reason)
        self.status = status
        self.reason = reason


@dataclass(frozen=True, slots=True)
class Keys:
    """The public keys that may have signed; several of each while HighLevel changes them."""

    ed25519: Sequence[VerifyKey]
    rsa: Sequence[RSAPublicKey]


@dataclass(frozen=True, slots=True, repr=False)
class Signature:
    """A signature as it came, not yet verified."""

    scheme: Scheme
    value: bytes


def signature_of(ed25519: Sequence[str], rsa: Sequence[str]) -> Signature:
    """Return the signature to verify, from all values of ``X-GHL-Signature`` and of the older ``X-WH-Signature``.

    The older one counts only if the newer one is missing, or says that there is none. If the newer one is wrong, the
    older one does not help: otherwise a forger could choose the weaker scheme.

    Raises:
        WebhookRefusedError: there is none, more than one, or it is no signature.
    """
    newer, older = _signatures(ed25519), _signatures(rsa)
    scheme: Scheme = "ed25519" if newer else "rsa"
    given = newer or older
    if not given:
        raise WebhookRefusedError(401, "signature_not_available" if ed25519 or rsa else "unsigned")
    if len(given) > 1:
        raise WebhookRefusedError(401, "signature_ambiguous")
    try:
        value = base64.b64decode(given[0], validate=True)
    except (binascii.Error, ValueError) as error:
        raise WebhookRefusedError(401, "signature_malformed") from error
    if scheme == "ed25519" and len(value) != 64:
        raise WebhookRefusedError(401, "signature_malformed")
    return Signature(scheme, value)


def _signatures(headers: Sequence[str]) -> list[str]:
    return [each for value in headers if (each := value.strip()) and each.upper() != UNSIGNED]


def verify(body: bytes, signature: Signature, keys: Keys) -> None:
    """Check that one of the keys signed exactly these bytes.

    Raises:
        WebhookRefusedError: none did.
    """
    for key in keys.ed25519 if signature.scheme == "ed25519" else keys.rsa:
        with suppress(BadSignatureError, InvalidSignature):
            if isinstance(key, VerifyKey):
                key.verify(body, signature.value)
            else:
                key.verify(signature.value, body, PKCS1v15(), SHA256())
            return
    raise WebhookRefusedError(401, "signature_wrong")


def require_secret(given: str, expected: str) -> None:
    """Compare the workflow action's shared secret in constant time.

    Raises:
        WebhookRefusedError: it is another one.
    """
    if not hmac.compare_digest(given.encode("utf-8", "surrogateescape"), expected.encode()):
        raise WebhookRefusedError(401, "secret_wrong" if given else "secret_missing")

"""The sandbox's own signing keys and the two signatures of a webhook; the only module that handles private keys.

HighLevel signs the raw bytes of the body, without a timestamp (docs page "Webhook Authentication"): ``X-GHL-Signature``
is Ed25519, ``X-WH-Signature`` the older RSA-SHA256 with PKCS#1 v1.5 padding; both are base64.
"""

from base64 import b64encode
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ed25519, padding, rsa

Scheme = Literal["ed25519", "rsa", "both"]
Key = ed25519.Ed25519PrivateKey | rsa.RSAPrivateKey


@dataclass(frozen=True, slots=True)
class SandboxKeys:
    """Two key pairs; the public ones are files for ``WEBHOOK_ED25519_PUBLIC_KEY`` and ``WEBHOOK_RSA_PUBLIC_KEY``."""

    ed25519_public_pem: Path
    rsa_public_pem: Path
    _ed25519: ed25519.Ed25519PrivateKey = field(repr=False)
    _rsa: rsa.RSAPrivateKey = field(repr=False)

    @classmethod
    def load_or_create(cls, directory: Path, *, rsa_bits: int = 4096) -> "SandboxKeys":
        """Read the keys kept in a directory, or make them and keep them there.

        A new RSA key of 4096 bits, HighLevel's size, takes a second or more; tests may ask for 2048.

        Raises:
            ValueError: a file there is not such a key.
            OSError: the directory cannot be read or written.
        """
        directory.mkdir(parents=True, exist_ok=True)
        new_pem, new = _kept(directory, "ed25519", ed25519.Ed25519PrivateKey.generate)
        old_pem, old = _kept(directory, "rsa", lambda: rsa.generate_private_key(65537, rsa_bits))
        if not isinstance(new, ed25519.Ed25519PrivateKey) or not isinstance(old, rsa.RSAPrivateKey):
            raise ValueError(f"{directory} holds keys of another kind")  # noqa: TRY004 - a wrong file, not a wrong call
        return cls(new_pem, old_pem, new, old)

    def sign(self, body: bytes, scheme: Scheme = "ed25519") -> dict[str, str]:
        """Return the signature headers for exactly these bytes."""
        headers = {}
        if scheme != "rsa":
            headers["X-GHL-Signature"] = b64encode(self._ed25519.sign(body)).decode()
        if scheme != "ed25519":
            headers["X-WH-Signature"] = b64encode(self._rsa.sign(body, padding.PKCS1v15(), hashes.SHA256())).decode()
        return headers

    def environment(self) -> Mapping[str, str]:
        """Return what a receiver needs in its environment to accept these signatures."""
        return {
            "WEBHOOK_ED25519_PUBLIC_KEY": str(self.ed25519_public_pem.resolve()),
            "WEBHOOK_RSA_PUBLIC_KEY": str(self.rsa_public_pem.resolve()),
        }


def _kept(directory: Path, name: str, generate: Callable[[], Key]) -> tuple[Path, object]:
    """Return the file of the public key, and the private key, made if there is none."""
    private, public = directory / f"sandbox.{name}.private.pem", directory / f"sandbox.{name}.pem"
    pem = serialization.Encoding.PEM
    if not private.exists():
        private.touch(mode=0o600)
        form = serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        private.write_bytes(generate().private_bytes(pem, *form))
    kept = serialization.load_pem_private_key(private.read_bytes(), password=None)
    public.write_bytes(kept.public_key().public_bytes(pem, serialization.PublicFormat.SubjectPublicKeyInfo))
    return public, kept

"""Which keys a receiver verifies with."""

from collections.abc import Callable
from hashlib import sha256

import pytest
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey, generate_private_key
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from etl.errors import ConfigurationError
from etl.receive import public_keys
from etl.sandbox.keys import SandboxKeys


def der(key: RSAPublicKey) -> bytes:
    return key.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)


def test_highlevels_published_ed25519_key_comes_along() -> None:
    (key,) = public_keys.read(None, None).ed25519
    assert "8b61d1d6cacbe28d7c3bc0516bb815258ec6edbba96cddc7f40c09ac708388e8" == bytes(key).hex()


def test_highlevels_published_rsa_key_comes_along() -> None:
    (key,) = public_keys.read(None, None).rsa
    assert "2f62045d413b1b7747e26770ce7f57840cbf86288cd20ceb90d299a62501fd25" == sha256(der(key)).hexdigest()


Given = Callable[[SandboxKeys, SandboxKeys], str]


@pytest.mark.parametrize(
    "given",
    [
        lambda one, other: f"{one.ed25519_public_pem}, {other.ed25519_public_pem}",
        lambda one, other: one.ed25519_public_pem.read_text() + other.ed25519_public_pem.read_text(),
        lambda one, other: (one.ed25519_public_pem.read_text() + other.ed25519_public_pem.read_text()).replace(
            "\n", "\\n"
        ),
    ],
    ids=["paths", "text", "text on one line"],
)
def test_several_keys_may_be_given(keys: SandboxKeys, other_keys: SandboxKeys, given: Given) -> None:
    found = public_keys.read(given(keys, other_keys), None).ed25519
    assert 2 == len({bytes(key) for key in found})


def test_the_older_scheme_can_be_turned_off() -> None:
    assert [] == list(public_keys.read(None, "none").rsa)


def problems(ed25519: str | None, rsa: str | None) -> list[str]:
    with pytest.raises(ConfigurationError) as refused:
        public_keys.read(ed25519, rsa)
    return str(refused.value).splitlines()


def test_everything_wrong_is_listed_at_once(keys: SandboxKeys) -> None:
    assert [
        "WEBHOOK_ED25519_PUBLIC_KEY: /nowhere/key.pem cannot be read: No such file or directory",
        "WEBHOOK_RSA_PUBLIC_KEY: not every key is an RSA key",
    ] == problems("/nowhere/key.pem", str(keys.ed25519_public_pem))


def test_a_key_of_the_other_kind_is_refused(keys: SandboxKeys) -> None:
    assert ["WEBHOOK_ED25519_PUBLIC_KEY: not every key is an Ed25519 key"] == problems(str(keys.rsa_public_pem), None)


def test_a_private_key_is_refused() -> None:
    given = "-----BEGIN PRIVATE KEY-----\nc2VjcmV0\n-----END PRIVATE KEY-----"
    assert ["WEBHOOK_ED25519_PUBLIC_KEY: the value holds no PEM public key (-----BEGIN PUBLIC KEY-----)"] == problems(
        given, None
    )


def test_a_damaged_key_is_refused() -> None:
    given = "-----BEGIN PUBLIC KEY-----\nc2VjcmV0\n-----END PUBLIC KEY-----"
    assert ["WEBHOOK_RSA_PUBLIC_KEY: the value holds a damaged key"] == problems(None, given)


def test_an_rsa_key_that_can_be_broken_is_refused() -> None:
    weak = generate_private_key(public_exponent=65537, key_size=1024).public_key()  # noqa: S505 - to be refused
    given = weak.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo).decode()
    assert ["WEBHOOK_RSA_PUBLIC_KEY: a key has fewer than 2048 bits"] == problems(None, given)

import pytest

from etl.errors import ConfigurationError
from etl.tokens.vault import UnreadableError, Vault, new_key

OLD, NEW = new_key(), new_key()


def test_what_was_sealed_opens_again() -> None:
    assert "pit-1" == Vault([OLD]).decrypt(Vault([OLD]).encrypt("pit-1"))


def test_a_sealed_token_does_not_show_it() -> None:
    assert "pit-1" not in Vault([OLD]).encrypt("pit-1")


def test_the_old_key_still_opens_when_a_new_one_is_put_in_front() -> None:
    assert "pit-1" == Vault([NEW, OLD]).decrypt(Vault([OLD]).encrypt("pit-1"))


def test_the_newest_key_seals() -> None:
    assert "pit-1" == Vault([NEW]).decrypt(Vault([NEW, OLD]).encrypt("pit-1"))


def test_what_an_older_key_sealed_is_not_current() -> None:
    assert not Vault([NEW, OLD]).is_current(Vault([OLD]).encrypt("pit-1"))


def test_without_a_key_nothing_is_sealed() -> None:
    with pytest.raises(ConfigurationError, match="ETL_SECRET_KEY is not set"):
        Vault([]).encrypt("pit-1")


@pytest.mark.parametrize("keys", [[], [NEW]])
def test_without_the_right_key_nothing_opens(keys: list[str]) -> None:
    with pytest.raises(UnreadableError):
        Vault(keys).decrypt(Vault([OLD]).encrypt("pit-1"))


def test_a_text_that_was_never_sealed_does_not_open() -> None:
    with pytest.raises(UnreadableError):
        Vault([OLD]).decrypt("pit-1")


def test_the_repr_shows_no_key() -> None:
    assert "Vault(2 keys)" == repr(Vault([NEW, OLD]))

"""Sends notices, and asks the URL of a dead man's switch. Addresses are secret: no log or error holds one."""

import logging
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import requests
import structlog
from pydantic import SecretStr

from etl.errors import ConfigurationError

log = structlog.get_logger("etl.watch")

PING_SECONDS = 10.0


def targets(urls: Sequence[SecretStr]) -> list[Any]:
    """Return the targets of addresses.

    Raises:
        ConfigurationError: the library is not installed, or does not know an address.
    """
    try:
        import apprise  # noqa: PLC0415 - an optional install
    except ImportError as error:
        raise ConfigurationError(
            "To send notices, install the notify extra: pip install 'highlevel-etl[notify]'"
        ) from error
    # Its log lines may hold parts of an address.
    logging.getLogger("apprise").setLevel(logging.CRITICAL + 1)
    known = [apprise.Apprise.instantiate(url.get_secret_value(), suppress_exceptions=True) for url in urls]
    unknown = [str(number) for number, each in enumerate(known, 1) if each is None]
    if unknown:
        raise ConfigurationError(
            f"Apprise does not know address {', '.join(unknown)} of notify: urls in jobs.yaml and, after those, of "
            "ETL_NOTIFY_URLS. See https://github.com/caronc/apprise/wiki"
        )
    return known


def send(targets: Sequence[Any], *, title: str, body: str) -> list[bool]:
    """Send to all targets at the same time; return which took it."""
    if not targets:
        return []
    with ThreadPoolExecutor(len(targets)) as pool:
        taken = list(pool.map(lambda each: _send(each, title, body), targets))
    for each, is_taken in zip(targets, taken, strict=True):
        if not is_taken:
            log.warning("notice_not_sent", by=service_of(each))
    return taken


def service_of(target: Any) -> str:
    """Name the service of an address, without anything secret."""
    return str(target.service_name)


def ping(url: SecretStr) -> bool:
    """Ask the URL of a dead man's switch; return whether it answered."""
    try:
        answer = requests.get(url.get_secret_value(), timeout=PING_SECONDS)
    except (requests.RequestException, ValueError) as error:
        log.warning("ping_not_sent", error=type(error).__name__)
        return False
    if not answer.ok:
        log.warning("ping_not_sent", error=f"HTTP {answer.status_code}")
    return answer.ok


def _send(target: Any, title: str, body: str) -> bool:
    try:
        return bool(target.notify(title=title, body=body))
    except Exception:  # noqa: BLE001 - a plugin may raise anything, and its words may hold the address
        return False

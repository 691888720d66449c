"""Addresses and plain text of emails; pure. Parsing is the standard library's and inscriptis's."""

from collections.abc import Sequence
from email.utils import getaddresses

from etl.transform.values import storable


def addresses(given: str | Sequence[str] | None) -> list[tuple[str, str]]:
    """Names and addresses of ``Name <address>`` headers, one or many; what is no address is left out."""
    if not given:
        return []
    texts = [given] if isinstance(given, str) else list(given)
    return [(name, address) for text in texts for name, address in getaddresses([text]) if "@" in address]


def plain_text(body: str | None, content_type: str | None) -> str | None:
    """An email as text: HTML without its tags, scripts and styles; a plain body as it is; None for none."""
    if not body:
        return None
    if content_type == "text/plain" or "<" not in body:
        return body
    # Slow to import, and only emails need it.
    from inscriptis import get_text  # noqa: PLC0415
    from inscriptis.css_profiles import CSS_PROFILES  # noqa: PLC0415
    from inscriptis.model.config import ParserConfig  # noqa: PLC0415
    from lxml.etree import LxmlError  # noqa: PLC0415

    try:
        text = get_text(body, ParserConfig(css=CSS_PROFILES["strict"]))
    except (LxmlError, ValueError, RecursionError):
        return None
    lines = [line.rstrip() for line in text.splitlines()]
    kept = [line for place, line in enumerate(lines) if line or (place and lines[place - 1])]
    return storable("\n".join(kept).strip()) or None

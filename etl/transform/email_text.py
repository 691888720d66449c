"""Addresses and plain text of emails; pure.

Real headers are sloppy: a comma without quotes may be part of a name, and ``;`` separates, too. The standard
library invents senders from them, or drops all, depending on Python's version.
"""

import re
from binascii import a2b_base64, a2b_qp
from typing import Any

from etl.transform.html_text import is_html, words_of
from etl.transform.values import storable, texts_of

Addresses = list[tuple[str, str]]
"""Names and addresses; the name is empty where there is none."""
_ADDRESS = re.compile(r"[^\s<>()\[\],;:\"@]{1,128}@[^\s<>(),;:\"@]{1,255}")
_PARTS = re.compile(r'(?:[^",;]++|"[^"]*"|")++')
_ENCODED = re.compile(r"=\?([^?\s*]{1,40})[^?\s]{0,40}\?([bq])\?([^?\s]{0,1000})\?=(?:\s+(?==\?))?", re.IGNORECASE)


def addresses(value: Any) -> tuple[Addresses, bool]:
    """Return the addresses in one text or many, and whether the field holds nothing else."""
    texts, is_all = texts_of(value)
    found: Addresses = []
    for text in texts or ():
        before: list[str] = []
        for part in _PARTS.findall(text):
            entry = _entry(part)
            if entry is not None and before and "<" in part:
                entry, before = _entry(",".join((*before, part))), []
            if entry is not None:
                # Quotes that do not match may hide an address in a name.
                is_all &= not before and part.count("<") < 2
                found.append(entry)
                before = []
            elif part.strip():
                before.append(part)
        is_all &= not before
    return found, is_all


def sender(value: Any) -> tuple[tuple[str, str], bool]:
    """Return the sender's name and address, and whether the field holds nothing else."""
    texts, is_all = texts_of(value)
    # With one address in brackets, all before it is the name, whatever it looks like.
    entry = _entry(texts[0]) if texts and len(texts) == 1 and texts[0].count("<") == 1 else None
    found, is_all = ([entry], is_all) if entry else addresses(value)
    return (found[0] if found else ("", "")), is_all and len(found) < 2


def _entry(text: str) -> tuple[str, str] | None:
    """Return the name and address in one entry: ``Name <address>``, ``address`` or ``address (name)``."""
    name, bracket, address = text.rpartition("<")
    if bracket:
        address = address.rstrip("> \t\r\n")
    else:
        address, _, name = address.strip().partition("(")
        name = name.removesuffix(")")
    address = address.strip()
    return (_name(name.strip()), address) if _ADDRESS.fullmatch(address) else None


def _name(given: str) -> str:
    """Return a name without quotes, decoded if it is encoded for a header (RFC 2047)."""
    if len(given) > 1 and given[0] == given[-1] == '"':
        given = re.sub(r"\\(.)", r"\1", given[1:-1])
    return str(storable(_ENCODED.sub(_decoded, given)))


def _decoded(word: re.Match[str]) -> str:
    charset, encoding, text = word.groups()
    try:
        raw = a2b_base64(text) if encoding in "bB" else a2b_qp(text, header=True)
        return raw.decode(charset)
    except (ValueError, LookupError):  # not really encoded, or with a codec that Python lacks
        return word[0]


def plain_text(body: str | None, content_type: str | None) -> str | None:
    """Return an email's text: HTML without tags, scripts and styles; another body unchanged; None for no body."""
    if not body:
        return None
    media_type = (content_type or "").partition(";")[0].strip().lower()
    if media_type == "text/html" or (media_type != "text/plain" and is_html(body)):
        return words_of(body) or None
    return body

"""What a bearer token looks like; a leaf. Performs no I/O and verifies nothing."""

import hashlib
import json
import re
from base64 import urlsafe_b64decode
from typing import Any


def clean(token: str) -> str:
    """Return a token as people paste it: with newlines or spaces around it, or the word Bearer in front.

    Raises:
        ValueError: it cannot be a token.
    """
    cleaned = re.sub(r"(?i)\Abearer(\s+|\Z)", "", token.strip()).strip()
    if not cleaned:
        raise ValueError("is empty")
    if not cleaned.isascii() or not cleaned.isprintable() or " " in cleaned:
        raise ValueError("has spaces or other characters that no token has; paste it again")
    return cleaned


def fingerprint(token: str) -> str:
    """Tells one token from another without giving it away."""
    return hashlib.sha256(token.encode("utf-8", "surrogatepass")).hexdigest()[:12]


def claims(token: str) -> dict[str, Any]:
    """Return what an OAuth access token says of itself (it is a JWT); empty for any other. Nothing is verified.

    ``authClass`` is Location or Company, ``authClassId`` its id, ``exp`` seconds since 1970 (public codebases).
    """
    parts = token.split(".")
    if len(parts) != 3:
        return {}
    try:
        claims = json.loads(urlsafe_b64decode(parts[1] + "=" * (-len(parts[1]) % 4)))
    except ValueError:
        return {}
    return claims if isinstance(claims, dict) else {}

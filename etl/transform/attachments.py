"""Files of messages and emails become rows; pure.

Documented as URL strings; some public code expects objects; the key is missing on calls and WhatsApp.

https://github.com/GoHighLevel/highlevel-api-docs/issues/212
https://github.com/GoHighLevel/highlevel-api-docs/issues/258
"""

import mimetypes
from typing import Any
from urllib.parse import quote, unquote, urlsplit

from etl.transform.reading import Reader
from etl.transform.values import storable, text_of

BUILT_IN_TYPES = mimetypes.MimeTypes()
"""Python's own table, without the machine's mime.types: the same file has the same type on every machine."""
for _ending, _type in {
    ".amr": "audio/amr",
    ".heic": "image/heic",
    ".m4a": "audio/mp4",
    ".ogg": "audio/ogg",
    ".opus": "audio/ogg",
    ".webp": "image/webp",
}.items():
    BUILT_IN_TYPES.add_type(_type, _ending)


def attachment_rows(reader: Reader, key: dict[str, Any]) -> list[dict[str, Any]]:
    """Return the rows of the field ``attachments``, each starting with ``key``; the rest goes to ``extra``."""
    value = reader.take("attachments")
    if value is None:
        return []
    entries = value if isinstance(value, list) else [value]
    rows: list[dict[str, Any]] = []
    more: dict[str, Any] = {}
    for entry in entries:
        row, rest = _row(entry)
        if rest:
            more[str(len(rows))] = rest
        if row is not None:
            rows.append({**key, "position": len(rows), **row})
    if not isinstance(value, list):
        reader.keep("attachments", value)
    elif more:
        reader.keep_more("attachments", more)
    return rows


def _row(entry: Any) -> tuple[dict[str, Any] | None, Any]:
    """Return the row of a file, and the fields of its entry that no column holds; an empty entry is no file."""
    if entry is None or entry == "":
        return None, None
    fields = dict(entry) if isinstance(entry, dict) else {"url": entry}
    url = text_of(fields.pop("url", None) or fields.pop("href", None))
    if not url[0] or not url[1]:
        return None, entry
    name, media_type = text_of(fields.pop("name", None))[0], text_of(fields.pop("type", None))[0]
    name = name or _file_name(url[0])
    return {"url": url[0], "file_name": name, "media_type": media_type or _media_type(name)}, fields


def _file_name(url: str) -> str | None:
    """Return the last part of a path, which may be encoded as a whole: ``…/o/location%2FL%2Fquote%20final.pdf``."""
    try:
        path = urlsplit(url).path
    except ValueError:
        return None
    return storable(unquote(path).rsplit("/", 1)[-1]) or None


def _media_type(file_name: str | None) -> str | None:
    # Quoted, because newer Pythons refuse names like "/[x" as URLs.
    return BUILT_IN_TYPES.guess_type(quote(file_name, safe=""))[0] if file_name else None

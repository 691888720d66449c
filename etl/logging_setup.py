"""How log lines look; set up once by the command line, never on import."""

import json
import logging
import sys
from contextlib import suppress
from typing import TextIO

import structlog


def configure(level: str, style: str) -> None:
    """Log to standard error: readable on a terminal, one JSON object a line elsewhere, or as ``style`` says."""
    readable = style == "console" or (style == "auto" and sys.stderr.isatty())
    encode = json.JSONEncoder(default=repr).encode
    renderer: structlog.typing.Processor = (
        structlog.dev.ConsoleRenderer(colors=sys.stderr.isatty())
        if readable
        # json.dumps would make an encoder for each line, which costs more than encoding it.
        else structlog.processors.JSONRenderer(lambda event, **_: encode(event))
    )
    structlog.configure(
        processors=[
            structlog.contextvars.merge_contextvars,
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            structlog.processors.format_exc_info,
            renderer,
        ],
        wrapper_class=structlog.make_filtering_bound_logger(logging.getLevelNamesMapping()[level.upper()]),
        logger_factory=structlog.WriteLoggerFactory(file=_Forgiving(sys.stderr)),  # type: ignore[arg-type]
        cache_logger_on_first_use=True,
    )


class _Forgiving:
    """A stream whose failures stop nobody: a full disk, or a reader that is gone, must not end what is being logged."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream

    def write(self, text: str) -> None:
        with suppress(OSError, ValueError):
            self._stream.write(text)

    def flush(self) -> None:
        with suppress(OSError, ValueError):
            self._stream.flush()

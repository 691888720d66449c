"""How log lines look; set up once by the command line, never on import."""

import json
import logging
import sys

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
        logger_factory=structlog.WriteLoggerFactory(file=sys.stderr),
        cache_logger_on_first_use=True,
    )

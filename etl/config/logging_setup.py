"""Sets up the log; called once by the command line, never on import."""

import logging
import sys
from contextlib import suppress

import structlog


def configure(level: str, style: str) -> None:
    """Log to standard error: readable on a terminal, else one JSON object a line; or as ``style`` says."""
    readable = style == "console" or (style == "auto" and sys.stderr.isatty())
    renderer: structlog.typing.Processor = (
        structlog.dev.ConsoleRenderer(colors=sys.stderr.isatty(), pad_event_to=0, pad_level=False, repr_native_str=True)
        if readable
        else structlog.processors.JSONRenderer()
    )
    # psycopg warns of each connection that a stop interrupts, which users need not know.
    logging.getLogger("psycopg").setLevel(logging.ERROR)
    structlog.configure(
        processors=[
            structlog.contextvars.merge_contextvars,
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="%H:%M:%S" if readable else "iso", utc=not readable),
            structlog.processors.format_exc_info,
            renderer,
        ],
        wrapper_class=structlog.make_filtering_bound_logger(logging.getLevelNamesMapping()[level.upper()]),
        logger_factory=structlog.WriteLoggerFactory(file=_Forgiving()),  # type: ignore[arg-type]
    )


class _Forgiving:
    """Standard error whose failures are ignored: a full disk or a closed pipe stops nothing that logs."""

    def write(self, text: str) -> None:
        with suppress(OSError, ValueError):
            # Looked up for each line: a progress bar puts its own stream there, which writes above the bar.
            sys.stderr.write(text)

    def flush(self) -> None:
        with suppress(OSError, ValueError):
            sys.stderr.flush()

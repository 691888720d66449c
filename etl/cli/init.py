"""``etl init``: writes a first jobs.yaml and .env, with comments, where there are none."""

import os
from pathlib import Path

import click

from etl import packaged
from etl.config.settings import Settings
from etl.errors import ConfigurationError
from etl.output import print_lines
from etl.tokens.vault import new_key

FIRST = ("database_url", "highlevel_token", "highlevel_location_id")
"""Settings that almost everybody needs; an empty value counts as not set."""
NEXT = """Wrote jobs.yaml and .env. Now:
  1. Write DATABASE_URL, HIGHLEVEL_TOKEN and HIGHLEVEL_LOCATION_ID into .env.
  2. etl db upgrade
  3. etl doctor"""


@click.command()
def init() -> None:
    """Write a first jobs.yaml and .env into this directory, with comments; overwrite nothing.

    The .env holds a new key that encrypts stored tokens. Keep a copy of it where your passwords are.
    """
    files = {Path("jobs.yaml"): packaged("jobs.yaml").read_text(encoding="utf-8"), Path(".env"): _dotenv()}
    if there := [str(path) for path in files if os.path.lexists(path)]:
        raise ConfigurationError(
            f"{' and '.join(there)} {'are' if len(there) > 1 else 'is'} here already. Nothing was written."
        )
    for path, text in files.items():
        try:
            # For the owner alone: tokens will be in it.
            path.touch(mode=0o600, exist_ok=False)
            path.write_text(text, encoding="utf-8")
        except OSError as error:
            raise ConfigurationError(f"{path.absolute()} cannot be written: {error.strerror}") from error
    print_lines(NEXT)


def _dotenv() -> str:
    """Return every setting with what it means; those that need no value are comments."""
    lines = [
        "# Settings of highlevel-etl. The environment wins over this file. NAME_FILE names a file with the value.",
        "",
    ]
    for field, info in Settings.model_fields.items():
        name = field.upper()
        lines += [f"# {info.description}"] if info.description else []
        if field == "etl_secret_key":
            lines += [f"{name}={new_key()}", ""]
        elif field in FIRST:
            lines += [f"{name}=", ""]
        else:
            default = info.default if isinstance(info.default, str | int | float) else ""
            lines += [f"#{name}={default}", ""]
    return "\n".join(lines)

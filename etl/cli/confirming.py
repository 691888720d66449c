"""Asks before something is deleted."""

import sys

import click

from etl.errors import ConfigurationError


def confirm(question: str, *, yes: bool) -> None:
    """Go on if ``yes`` was given, or a person agrees.

    Raises:
        ConfigurationError: there is nobody to ask.
        click.Abort: they do not agree.
    """
    if yes:
        return
    if not sys.stdin.isatty():
        raise ConfigurationError(f"{question} There is no terminal to ask on: add --yes. Nothing was deleted.")
    click.confirm(question, abort=True)

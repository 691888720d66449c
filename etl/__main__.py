"""The command line's entry: turns every error that a user can cause into one clear message and an exit code."""

import gc
import os
import sys

import click

from etl.cli import cli
from etl.errors import EtlError
from etl.output import print_line, print_sentence


def main() -> None:
    """Run the command line and exit."""
    gc.disable()  # until the command's module is imported, see etl.cli
    try:
        code = cli.main(standalone_mode=False)
    except click.ClickException as error:
        error.show()
        code = error.exit_code
    except EtlError as error:
        _complain(error)
        code = error.exit_code
    except (click.Abort, KeyboardInterrupt):
        code = 130
    except BrokenPipeError:
        # The reader (head, less) has seen enough; Python's own flush at exit must not complain either.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        code = 0
    sys.exit(code)


def _complain(error: EtlError) -> None:
    if len(error.args) <= 1:
        print_sentence(f"Error: {error}", err=True)
        return
    print_line(f"Error: {len(error.args)} problems", err=True)
    for problem in error.args:
        print_sentence(f"- {problem}", indent=2, hang=2, err=True)


if __name__ == "__main__":
    main()

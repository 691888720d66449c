"""The command line as a real process."""

import os
import subprocess
import sys
from io import TextIOWrapper
from pathlib import Path
from typing import IO


class Process(subprocess.Popen[str]):
    """A command that runs."""

    @property
    def typed(self) -> TextIOWrapper:
        """What it reads."""
        assert isinstance(self.stdin, TextIOWrapper)
        return self.stdin

    @property
    def printed(self) -> IO[str]:
        """What it prints to standard output."""
        assert self.stdout is not None
        return self.stdout


class Command:
    """Starts ``etl`` in a directory of its own with an environment of its own."""

    def __init__(self, directory: Path, environment: dict[str, str]) -> None:
        self.directory = directory
        self.environment = environment

    def start(self, *arguments: str, **environment: str) -> Process:
        """Start it and return at once."""
        inherited = {name: os.environ[name] for name in ("PATH", "HOME", "LANG") if name in os.environ}
        return Process(
            [sys.executable, "-m", "etl", *arguments],
            cwd=self.directory,
            env=inherited | self.environment | environment,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    def __call__(
        self, *arguments: str, stdin: str | None = None, **environment: str
    ) -> "subprocess.CompletedProcess[str]":
        """Run it to the end."""
        with self.start(*arguments, **environment) as process:
            out, err = process.communicate(stdin, timeout=100)
        return subprocess.CompletedProcess(arguments, process.returncode, out, err)

"""The command line: in this process, or as a process of its own where it is killed, ends itself, or has a terminal."""

import gc
import io
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack, chdir, contextmanager, redirect_stderr, redirect_stdout
from pathlib import Path
from typing import IO

import structlog

from etl.__main__ import main


class Process(subprocess.Popen[str]):
    """A command that runs."""

    @property
    def typed(self) -> io.TextIOWrapper:
        """What it reads."""
        assert isinstance(self.stdin, io.TextIOWrapper)
        return self.stdin

    @property
    def printed(self) -> IO[str]:
        """What it prints to standard output."""
        assert self.stdout is not None
        return self.stdout


class Command:
    """Calls ``etl`` in a directory of its own with an environment of its own."""

    def __init__(self, directory: Path, environment: dict[str, str]) -> None:
        self.directory = directory
        self.environment = environment

    def __call__(
        self, *arguments: str, stdin: str | None = None, **environment: str
    ) -> "subprocess.CompletedProcess[str]":
        """Run it to the end in this process, which saves the second that a new one takes to start."""
        with ExitStack() as stack:
            out = stack.enter_context(redirect_stdout(_stream()))
            err = stack.enter_context(redirect_stderr(_stream()))
            stack.enter_context(_given(_stream(stdin or ""), ["etl", *arguments]))
            stack.enter_context(_only(self._environment(environment)))
            stack.enter_context(chdir(self.directory))
            stack.callback(structlog.reset_defaults)
            # What main froze in this process: hypothesis looks at the end who refers to its objects.
            stack.callback(gc.unfreeze)
            try:
                main()
            except SystemExit as end:
                code = int(end.code or 0)
        return subprocess.CompletedProcess(arguments, code, _written(out), _written(err))

    def alone(
        self, *arguments: str, stdin: str | None = None, **environment: str
    ) -> "subprocess.CompletedProcess[str]":
        """Run it to the end as a process of its own."""
        with self.start(*arguments, **environment) as process:
            out, err = process.communicate(stdin, timeout=250)
        return subprocess.CompletedProcess(arguments, process.returncode, out, err)

    def start(self, *arguments: str, **environment: str) -> Process:
        """Start it as a process of its own and return at once."""
        return Process(
            [sys.executable, "-m", "etl", *arguments],
            cwd=self.directory,
            env=self._environment(environment),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    def _environment(self, more: dict[str, str]) -> dict[str, str]:
        return inherited() | self.environment | more


def inherited() -> dict[str, str]:
    """What a process of a test has of our environment."""
    return {name: os.environ[name] for name in ("PATH", "HOME", "LANG") if name in os.environ}


def _stream(text: str = "") -> io.TextIOWrapper:
    """What a pipe is to a process."""
    return io.TextIOWrapper(io.BytesIO(text.encode()), encoding="utf-8", write_through=True)


def _written(stream: io.TextIOWrapper) -> str:
    assert isinstance(stream.buffer, io.BytesIO)
    return stream.buffer.getvalue().decode()


@contextmanager
def _given(stdin: IO[str], arguments: list[str]) -> Iterator[None]:
    before = sys.stdin, sys.argv
    sys.stdin, sys.argv = stdin, arguments
    try:
        yield
    finally:
        sys.stdin, sys.argv = before


@contextmanager
def _only(environment: dict[str, str]) -> Iterator[None]:
    """Without a terminal there are 80 columns, whatever the terminal of the tests has."""
    before = dict(os.environ)
    os.environ.clear()
    os.environ.update({"COLUMNS": "80"} | environment)
    time.tzset()
    try:
        yield
    finally:
        os.environ.clear()
        os.environ.update(before)
        time.tzset()

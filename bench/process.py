"""Runs one process to its end and says how long it took, of a processor too, and how much memory it had at most."""

import os
import subprocess
import threading
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

POLL_SECONDS = 0.05


@dataclass(frozen=True, slots=True)
class Finished:
    """A process that ended well."""

    output: str
    seconds: float
    """From its start to its end."""
    processor: float
    """Seconds of a processor, its start included."""
    peak_mib: float
    """Resident memory at its most; 0 where the system does not tell."""


def run(command: Sequence[str], *, environment: Mapping[str, str], directory: Path, stdin: str = "") -> Finished:
    """Run a command to its end.

    Raises:
        RuntimeError: it did not exit with 0; with the end of what it said.
    """
    began, worked = time.perf_counter(), _children()
    process = subprocess.Popen(
        command,
        env=dict(environment),
        cwd=directory,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    peak = _Peak(process)
    output, complaints = process.communicate(stdin)
    seconds = time.perf_counter() - began
    if process.returncode != 0:
        raise RuntimeError(f"{' '.join(command[1:])} ended with {process.returncode}: {(complaints or output)[-2000:]}")
    return Finished(output, seconds, _children() - worked, peak.mib())


def _children() -> float:
    """Seconds of a processor that processes of ours took which have ended."""
    times = os.times()
    return times.children_user + times.children_system


def processor_of(pid: int) -> float:
    """Seconds of a processor that a running process has taken: proc(5)."""
    fields = Path(f"/proc/{pid}/stat").read_text(encoding="ascii", errors="replace").rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


class _Peak:
    """Reads the kernel's high-water mark while the process lives.

    What ``wait4`` reports afterwards would not do: it includes the memory of the process that forked.
    """

    def __init__(self, process: "subprocess.Popen[str]") -> None:
        self._process = process
        self._kib = 0
        self._thread = threading.Thread(target=self._watch, daemon=True)
        self._thread.start()

    def mib(self) -> float:
        self._thread.join()
        return self._kib / 1024

    def _watch(self) -> None:
        status = Path(f"/proc/{self._process.pid}/status")
        while self._process.returncode is None:
            try:
                lines = status.read_text(encoding="ascii", errors="replace").splitlines()
            except OSError:
                return
            self._kib = max([self._kib, *(int(line.split()[1]) for line in lines if line.startswith("VmHWM:"))])
            time.sleep(POLL_SECONDS)

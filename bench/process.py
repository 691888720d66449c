"""Runs one process to its end and says how long it took, of a processor too, and how much memory it had at most."""

import os
import re
import subprocess
import time
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
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
    """The highest resident memory; 0 where the system does not say it."""


def run(command: Sequence[str], environment: Mapping[str, str], directory: Path, *, stdin: str = "") -> Finished:
    """Run a command to its end.

    Raises:
        RuntimeError: it did not exit with 0; with the end of what it said.
    """
    began, worked = time.perf_counter(), _children()
    pipe = subprocess.PIPE
    process = subprocess.Popen(
        command, env=dict(environment), cwd=directory, stdin=pipe, stdout=pipe, stderr=pipe, text=True
    )
    with ThreadPoolExecutor(1) as pool:
        peak = pool.submit(_peak, process)
        output, complaints = process.communicate(stdin)
        seconds = time.perf_counter() - began
    if process.returncode != 0:
        raise RuntimeError(f"{' '.join(command[1:])} ended with {process.returncode}: {(complaints or output)[-2000:]}")
    return Finished(output, seconds, _children() - worked, peak.result())


def _children() -> float:
    """Seconds of a processor that processes of ours took which have ended."""
    times = os.times()
    return times.children_user + times.children_system


def processor_of(pid: int) -> float:
    """Seconds of a processor that a running process has taken: proc(5)."""
    fields = Path(f"/proc/{pid}/stat").read_text(encoding="ascii", errors="replace").rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def _peak(process: "subprocess.Popen[str]") -> float:
    """Read the kernel's high-water mark, in MiB, while a process lives.

    What ``wait4`` reports afterwards would not do: it includes the memory of the process that forked.
    """
    kib = 0
    with suppress(OSError):
        while process.returncode is None:
            status = Path(f"/proc/{process.pid}/status").read_text(encoding="ascii", errors="replace")
            kib = max([kib, *map(int, re.findall(r"VmHWM:\s+(\d+)", status))])
            time.sleep(POLL_SECONDS)
    return kib / 1024

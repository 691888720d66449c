"""Text of customers and of the API cannot control a terminal, or forge a row for a program that reads a pipe."""

import os
import re
import subprocess
import sys

import pytest
import structlog
from sqlalchemy import Engine, text

from etl.config.logging_setup import configure
from etl.output import printable
from tests.command import Command

TITLE, CLIPBOARD, CLEAR, TURN, LINE = "\x1b]0;owned\x07", "\x1b]52;c;cm0gLXJm\x07", "\x9b2J", "\u202e", "\u2028"
NASTY = f"Shop{TITLE}{CLIPBOARD}{CLEAR}{TURN}{LINE}\x7f\tforged\nforged\trow\r\x85"
FORBIDDEN = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u200e\u200f\u2028\u2029\u202a-\u202e\u2066-\u2069]")
COMMANDS = (
    ("locations", "list"),
    ("dead", "list"),
    ("dead", "show", "MSG1"),
    ("events", "list"),
    ("events", "show", "event-1"),
    ("status",),
    ("doctor", "--offline"),
    ("dead", "list", "--json"),
    ("events", "list", "--json"),
    ("locations", "list", "--json"),
    ("status", "--json"),
)
ROWS = """
INSERT INTO etl.companies (company_id, name) VALUES ('COM1', :nasty);
INSERT INTO etl.locations (location_id, company_id, name, paused_at, pause_cause, pause_detail)
VALUES ('LOC1', 'COM1', :nasty, now(), 'token_refused', :nasty);
INSERT INTO etl.dead_letters (kind, message_id, location_id, attempt, cause, detail, payload)
VALUES ('message', 'MSG1', 'LOC1', 8, :nasty, :nasty, :bytes);
INSERT INTO etl.webhook_events (webhook_id, type, location_id, message_id, outcome, body)
VALUES ('event-1', :nasty, :nasty, :nasty, 'bad_id', :bytes);
INSERT INTO etl.runs (job, host, pid, version, outcome, finished_at)
VALUES (:nasty, :nasty, 1, '1', :nasty, now());
"""


@pytest.fixture
def hostile(etl: Command, engine: Engine) -> Command:
    """The command line on rows as hostile names, answers and posts leave them."""
    with engine.begin() as connection:
        for statement in filter(str.strip, ROWS.split(";")):
            connection.execute(text(statement), {"nasty": NASTY, "bytes": NASTY.encode() + b"\xff\x9b\x80"})
    return etl


@pytest.mark.parametrize("command", COMMANDS, ids=" ".join)
def test_no_control_character_goes_through_a_pipe(hostile: Command, command: tuple[str, ...]) -> None:
    done = hostile(*command)
    printed = done.stdout + done.stderr
    assert ("Traceback" in printed, "Shop" in printed) == (False, command[0] != "doctor" or "Shop" in printed)
    assert FORBIDDEN.findall(printed) == []
    assert [line for line in printed.splitlines() if line.startswith("forged")] == []


@pytest.mark.parametrize("command", COMMANDS[:7], ids=" ".join)
def test_no_control_character_reaches_a_terminal(hostile: Command, command: tuple[str, ...]) -> None:
    printed = on_a_terminal(hostile, *command)
    # Rich sets bold and colours; nothing else may follow an escape.
    assert FORBIDDEN.findall(re.sub(r"\x1b\[[0-9;]*m|\r\n", "", printed)) == []
    assert "Traceback" not in printed


def test_a_row_of_a_table_that_is_piped_has_one_field_a_column(hostile: Command) -> None:
    header, *rows = hostile("dead", "list").stdout.splitlines()[:2]
    assert {line.count("\t") for line in rows} == {header.count("\t")}


def test_what_was_received_forges_no_field_of_what_is_shown(hostile: Command) -> None:
    lines = hostile("dead", "show", "MSG1").stdout.splitlines()
    *payload, end = lines[lines.index("payload:") + 1 :]
    assert ([line[:2] for line in payload], end) == (["  "] * len(payload), "")


@pytest.mark.parametrize("command", [("dead", "show", "MSG1"), ("events", "show", "event-1")])
def test_bytes_are_written_where_they_are_asked_for_and_to_no_terminal(
    hostile: Command, command: tuple[str, ...]
) -> None:
    with (hostile.directory / "raw").open("wb") as file:
        code = _run(hostile, *command, "--raw", stdout=file.fileno()).wait(timeout=60)
    assert (code, (hostile.directory / "raw").read_bytes()) == (0, NASTY.encode() + b"\xff\x9b\x80")
    printed = on_a_terminal(hostile, *command, "--raw")
    assert ("--raw writes bytes" in printed, FORBIDDEN.findall(printed.replace("\r\n", ""))) == (True, [])


def test_a_letter_among_several_is_named_by_its_kind(hostile: Command, engine: Engine) -> None:
    with engine.begin() as connection:
        connection.execute(
            text(
                "INSERT INTO etl.dead_letters (kind, message_id, location_id, attempt, cause, detail, payload)"
                " VALUES ('recording', 'MSG1', 'LOC1', 8, 'x', 'x', 'audio')"
            )
        )
    refused = hostile("dead", "show", "MSG1", "--raw")
    assert (refused.returncode, refused.stdout, "--kind" in refused.stderr) == (2, "", True)
    assert hostile("dead", "show", "MSG1", "--raw", "--kind", "recording").stdout == "audio"


@pytest.mark.parametrize("style", ["console", "json"])
def test_a_log_line_is_one_line_without_control_characters(style: str, capsys: pytest.CaptureFixture[str]) -> None:
    try:
        configure("info", style)
        structlog.get_logger().warning("webhook_refused", type=NASTY, names=[NASTY])
    finally:
        structlog.reset_defaults()
    (line,) = capsys.readouterr().err.splitlines()
    assert FORBIDDEN.findall(line) == []


@pytest.mark.parametrize(
    ("given", "printed"),
    [
        ("Zoë's Café 👩‍⚕️ שלום", "Zoë's Café 👩‍⚕️ שלום"),
        ("a\tb\nc\\", "a\\tb\\nc\\"),
        ("\x1b[31m\x9b\x7f", "\\x1b[31m\\x9b\\x7f"),
        ("\u202eexe\u2069\ud800", "\\u202eexe\\u2069\\ud800"),
    ],
)
def test_what_can_be_read_is_printed_as_it_is_and_what_steers_is_spelled_out(given: str, printed: str) -> None:
    assert printable(given) == printed


def test_a_table_says_which_columns_a_narrow_terminal_left_out(hostile: Command) -> None:
    assert "A wider terminal also shows: requests" in on_a_terminal(hostile, "status", columns=60)
    assert "A wider terminal" not in on_a_terminal(hostile, "status", columns=500)


def on_a_terminal(etl: Command, *arguments: str, columns: int = 200) -> str:
    """The bytes that a terminal receives."""
    ours, theirs = os.openpty()
    process = _run(etl, *arguments, stdout=theirs, columns=columns)
    os.close(theirs)
    received = bytearray()
    try:
        while chunk := os.read(ours, 65536):
            received += chunk
    except OSError:  # how a terminal ends on Linux
        pass
    os.close(ours)
    process.wait(timeout=60)
    return received.decode()


def _run(etl: Command, *arguments: str, stdout: int, columns: int = 200) -> "subprocess.Popen[bytes]":
    inherited = {"PATH": os.environ["PATH"], "HOME": os.environ.get("HOME", "/")}
    environment = inherited | {"COLUMNS": str(columns)} | etl.environment
    return subprocess.Popen(
        [sys.executable, "-m", "etl", *arguments],
        cwd=etl.directory,
        env=environment,
        stdin=subprocess.DEVNULL,
        stdout=stdout,
        stderr=stdout,
    )

import hashlib
import os
import resource
import signal
import socket
import stat
import time
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from threading import Thread
from typing import Any

import pytest

from etl.api.client import Call, Client
from etl.api.transport import MAX_HOPS, Transport
from etl.errors import RefusedError
from etl.kinds import Options, all_kinds
from etl.sandbox.server import RunningSandbox
from tests.command import Command
from tests.job import Job
from tests.tcp import Server, heard
from tests.waiting import await_

MEBIBYTE = 1024 * 1024
ROWS = "SELECT leg, media_type, size_bytes, sha256, url FROM highlevel.recordings ORDER BY leg"


@pytest.fixture
def call(job: Job, sandbox: RunningSandbox) -> str:
    """A call of one leg."""
    data = sandbox.dataset
    return next(each for each in job.ids if data.recording(each, 0) and not data.recording(each, 1))


@pytest.fixture
def passed_on(job: Job, sandbox: RunningSandbox) -> str:
    """A call of two legs."""
    return next(each for each in job.ids if sandbox.dataset.recording(each, 1))


def audio(sandbox: RunningSandbox, call: str, leg: int = 0) -> bytes:
    sound = sandbox.dataset.recording(call, leg)
    assert sound is not None
    return sound


def files(folder: Path) -> list[str]:
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file())


def load(job: Job, *calls: str, **choices: Any) -> Any:
    job.enqueue(*calls, kind="recording")
    return job.run(kind="recording", **choices)


def test_without_a_place_for_audio_its_type_and_length_are_known(job: Job, sandbox: RunningSandbox, call: str) -> None:
    load(job, call)
    assert job.rows(ROWS) == [(0, "audio/x-wav", len(audio(sandbox, call)), None, None)]


def test_both_legs_of_a_call_are_rows(job: Job, passed_on: str) -> None:
    load(job, passed_on)
    assert [leg for leg, *_ in job.rows(ROWS)] == [0, 1]


def test_without_a_place_for_audio_its_body_is_not_read(job: Job, sandbox: RunningSandbox, call: str) -> None:
    sandbox.faults(
        ids={f"recording/{call}": {"kind": "huge", "bytes": 20 * MEBIBYTE, "held_after": MEBIBYTE, "times": 1}}
    )
    assert load(job, call).counts.loaded == 1
    assert job.value("SELECT size_bytes FROM highlevel.recordings") == 20 * MEBIBYTE


def test_audio_is_kept_byte_for_byte_with_its_hash(
    job: Job, sandbox: RunningSandbox, passed_on: str, tmp_path: Path
) -> None:
    load(job, passed_on, recordings_url=str(tmp_path))
    for leg, _, size, sha256, url in job.rows(ROWS):
        path = tmp_path / job.location_id / f"{passed_on}-{leg}.wav"
        sound = audio(sandbox, passed_on, leg)
        assert (path.read_bytes(), len(sound)) == (sound, size)
        assert (hashlib.sha256(sound).hexdigest(), f"file://{path}") == (sha256, url)


def test_audio_goes_to_any_file_system_that_fsspec_knows(job: Job, sandbox: RunningSandbox, call: str) -> None:
    fsspec = pytest.importorskip("fsspec")
    load(job, call, recordings_url="memory://calls")
    url = f"memory://calls/{job.location_id}/{call}-0.wav"
    assert job.value("SELECT url FROM highlevel.recordings") == url
    with fsspec.open(url) as file:
        assert file.read() == audio(sandbox, call)


def test_audio_that_is_there_already_is_not_written_again(job: Job, call: str, tmp_path: Path) -> None:
    load(job, call, recordings_url=str(tmp_path))
    path = tmp_path / job.location_id / f"{call}-0.wav"
    before = path.stat()
    assert load(job, call, recordings_url=str(tmp_path)).counts.unchanged == 1
    assert (path.stat().st_ino, path.stat().st_mtime_ns) == (before.st_ino, before.st_mtime_ns)
    assert len(files(tmp_path)) == 1


def test_other_bytes_under_the_same_name_are_replaced(
    job: Job, sandbox: RunningSandbox, call: str, tmp_path: Path
) -> None:
    path = tmp_path / job.location_id / f"{call}-0.wav"
    path.parent.mkdir()
    path.write_bytes(b"x" * len(audio(sandbox, call)))
    load(job, call, recordings_url=str(tmp_path))
    assert path.read_bytes() == audio(sandbox, call)


def test_where_audio_is_kept_stays_known_when_it_is_no_longer_kept(job: Job, call: str, tmp_path: Path) -> None:
    load(job, call, recordings_url=str(tmp_path))
    before = job.rows(ROWS)
    load(job, call)
    assert job.rows(ROWS) == before


def test_audio_that_breaks_off_is_tried_again_and_leaves_no_file(
    job: Job, sandbox: RunningSandbox, call: str, tmp_path: Path
) -> None:
    sandbox.faults(ids={f"recording/{call}": {"kind": "cut", "times": 1}})
    assert load(job, call, recordings_url=str(tmp_path)).counts.retried == 1
    assert (job.value("SELECT cause FROM etl.message_queue"), files(tmp_path), job.rows(ROWS)) == ("no_answer", [], [])
    job.make_due()
    job.run(kind="recording", recordings_url=str(tmp_path))
    assert files(tmp_path) == [f"{job.location_id}/{call}-0.wav"]


@pytest.mark.parametrize("fault", [{"kind": "cut"}, {"kind": "500"}])
def test_a_second_leg_that_fails_is_no_call_of_one_leg(
    job: Job, sandbox: RunningSandbox, passed_on: str, tmp_path: Path, fault: dict[str, Any]
) -> None:
    sandbox.faults(ids={f"recording/{passed_on}": fault | {"after": 1, "times": 1}})
    assert load(job, passed_on, recordings_url=str(tmp_path)).counts.retried == 1
    assert job.rows(ROWS) == []


def test_a_place_that_cannot_be_written_to_is_a_clear_cause(job: Job, call: str, tmp_path: Path) -> None:
    (tmp_path / "calls").write_text("a file where a folder should be")
    assert load(job, call, recordings_url=str(tmp_path / "calls")).counts.retried == 1
    assert job.value("SELECT cause FROM etl.message_queue") == "audio_not_kept"


@contextmanager
def listening_to_anything() -> Iterator[Call]:
    """A request to a server that has audio for every path."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200)
            self.send_header("Content-Type", "audio/x-wav")
            self.send_header("Content-Length", "4")
            self.end_headers()
            self.wfile.write(b"RIFF")

        def log_message(self, *_: Any) -> None:
            pass

    with HTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        url = f"http://127.0.0.1:{server.server_port}"
        try:
            with Transport(base_url=url, pool_size=1, user_agent="tests") as transport:
                yield Call(Client(transport, api_version="2021-07-28"), "token", granted=2)
        finally:
            server.shutdown()
            thread.join()


@pytest.mark.parametrize("location_id", ["../outside", "..", ".", "", "a/b", "/etc", "a\x00b", "a\nb"])
def test_a_location_that_is_no_id_is_no_folder_and_no_part_of_an_address(location_id: str, tmp_path: Path) -> None:
    (tmp_path / "calls").mkdir()
    kept = all_kinds(Options(recordings_url=str(tmp_path / "calls")))["recording"]
    with listening_to_anything() as call:
        with pytest.raises(RefusedError) as refused:
            kept.extract(call, "MSG1", location_id)
        assert (refused.value.cause, call.sent, files(tmp_path)) == ("bad_id", 0, [])
        kept.extract(call, "MSG1", "LOC1")
    assert files(tmp_path) == ["calls/LOC1/MSG1-0.wav", "calls/LOC1/MSG1-1.wav"]


def test_audio_is_for_its_owner_alone_and_no_folder_of_others_is_changed(job: Job, call: str, tmp_path: Path) -> None:
    root = tmp_path / "ours"
    root.mkdir(mode=0o755)
    before = os.umask(0)
    try:
        load(job, call, recordings_url=str(root / "new" / "calls"))
    finally:
        os.umask(before)
    modes = [stat.S_IMODE(path.stat().st_mode) for path in (root, *sorted(root.rglob("*")))]
    assert modes == [0o755, 0o700, 0o700, 0o700, 0o600]


def test_nothing_is_written_through_a_link_that_somebody_has_laid(
    job: Job, etl: Command, sandbox: RunningSandbox, call: str, tmp_path: Path
) -> None:
    victim = tmp_path / "victim"
    victim.write_text("dear")
    calls = tmp_path / "calls" / job.location_id
    calls.mkdir(parents=True)
    for name in (calls / f".{call}-0.wav.part", calls / f"{call}-0.wav", tmp_path / "calls" / ".etl-probe"):
        name.symlink_to(victim)
    jobs_file(etl, "calls")
    assert "can be written to" in etl("doctor", "--offline").stdout
    load(job, call, recordings_url=str(tmp_path / "calls"))
    path = calls / f"{call}-0.wav"
    assert (victim.read_text(), path.is_symlink(), path.read_bytes()) == ("dear", False, audio(sandbox, call))


def jobs_file(etl: Command, recordings_url: object) -> None:
    (etl.directory / "jobs.yaml").write_text(
        f"jobs:\n  recordings:\n    kind: recording\n    recordings_url: {recordings_url}\n"
    )


def held(sandbox: RunningSandbox, call: str, size: int) -> None:
    """Let the audio of a call have ``size`` bytes, of which half come at first."""
    fault = {"kind": "huge", "bytes": size, "held_after": size // 2, "times": 1}
    sandbox.faults(ids={f"recording/{call}": fault})


def test_a_disk_that_fills_is_reported_and_leaves_no_file(
    job: Job, etl: Command, sandbox: RunningSandbox, call: str, tmp_path: Path
) -> None:
    jobs_file(etl, "calls")
    held(sandbox, call, 4 * MEBIBYTE)
    job.enqueue(call, kind="recording")
    with etl.start("run") as process:
        sandbox.wait_for(held=1)
        resource.prlimit(process.pid, resource.RLIMIT_FSIZE, (3 * MEBIBYTE, 3 * MEBIBYTE))
        sandbox.release()
        _, err = process.communicate(timeout=90)
    assert (process.returncode, "recordings_url cannot be written to: File too large" in err) == (0, True)
    assert job.rows("SELECT cause, attempt FROM etl.message_queue") == [("audio_not_kept", 1)]
    assert (files(tmp_path / "calls"), job.rows(ROWS)) == ([], [])


def test_a_worker_that_is_killed_while_audio_is_written_leaves_no_half_of_it(
    job: Job, etl: Command, sandbox: RunningSandbox, call: str, tmp_path: Path
) -> None:
    jobs_file(etl, "calls")
    held(sandbox, call, 4 * MEBIBYTE)
    job.enqueue(call, kind="recording")
    part = tmp_path / "calls" / job.location_id / f".{call}-0.wav.part"
    with etl.start("run") as process:
        await_(lambda: part.exists() and part.stat().st_size > MEBIBYTE)
        process.send_signal(signal.SIGKILL)
        process.communicate()
    sandbox.release()
    assert files(part.parent) == [part.name]
    job.execute("UPDATE etl.message_queue SET leased_until = now()")
    job.execute("UPDATE etl.rate_usage SET expires_at = now()")
    assert etl("run").returncode == 0
    assert files(part.parent) == [f"{call}-0.wav"]
    assert (part.parent / f"{call}-0.wav").read_bytes() == audio(sandbox, call)


def peak_memory(pid: int) -> int:
    """The most memory that a process had so far, in bytes; 0 when it is gone."""
    try:
        status = Path(f"/proc/{pid}/status").read_text()
    except OSError:
        return 0
    return next((int(line.split()[1]) * 1024 for line in status.splitlines() if line.startswith("VmHWM")), 0)


def test_audio_is_never_held_whole(job: Job, etl: Command, sandbox: RunningSandbox, call: str, tmp_path: Path) -> None:
    size = 192 * MEBIBYTE
    jobs_file(etl, "calls")
    sandbox.faults(ids={f"recording/{call}": {"kind": "huge", "bytes": size, "times": 1}})
    job.enqueue(call, kind="recording")
    peak = 0
    with etl.start("run") as process:
        # Not what the system says at the end: that counts the size of whoever started the process, too.
        while process.poll() is None:
            peak = max(peak, peak_memory(process.pid))
            time.sleep(0.01)
    assert (tmp_path / "calls" / job.location_id / f"{call}-0.wav").stat().st_size == size
    assert 0 < peak < size


class Storage(Server):
    """Another host, which has the audio and keeps what it was asked."""

    def __init__(self) -> None:
        super().__init__()
        self.answer = b"HTTP/1.1 200 OK\r\nContent-Type: audio/mpeg\r\nContent-Length: 5\r\n\r\nsound"
        self.asked: list[str] = []
        self.serve = self._serve

    def _serve(self, connection: socket.socket, _number: int) -> None:
        while request := heard(connection):
            self.asked.append(request.decode().lower())
            connection.sendall(self.answer)


@pytest.fixture
def storage(sandbox: RunningSandbox, call: str) -> Iterator[Storage]:
    """The host to which the call's audio is redirected."""
    storage = Storage()
    sandbox.faults(ids={f"recording/{call}": {"kind": "redirect", "text": f"{storage.url}/a%20b?sig=x", "times": 1}})
    yield storage
    storage.close()


def test_audio_is_taken_from_another_host_which_is_not_shown_the_token(
    job: Job, sandbox: RunningSandbox, storage: Storage, call: str, tmp_path: Path
) -> None:
    assert load(job, call, recordings_url=str(tmp_path)).counts.loaded == 1
    assert job.rows("SELECT media_type, size_bytes FROM highlevel.recordings") == [("audio/mpeg", 5)]
    assert (tmp_path / job.location_id / f"{call}-0.mp3").read_bytes() == b"sound"
    (request,) = storage.asked
    assert request.startswith("get /a%20b?sig=x http/1.1")
    assert "accept: audio/*" in request
    assert [
        secret for secret in ("authorization", "version:", sandbox.token(job.location_id)) if secret in request
    ] == []


@pytest.mark.parametrize("status", ["401 Unauthorized", "404 Not Found", "429 Too Many Requests"])
def test_what_another_host_answers_is_said_by_no_api(
    job: Job, storage: Storage, call: str, tmp_path: Path, status: str
) -> None:
    storage.answer = f"HTTP/1.1 {status}\r\nX-RateLimit-Max: 1\r\nContent-Length: 0\r\n\r\n".encode()
    assert load(job, call, recordings_url=str(tmp_path)).counts.retried == 1
    assert job.rows("SELECT cause, attempt FROM etl.message_queue") == [("no_answer", 1)]
    assert job.value("SELECT count(*) FROM etl.locations WHERE paused_at IS NOT NULL") == 0
    assert job.rows("SELECT blocked_until FROM etl.rate_limits WHERE max_requests > 1") == [(None,)]


def test_redirects_without_end_are_followed_a_few_times(job: Job, storage: Storage, call: str, tmp_path: Path) -> None:
    storage.answer = b"HTTP/1.1 302 Found\r\nLocation: /again\r\nContent-Length: 0\r\n\r\n"
    assert load(job, call, recordings_url=str(tmp_path)).counts.retried == 1
    assert (len(storage.asked), files(tmp_path)) == (MAX_HOPS, [])


@pytest.mark.parametrize(
    "fault",
    [
        {"kind": "422", "text": "Recording not found"},
        {"kind": "400", "text": "Recording not found"},
        {"kind": "404", "text": "Recording not found"},
        {"kind": "500"},
    ],
)
def test_a_recording_that_is_not_there_yet_is_asked_for_again_for_a_day_and_then_ends_quietly(
    job: Job, sandbox: RunningSandbox, call: str, fault: dict[str, Any]
) -> None:
    sandbox.faults(ids={f"recording/{call}": fault})
    job.enqueue(call, kind="recording")
    waits = []
    for _ in range(4):
        job.run(kind="recording")
        waits.append(job.value("SELECT extract(epoch FROM scheduled_at - now()) FROM etl.message_queue"))
        job.make_due()
    assert [round(float(wait) / 600) for wait in waits] == [1, 6, 36, 96]
    report = job.run(kind="recording")
    assert (report.outcome, report.counts.dead, job.queued(), job.rows(ROWS)) == ("drained", 0, [], [])
    assert job.value("SELECT count(*) FROM etl.dead_letters") == 0


def test_a_recording_that_came_late_is_loaded(job: Job, sandbox: RunningSandbox, call: str) -> None:
    sandbox.faults(ids={f"recording/{call}": "missing"})
    load(job, call)
    assert job.rows(ROWS) == []
    sandbox.faults()
    job.make_due()
    job.run(kind="recording")
    assert len(job.rows(ROWS)) == 1


def test_a_page_in_the_place_of_audio_is_a_dead_letter_that_holds_it(
    job: Job, sandbox: RunningSandbox, call: str, tmp_path: Path
) -> None:
    sandbox.faults(ids={f"recording/{call}": "html"})
    assert load(job, call, recordings_url=str(tmp_path)).counts.dead == 1
    ((cause, payload),) = job.rows("SELECT cause, payload FROM etl.dead_letters")
    assert (cause, b"Sign in" in payload, files(tmp_path)) == ("not_audio", True, [])


def test_a_row_that_postgres_refuses_leaves_a_dead_letter_that_says_what_was_received(job: Job, call: str) -> None:
    job.execute("ALTER TABLE highlevel.recordings ADD CHECK (size_bytes < 0)")
    load(job, call)
    ((cause, payload),) = job.rows("SELECT cause, payload FROM etl.dead_letters")
    assert (cause, b"audio/x-wav" in payload) == ("load", True)


def test_both_requests_of_a_recording_are_within_the_limit(job: Job, sandbox: RunningSandbox) -> None:
    calls = [each for each in job.ids if sandbox.dataset.recording(each, 0)][:12]
    sandbox.limits(limit=10, interval=1, daily=10_000)
    report = load(job, *calls)
    stats = sandbox.stats()
    assert (report.counts.loaded, stats["requests"]) == (len(calls), 2 * len(calls))
    assert "429" not in stats["statuses"]


def test_a_request_that_was_not_needed_is_given_back(job: Job, sandbox: RunningSandbox) -> None:
    quiet = next(each for each in job.ids if not sandbox.dataset.recording(each, 0))
    load(job, quiet)
    assert sandbox.stats()["requests"] == 1
    assert job.value("SELECT sum(requests) FROM etl.rate_usage") == 1


@pytest.mark.parametrize(
    ("url", "cure"), [("s3000://bucket", "Use a folder, or a URL such as"), ("abfs://x/y", "pip can install")]
)
def test_a_place_of_an_unknown_kind_is_reported_before_anything_is_done(
    etl: Command, sandbox: RunningSandbox, url: str, cure: str
) -> None:
    jobs_file(etl, url)
    done = etl("run")
    assert (done.returncode, cure in done.stderr, "recordings" in done.stderr) == (2, True, True)
    assert sandbox.stats()["requests"] == 0


def test_the_doctor_says_whether_audio_can_be_kept(etl: Command, tmp_path: Path) -> None:
    jobs_file(etl, "calls")
    assert "ok    recordings_url of recordings: can be written to" in etl("doctor", "--offline").stdout
    assert files(tmp_path / "calls") == []
    (tmp_path / "file").write_text("")
    jobs_file(etl, "file/calls")
    done = etl("doctor", "--offline")
    assert (done.returncode, "FAIL  recordings_url of recordings" in done.stdout) == (1, True)
    assert "Not a directory" in done.stdout


def test_a_password_in_a_place_for_audio_is_never_shown(etl: Command) -> None:
    jobs_file(etl, "sftp://user:hush-hush@127.0.0.1:1/calls")
    done = etl("doctor", "--offline")
    assert (done.returncode, "hush" in done.stdout + done.stderr) == (1, False)


@pytest.mark.parametrize(
    ("left", "outcome", "skipped"),
    [
        ({"limit": 1, "interval": 0.5, "daily": 10_000}, "rate_limited", "limit_too_low"),
        ({"limit": 100, "interval": 10, "daily": 2}, "budget", "daily_budget"),
    ],
    ids=["one in an interval", "the last one of the day"],
)
def test_a_run_ends_and_says_why_where_a_recording_needs_more_requests_than_are_left(
    job: Job, sandbox: RunningSandbox, call: str, left: dict[str, float], outcome: str, skipped: str
) -> None:
    sandbox.limits(**left)
    job.enqueue(job.ids[0])
    job.run()  # hears the limits, and leaves one request
    job.enqueue(call, kind="recording")
    report = job.run(kind="recording")
    assert (report.outcome, report.skipped) == (outcome, {skipped: {""}})
    assert job.queued() == [("recording", call)]

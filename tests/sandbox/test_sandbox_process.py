import re
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager

import pytest
import requests

from etl.sandbox.config import SandboxConfig
from etl.sandbox.keys import SandboxKeys
from etl.sandbox.server import RunningSandbox, SandboxProcess
from tests.waiting import await_

COMMAND = [sys.executable, "-c", "from etl.cli.sandbox import sandbox; sandbox()"]


@contextmanager
def serving(*options: str) -> Iterator[tuple[subprocess.Popen[str], str]]:
    command = [*COMMAND, "--port", "0", *options]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout is not None
            found = re.search(r"http://[\d.:]+", process.stdout.readline())
            assert found is not None
            yield process, found.group()
        finally:
            process.kill()


def is_listening(url: str) -> bool:
    try:
        return requests.get(f"{url}/sandbox", timeout=5).ok
    except requests.ConnectionError:
        return False


def test_a_sandbox_in_its_own_process_serves_the_data_of_its_configuration() -> None:
    with SandboxProcess(SandboxConfig(seed=5, messages=50)) as sandbox:
        first = sandbox.dataset.ids()[0]
        assert sandbox.dataset.things[first].payload == sandbox.get(first).json()


def test_a_sandbox_in_its_own_process_ends_when_closed() -> None:
    with SandboxProcess() as sandbox:
        url = sandbox.url
    assert not is_listening(url)


def test_a_sandbox_in_its_own_process_ends_when_its_parent_does() -> None:
    script = (
        "import os; from etl.sandbox.server import SandboxProcess;print(SandboxProcess().url, flush=True); os._exit(0)"
    )
    parent = subprocess.run([sys.executable, "-c", script], stdout=subprocess.PIPE, text=True, check=True, timeout=20)
    await_(lambda: not is_listening(parent.stdout.strip()))


def test_closing_does_not_wait_for_answers_that_are_late_on_purpose() -> None:
    with ThreadPoolExecutor(1) as pool, RunningSandbox(SandboxConfig(faults={"latency": 30})) as sandbox:
        answer = pool.submit(sandbox.get, sandbox.dataset.ids()[0])
        sandbox.wait_for(requests=1)
        sandbox.close()
        assert 500 == answer.result(timeout=25).status_code


def test_a_configuration_survives_the_journey() -> None:
    config = SandboxConfig(limit=None, faults={"shares": {"drop": 0.1}}, window="fixed")
    again = SandboxConfig.model_validate_json(config.model_dump_json())
    assert config.model_dump() == again.model_dump()


def test_a_closed_sandbox_listens_no_more() -> None:
    with RunningSandbox() as sandbox:
        url = sandbox.url
    assert not is_listening(url)


def test_a_sandbox_can_be_closed_before_it_was_asked_anything() -> None:
    sandbox = RunningSandbox()
    sandbox.close()
    assert not is_listening(sandbox.url)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_ends_the_command_with_zero(number: signal.Signals) -> None:
    with serving() as (process, _):
        process.send_signal(number)
        assert 0 == process.wait(timeout=10)


def test_the_command_prints_what_to_paste() -> None:
    with serving() as (process, url):
        place = requests.get(f"{url}/sandbox", timeout=10).json()["locations"][0]
        process.terminate()
        assert process.stdout is not None
        printed = process.stdout.read()
    variables = f"HIGHLEVEL_TOKEN={place['token']} HIGHLEVEL_LOCATION_ID={place['location_id']}"
    assert (
        f"export HIGHLEVEL_BASE_URL={url} {variables}\netl db upgrade\netl enqueue {' '.join(place['message_ids'])}\n"
        in printed
    )


def test_the_options_reach_the_sandbox() -> None:
    with serving("--limit", "7", "--faults", '{"shares": {"drop": 0.25}, "latency": 0.01}') as (_, url):
        config = requests.get(f"{url}/sandbox", timeout=10).json()["config"]
    expected = (7, {"drop": 0.25}, 0.01)
    assert expected == (config["limit"], config["faults"]["shares"], config["faults"]["latency"])


def test_a_port_in_use_is_a_usage_error_that_says_so() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = str(taken.getsockname()[1])
        ended = subprocess.run([*COMMAND, "--port", port], capture_output=True, text=True, check=False, timeout=20)
    assert (2, True) == (ended.returncode, "Address already in use" in ended.stderr)


def test_sending_reports_what_was_not_acknowledged(keys: SandboxKeys, sandbox: RunningSandbox) -> None:
    directory = str(keys.ed25519_public_pem.parent)
    options = ["--to", f"{sandbox.url}/nobody", "--count", "3", "--rate", "100", "--keys", directory]
    ended = subprocess.run([*COMMAND, "send", *options], capture_output=True, text=True, check=False, timeout=60)
    assert (1, True) == (ended.returncode, "(404: 3); 0 acknowledged, 3 not, 0 forgeries" in ended.stdout)

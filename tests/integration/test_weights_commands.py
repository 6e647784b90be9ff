"""The commands for weights as users run them: processes, a hub on loopback, a folder of models."""

from __future__ import annotations

import hashlib
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from tests.gguf_factory import write_tiny_gguf
from tests.mock_hub import MockHub, mock_hub

REPOSITORY = "someone/Tiny-GGUF"
FILE = "Tiny-Q4_K_M.gguf"
TIMEOUT = 60


@pytest.fixture(scope="module")
def weights(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    """A model that loads, of some megabytes."""
    path = tmp_path_factory.mktemp("weights") / FILE
    return write_tiny_gguf(path, n_vocab=4000, n_embd=256).read_bytes()


@pytest.fixture
def hub(weights: bytes) -> Iterator[MockHub]:
    with mock_hub() as hub:
        hub.add(REPOSITORY, {FILE: weights})
        yield hub


@pytest.fixture
def environment(tmp_path: Path, hub: MockHub) -> dict[str, str]:
    kept = {name: value for name, value in os.environ.items() if not name.startswith("HF_")}
    return {**kept, "HF_ENDPOINT": hub.url, "EDGE_LLAMA_HOME": str(tmp_path / "home")}


@contextmanager
def running(environment: dict[str, str], *arguments: str) -> Iterator[subprocess.Popen[str]]:
    """A command that runs meanwhile."""
    process = subprocess.Popen(
        [sys.executable, "-m", "edge_llama", *arguments],
        env=environment,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        encoding="utf-8",
    )
    try:
        yield process
    finally:
        process.kill()
        process.communicate(timeout=TIMEOUT)


def run(environment: dict[str, str], *arguments: str) -> tuple[int, str, str]:
    """Exit code, stdout and stderr of a command."""
    with running(environment, *arguments) as process:
        out, err = process.communicate(timeout=TIMEOUT)
        return process.returncode, out, err


def as_json(environment: dict[str, str], *arguments: str) -> Any:
    code, out, err = run(environment, *arguments, "--json")
    assert code == 0, err
    return json.loads(out)


def wait_for_bytes(hub: MockHub, count: int, environment: dict[str, str]) -> None:
    """Until so many were sent, and some of them are in a file."""
    incoming = Path(environment["EDGE_LLAMA_HOME"]) / "models" / ".incoming"
    until = time.monotonic() + TIMEOUT
    while hub.served < count or not any(path.stat().st_size for path in incoming.rglob("*.part")):
        assert time.monotonic() < until
        time.sleep(0.01)


def test_the_life_of_a_model(environment: dict[str, str], hub: MockHub, weights: bytes) -> None:
    hub.throttle, hub.throttle_after = 50_000, len(weights) // 3
    with running(environment, "pull", REPOSITORY):
        wait_for_bytes(hub, len(weights) // 3, environment)
    assert as_json(environment, "list") == []

    hub.throttle = None
    before = hub.served
    code, out, err = run(environment, "pull", REPOSITORY, "--progress", "json")
    assert code == 0, err
    done = json.loads(out.splitlines()[-1])
    assert done["event"] == "done"
    assert done["sha256"] == hashlib.sha256(weights).hexdigest()
    assert Path(done["path"]).read_bytes() == weights
    assert hub.served - before < len(weights)

    hub.requests.clear()
    (listed,) = as_json(environment, "list")
    assert (listed["id"], listed["complete"]) == ("Tiny-Q4_K_M", True)
    assert run(environment, "path", "tiny-q4_k_m") == (0, f"{listed['path']}\n", "")
    shown = as_json(environment, "show", REPOSITORY)
    assert (shown["id"], shown["fit"]["fits"]) == ("Tiny-Q4_K_M", True)
    (verified,) = as_json(environment, "verify")
    assert verified["ok"] is True
    assert run(environment, "rm", "Tiny-Q4_K_M")[0] == 2  # nobody is there to be asked
    assert run(environment, "rm", "Tiny-Q4_K_M", "--yes")[0] == 0
    assert as_json(environment, "list") == []
    assert not Path(done["path"]).exists()
    assert hub.requests == []


@pytest.mark.skipif(sys.platform == "win32", reason="no SIGINT for another process there")
@pytest.mark.parametrize("command", ["pull", "serve", "chat"])
def test_ctrl_c_is_calm_and_a_pull_goes_on(
    environment: dict[str, str], hub: MockHub, weights: bytes, command: str
) -> None:
    hub.throttle, hub.throttle_after = 50_000, len(weights) // 3
    with running(environment, command, REPOSITORY) as pull:
        wait_for_bytes(hub, len(weights) // 3, environment)
        pull.send_signal(signal.SIGINT)
        out, err = pull.communicate(timeout=TIMEOUT)
    assert (pull.returncode, out) == (130, "")
    assert err.splitlines()[-1] == "Stopped. The same command goes on where it was."
    assert "Traceback" not in err

    hub.throttle = None
    before = hub.served
    assert run(environment, "pull", REPOSITORY)[0] == 0
    assert hub.served - before < len(weights)


def test_two_pulls_are_one_download(
    environment: dict[str, str], hub: MockHub, weights: bytes
) -> None:
    hub.throttle = 4_000_000
    command = ("pull", REPOSITORY, "--progress", "json")
    with running(environment, *command) as one, running(environment, *command) as other:
        outs = [pull.communicate(timeout=TIMEOUT)[0] for pull in (one, other)]
        assert (one.returncode, other.returncode) == (0, 0)
    assert {json.loads(out.splitlines()[-1])["event"] for out in outs} == {"done"}
    assert hub.served == len(weights)

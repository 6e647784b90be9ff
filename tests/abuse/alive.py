"""Alive: what must hold of a server after whatever was done to it.

```
with watched(str(tiny_gguf)) as server:
    with server.unharmed():
        ...                        # the attack
```
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import psutil

from tests.abuse.resident import Resident, resident
from tests.effort import PATIENCE, check_effort, own_cpu_seconds
from tests.serving import serving

HEALTH_EFFORT = 500
"""What the server may compute until it tells that it is well, in rounds of the control."""
SETTLE_TURNS = 100
"""How often it is asked meanwhile, until open files and memory are back."""
IDLE_EFFORT = 1000
"""What the engine may still compute of what an attack left running."""
GROWTH = 1.1
SLACK = 16_000_000
"""Bytes by which a small process grows when Python first uses some of its modules."""

QUESTION = "What holds, holds."
REFERENCE = {"temperature": 0, "repetition_penalty": 1.3, "ignore_eos": True}
"""Greedy, but a model of random weights would say one thing only."""


@dataclass(frozen=True)
class Vitals:
    """Of a healthy server.

    Attributes:
        answer: to the same question, greedy and alone.
        files: open file descriptors, or handles on Windows.
        memory: bytes of the server's own, without its engines; pages of files come and go.
        engine_memory: bytes of those.
    """

    answer: str
    files: int
    memory: int
    engine_memory: int


class WatchedServer:
    """A running server, its log, and a check that it is as it was.

    Args:
        url: where it is.
        process: the server.
        log: its stderr.
        key: its API key, if it wants one.
    """

    def __init__(
        self, url: str, process: subprocess.Popen[str], log: Path, key: str | None = None
    ) -> None:
        self.url = url
        self.process = process
        self.headers = {} if key is None else {"Authorization": f"Bearer {key}"}
        self._log = log
        self._client = self._new_client()
        self._process = psutil.Process(process.pid)

    @property
    def address(self) -> tuple[str, int]:
        host, _, port = self.url.removeprefix("http://").rpartition(":")
        return host, int(port)

    @property
    def log(self) -> str:
        return self._log.read_text(errors="replace")

    @property
    def resident(self) -> Resident:
        """What the server holds of memory, without its engine."""
        return resident([self._process])

    @property
    def memory(self) -> int:
        """Bytes of the server's own, without its engine."""
        return self.resident.own

    @property
    def engine_memory(self) -> int:
        return resident(self.engines).own

    @property
    def engines(self) -> list[psutil.Process]:
        return [child for child in self._process.children() if _is_engine(child)]

    def body(self, **fields: Any) -> dict[str, Any]:
        """A small chat request."""
        message = {"role": "user", "content": QUESTION}
        return {"model": "tiny", "messages": [message], "max_tokens": 4, **fields}

    def post(self, body: Any, path: str = "/v1/chat/completions") -> httpx.Response:
        """Send a body: bytes as they are, anything else as JSON."""
        content = body if isinstance(body, bytes) else json.dumps(body).encode()
        headers = {"Content-Type": "application/json"}
        return self._client.post(self.url + path, content=content, headers=headers)

    def get(self, path: str) -> httpx.Response:
        return self._client.get(self.url + path)

    def metrics(self) -> dict[str, float]:
        """What /metrics tells of its model, without the names' `edge_llama_`."""
        lines = self.get("/metrics").text.splitlines()
        pairs = [line.rsplit(" ", 1) for line in lines if line.startswith("edge_llama_")]
        return {
            name.partition("{")[0].removeprefix("edge_llama_"): float(value)
            for name, value in pairs
        }

    def _new_client(self) -> httpx.Client:
        # Without a context for https, which takes longer to make than a small request takes.
        return httpx.Client(verify=False, timeout=PATIENCE, headers=self.headers)

    def close(self) -> None:
        self._client.close()

    def answer(self) -> str:
        """The reference answer."""
        reply = self.post(self.body(max_tokens=24, **REFERENCE))
        assert reply.status_code == 200, reply.text
        return str(reply.json()["choices"][0]["message"]["content"])

    def warm_up(self) -> None:
        """Touch the memory that long prompts take."""
        message = {"role": "user", "content": "ab " * 3500}
        assert self.post(self.body(messages=[message])).status_code in (200, 400)

    def vitals(self) -> Vitals:
        answer = self.answer()
        return Vitals(
            answer,
            self.files,
            self.memory,
            self.engine_memory,
        )

    @contextmanager
    def unharmed(self) -> Iterator[None]:
        """What is done inside must leave the server as it was before."""
        self.answer()
        before = self.vitals()
        yield
        self.check(before)

    def check(self, before: Vitals) -> None:
        """See that it is as it was `before`.

        Raises:
            AssertionError: it is not.
        """
        assert self.process.poll() is None, self.log
        computed = sum(map(own_cpu_seconds, self.engines))
        with self.at_most(HEALTH_EFFORT):
            assert self.get("/health").status_code == 200
        until(self._idle, PATIENCE, "the engine still computes")
        check_effort(sum(map(own_cpu_seconds, self.engines)) - computed, IDLE_EFFORT)
        assert self.answer() == before.answer
        self._settle(lambda: self.files <= before.files * GROWTH, self._open_files)
        self._settle(
            lambda: self.memory <= before.memory * GROWTH + SLACK,
            lambda: f"{before.memory} bytes have become {self.memory}",
        )
        assert self.engine_memory <= before.engine_memory * GROWTH + SLACK
        assert "Traceback" not in self.log, self.log

    @contextmanager
    def at_most(self, rounds: int) -> Iterator[None]:
        """See that it computes little for what is done inside, its engine not counted."""
        began = own_cpu_seconds(self._process)
        yield
        check_effort(own_cpu_seconds(self._process) - began, rounds)

    def _settle(self, condition: Callable[[], bool], otherwise: Callable[[], str]) -> None:
        """Wait for something to come back, while the server goes round and round."""
        for _ in range(SETTLE_TURNS):
            if condition():
                return
            assert self.get("/health").status_code == 200
            time.sleep(0.05)
        raise AssertionError(otherwise())

    def _idle(self) -> bool:
        return all(_cpu_seconds(engine, 0.1) < 0.03 for engine in self.engines)

    @property
    def files(self) -> int:
        """Open files, or handles on Windows."""
        count = "num_handles" if sys.platform == "win32" else "num_fds"
        return int(getattr(self._process, count)())

    def connections(self) -> list[Any]:
        """The sockets of the server, as psutil tells them."""
        return list(self._process.net_connections())

    def clients(self) -> list[Any]:
        """Connections that are open, those of this object not counted."""
        self._client.close()
        self._client = self._new_client()
        time.sleep(0.1)
        return [each for each in self.connections() if each.status == psutil.CONN_ESTABLISHED]

    def _open_files(self) -> str:
        return f"{self.files} files are open: {self.connections()}"


@contextmanager
def watched(
    *arguments: str,
    key: str | None = None,
    under: str = "",
    warm: bool = True,
    environment: Mapping[str, str] | None = None,
) -> Iterator[WatchedServer]:
    """A real server, watched.

    Args:
        arguments: of `edge-llama serve`; the model's name must be `tiny`.
        key: its API key, if it wants one.
        under: a command that starts it.
        warm: ask it something first.
        environment: more variables.
    """
    with tempfile.TemporaryDirectory() as folder:
        log = Path(folder) / "log"
        with serving(*arguments, log=str(log), under=under, **environment or {}) as (url, process):
            server = WatchedServer(url, process, log, key)
            with closing(server):
                if warm:
                    server.warm_up()
                yield server


def check_error(response: httpx.Response, *statuses: int) -> dict[str, Any]:
    """See that it is an error in the contract's shape with one of these statuses; the error."""
    assert response.status_code in statuses, (response.status_code, response.text[:500])
    (kind,) = response.json().keys()
    assert kind == "error"
    error: dict[str, Any] = response.json()["error"]
    assert error.keys() == {"message", "type", "param", "code"}
    assert error["message"]
    assert not any(word in response.text for word in ("Traceback", "site-packages", "0x7f"))
    if response.status_code in (429, 503):
        assert 1 <= int(response.headers["retry-after"]) <= 120
    return error


def until(
    condition: Callable[[], bool], seconds: float, otherwise: str | Callable[[], str]
) -> None:
    """Wait until it holds.

    Raises:
        AssertionError: it did not within `seconds`.
    """
    deadline = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > deadline:
            raise AssertionError(otherwise if isinstance(otherwise, str) else otherwise())
        time.sleep(0.05)


def _is_engine(process: psutil.Process) -> bool:
    try:
        return any("edge_llama.engine.worker" in word for word in process.cmdline())
    except psutil.Error:  # it has just ended
        return False


def _cpu_seconds(process: psutil.Process, wait: float) -> float:
    """CPU time that it takes during `wait` seconds."""
    before = own_cpu_seconds(process)
    time.sleep(wait)
    return own_cpu_seconds(process) - before

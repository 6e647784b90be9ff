"""Hostile and changing files: cases 16 and 17 of what must hold."""

from __future__ import annotations

import random
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from edge_llama.engine.client.async_engine import AsyncEngine
from edge_llama.errors import EngineStartError, ModelFileError
from edge_llama.settings.engine import EngineSettings
from edge_llama.weights.gguf.check import check_model
from edge_llama.weights.gguf.header import read_header
from edge_llama.weights.gguf.model import read_model
from edge_llama.weights.memory.model_shape import ModelShape
from tests.abuse.alive import watched
from tests.effort import PATIENCE, at_most
from tests.gguf_factory import write_tiny_gguf

INTERESTING = [0, 1, 7, 255, 2**16, 2**31 - 1, 2**31, 2**32 - 1, 2**32, 2**62, 2**63 - 1, 2**63]
INTERESTING += [2**64 - 1, 2**64 - 32]


@pytest.fixture(scope="module")
def seed_model(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    path = tmp_path_factory.mktemp("seed") / "seed.gguf"
    return write_tiny_gguf(path, n_vocab=288, n_layer=1, n_ctx=512).read_bytes()


def mutate(model: bytes, header: int, rng: random.Random) -> bytes:
    """A damaged copy: cut, flipped, or with a number that no file means."""
    damaged = bytearray(model)

    def place() -> int:
        return rng.randrange(header)

    def number() -> None:
        at = place()
        size = rng.choice([1, 2, 4, 8])
        damaged[at : at + size] = (rng.choice(INTERESTING) % 2 ** (8 * size)).to_bytes(
            size, "little"
        )

    def flip() -> None:
        damaged[place()] ^= 1 << rng.randrange(8)

    def move() -> None:
        start, length, to = place(), rng.randrange(1, 64), place()
        damaged[to : to + length] = damaged[start : start + length]

    def drop() -> None:
        at = place()
        del damaged[at : at + rng.randrange(1, 16)]

    def cut() -> None:
        del damaged[rng.randrange(len(damaged)) :]

    changes: list[Callable[[], None]] = [number, number, number, flip, flip, move, drop]
    for _ in range(rng.choice([1, 1, 2, 4])):
        rng.choice(changes)()
    if rng.random() < 0.05:
        cut()
    return bytes(damaged)


def mutants(model: bytes, folder: Path, count: int, seed: int) -> Iterator[Path]:
    """Damaged models that our reader takes; the others it must refuse by itself."""
    rng = random.Random(seed)
    path = folder / "mutant.gguf"
    path.write_bytes(model)
    # Most of a header is vocabulary; damage elsewhere goes deeper.
    data_start = read_header(path).data_start
    for _ in range(count):
        header = rng.choice([1200, data_start, data_start])
        path.write_bytes(mutate(model, header, rng))
        with at_most(5000):
            try:
                read = read_model(path)
                ModelShape.of_model(read)
                check_model(read)
            except ModelFileError:
                continue
        yield path


def test_damaged_models_are_read_or_refused(seed_model: bytes, tmp_path: Path) -> None:
    accepted = sum(1 for _ in mutants(seed_model, tmp_path, 300, seed=1))
    assert 0 < accepted < 300


@pytest.mark.abuse
@pytest.mark.timeout(1800)
@pytest.mark.skipif(sys.platform == "win32", reason="forks")
def test_10000_damaged_models(seed_model: bytes, tmp_path: Path) -> None:
    """A typed error, or a model that runs; what ends llama.cpp ends a child process only."""
    results: Counter[str] = Counter()
    deadly: list[bytes] = []
    with _loader() as load:
        for path in mutants(seed_model, tmp_path, 10_000, seed=2):
            result = load(path)
            results[result] += 1
            if result not in ("ok", "refused"):
                deadly.append(path.read_bytes())
    print(f"refused by our reader: {10_000 - results.total()}, llama.cpp: {dict(results)}")
    assert results["ok"] > 100
    for number, content in enumerate(deadly):
        (tmp_path / f"deadly-{number}.gguf").write_bytes(content)
    assert not deadly


@pytest.mark.skipif(sys.platform == "win32", reason="forks")
def test_what_is_no_refusal_is_not_taken_for_one(seed_model: bytes, tmp_path: Path) -> None:
    whole, cut = tmp_path / "whole.gguf", tmp_path / "cut.gguf"
    whole.write_bytes(seed_model)
    cut.write_bytes(seed_model[:-1000])
    # Neither passes our checks: text has no tokens, a token is there twice.
    speechless = write_tiny_gguf(
        tmp_path / "speechless.gguf", metadata={"tokenizer.ggml.model": "rwkv"}
    )
    twice = tmp_path / "twice.gguf"
    twice.write_bytes(with_a_token_twice(seed_model))
    with _loader() as load:
        results = [load(path) for path in (whole, cut, speechless, twice, whole)]
    assert results == ["ok", "refused", "raised DecodeError", f"died {signal.SIGABRT:d}", "ok"]


def with_a_token_twice(model: bytes) -> bytes:
    """llama.cpp aborts on it."""
    length = (1).to_bytes(8, "little")
    return model.replace(length + b"a", length + b"b", 1)


@contextmanager
def _loader() -> Iterator[Callable[[Path], str]]:
    command = [sys.executable, "-m", "tests.abuse.load_models"]
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        stdin, stdout = process.stdin, process.stdout

        def load(path: Path) -> str:
            stdin.write(f"{path}\n")
            stdin.flush()
            return stdout.readline().strip()

        yield load
        stdin.close()


@pytest.mark.parametrize("part", [3, 0.9])
def test_a_cut_model_is_refused_with_one_line(
    seed_model: bytes, tmp_path: Path, part: float
) -> None:
    path = tmp_path / "tiny.gguf"
    path.write_bytes(seed_model[: int(part if part >= 3 else len(seed_model) * part)])
    done = subprocess.run(
        [sys.executable, "-m", "edge_llama", "serve", str(path), "--port", "0"],
        capture_output=True,
        text=True,
        timeout=PATIENCE,
        check=False,
    )
    assert (done.returncode, done.stdout) == (7, "")
    assert done.stderr.count("\n") == 1


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no signals")
async def test_a_model_that_ends_llama_cpp_is_a_typed_error(
    seed_model: bytes, tmp_path: Path
) -> None:
    """The header is whole, and llama.cpp aborts all the same."""
    path = tmp_path / "twice.gguf"
    path.write_bytes(with_a_token_twice(seed_model))
    read_header(path)
    with pytest.raises(EngineStartError, match="damaged"):
        async with AsyncEngine(EngineSettings(model=str(path), ctx_size=256, threads=1)):
            pass


HOSTILE_TEMPLATES = [
    "{{ ''.__class__.__mro__[1].__subclasses__() }}",
    "{{ cycler.__init__.__globals__.os.popen('touch /tmp/owned').read() }}",
    "{% for a in range(99999) %}{% for b in range(99999) %}{% for c in range(99999) %}x"
    "{% endfor %}{% endfor %}{% endfor %}",
    "{{ 'a' * 10**10 }}",
]


@pytest.mark.abuse
@pytest.mark.parametrize("template", HOSTILE_TEMPLATES)
def test_a_hostile_chat_template_is_an_error_in_time(tmp_path: Path, template: str) -> None:
    # Without Llama 3.1's tokens in it, the template is not taken for Llama 3.1's own.
    path = write_tiny_gguf(
        tmp_path / "tiny.gguf", chat_template="{% if messages %}" + template + "{% endif %}"
    )
    with _serving_anything(path) as (ask, memory):
        began = time.monotonic()
        status = ask()
        assert status in (200, 400, 500)
        assert time.monotonic() - began < 6
        assert memory() < 300_000_000


@contextmanager
def _serving_anything(path: Path) -> Iterator[tuple[Callable[[], int], Callable[[], int]]]:
    with watched(str(path), "--ctx-size", "512", warm=False) as server:
        yield lambda: server.post(server.body(max_tokens=1)).status_code, lambda: server.memory
        assert server.get("/health").status_code == 200
        assert server.process.poll() is None


def test_a_model_that_is_replaced_while_it_is_served(tmp_path: Path) -> None:
    path = write_tiny_gguf(tmp_path / "tiny.gguf", n_ctx=2048)
    other = write_tiny_gguf(tmp_path / "other.gguf", n_ctx=2048, seed=2)
    with watched(str(path), "--ctx-size", "1024") as server, server.unharmed():
        before = server.answer()
        other.replace(path)
        assert server.answer() == before
        path.unlink()


@pytest.mark.skipif(sys.platform == "win32", reason="uses POSIX permissions")
@pytest.mark.abuse
@pytest.mark.parametrize("home", ["none", "read-only", "missing"])
def test_it_works_without_a_home_and_without_a_network(
    tiny_gguf: Path, tmp_path: Path, home: str
) -> None:
    folder = tmp_path / "home"
    if home == "read-only":
        folder.mkdir(0o555)
    environment = {"HF_HUB_OFFLINE": "1", "HOME": "" if home == "none" else str(folder)}
    with (
        watched(str(tiny_gguf), "--ctx-size", "1024", environment=environment) as server,
        server.unharmed(),
    ):
        peers = {connection.raddr.ip for connection in server.connections() if connection.raddr}
        assert peers <= {"127.0.0.1"}
    if home == "read-only":
        assert list(folder.iterdir()) == []

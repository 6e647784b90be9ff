"""What was read of prompts survives a restart, by the whole server."""

from __future__ import annotations

import re
import signal
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import httpx

from edge_llama.api.gate.key_file import add_key
from edge_llama.bench.targets.server import UNSAVED
from tests.effort import PATIENCE
from tests.serving import serving

SYSTEM = "You are a patient guide to the town of Elmwood. " + " ".join(
    f"House {number} of Mill Street is {number * 7 % 90 + 10} years old." for number in range(30)
)


def ask(url: str, question: str = "Hello!", key: str = "") -> dict[str, Any]:
    messages = [{"role": "system", "content": SYSTEM}, {"role": "user", "content": question}]
    body = {"model": "demo", "messages": messages, "temperature": 0, "max_tokens": 12}
    headers = {"Authorization": f"Bearer {key}"} if key else {}
    answer = httpx.post(f"{url}/v1/chat/completions", json=body, headers=headers, timeout=60)
    assert answer.status_code == 200, answer.text
    reply: dict[str, Any] = answer.json()
    return reply


def cached(reply: dict[str, Any]) -> int:
    count: int = reply["usage"]["prompt_tokens_details"]["cached_tokens"]
    assert reply["timings"]["cache_n"] == count
    return count


def all_saved(url: str, key: str = "") -> None:
    """Wait until nothing is left to be written."""
    headers = {"Authorization": f"Bearer {key}"} if key else {}
    deadline = time.monotonic() + PATIENCE
    while any(map(float, UNSAVED.findall(httpx.get(f"{url}/metrics", headers=headers).text))):
        assert time.monotonic() < deadline, "not all is written"
        time.sleep(0.05)


def text(reply: dict[str, Any]) -> str:
    content: str = reply["choices"][0]["message"]["content"]
    return content


def test_a_prompt_is_not_read_again_after_a_restart(tmp_path: Path) -> None:
    flags = ("--cache-dir", str(tmp_path), "--cache-size", "1G", "--ctx-size", "2048")
    with serving(*flags) as (url, server):
        cold = ask(url)
        assert cached(cold) == 0
        server.send_signal(signal.SIGTERM)
        server.wait(timeout=PATIENCE)
    with serving(*flags) as (url, _):
        again = ask(url)
        assert cached(again) == again["usage"]["prompt_tokens"] - 1
        assert text(again) == text(cold)
        told = httpx.get(f"{url}/metrics").text
        hits = re.search(r'edge_llama_disk_hit_tokens_total\{model="demo"\} (\S+)', told)
        assert hits is not None
        assert float(hits[1]) == cached(again)
        # Another question after the same system prompt, which ends inside of a block.
        other = ask(url, "What is the capital of France?")
        assert cached(other) > 0.9 * cached(again)
    with serving(*flags, "--cache-size", "0") as (url, _):
        assert cached(ask(url)) == 0


def test_what_one_key_asked_is_not_there_for_another(tmp_path: Path) -> None:
    flags = ("--cache-dir", str(tmp_path), "--cache-size", "1G", "--ctx-size", "2048")
    for key, expected in (("alpha-key", False), ("beta-key", False), ("alpha-key", True)):
        with serving(*flags, EDGE_LLAMA_API_KEY=key) as (url, server):
            assert (cached(ask(url, key=key)) > 0) is expected
            all_saved(url, key)
            server.send_signal(signal.SIGTERM)
            server.wait(timeout=PATIENCE)
    names = " ".join(path.name for path in (tmp_path / "kv").iterdir())
    assert "alpha" not in names


def test_a_prefix_is_for_models_that_run_in_the_same_way(tmp_path: Path) -> None:
    way = ("--kv-type", "q8_0", "--kv-layout", "streams")
    (tmp_path / "system.txt").write_text(SYSTEM, encoding="utf-8")
    shipped = tmp_path / "prefix.kv"
    command = [sys.executable, "-m", "edge_llama", "warm", "demo", "--threads", "1", *way]
    command += ["--system", str(tmp_path / "system.txt"), "--export", str(shipped)]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)
    assert (done.returncode, done.stderr) == (0, "")
    flags = ("--cache-dir", str(tmp_path), "--cache-size", "1G", "--prefix", str(shipped))
    with serving(*flags, *way) as (url, _):
        assert cached(ask(url)) > 500
    with serving(*flags) as (url, server):
        assert cached(ask(url)) == 0
        server.send_signal(signal.SIGTERM)
        assert server.stderr is not None
        assert server.stderr.read().count("runs in another way") == 1


def test_keys_share_across_restarts_if_they_are_told_to(tmp_path: Path) -> None:
    file = tmp_path / "keys"
    alice, bob = (add_key(file, name) for name in ("alice", "bob"))
    flags = ["--cache-dir", str(tmp_path), "--cache-size", "1G", "--ctx-size", "2048"]
    flags += ["--api-key-file", str(file)]
    with serving(*flags, "--share-prefixes") as (url, server):
        ask(url, key=alice)
        all_saved(url, alice)
        server.send_signal(signal.SIGTERM)
        server.wait(timeout=PATIENCE)
    with serving(*flags, "--share-prefixes") as (url, _):
        assert cached(ask(url, key=bob)) > 500
    with serving(*flags) as (url, _):
        # Told otherwise again, each has what is its own.
        assert cached(ask(url, key=bob)) == 0


def test_two_servers_share_a_folder(tmp_path: Path) -> None:
    flags = ("--cache-dir", str(tmp_path), "--cache-size", "1G", "--ctx-size", "2048")
    questions = [f"What is {n} and {n}?" for n in range(8)]
    with serving(*flags, "--cache-size", "0") as (url, _):
        cold = [text(ask(url, question)) for question in questions]
    with (
        serving(*flags) as (one, _),
        serving(*flags) as (two, _),
        serving(*flags) as (three, _),
        ThreadPoolExecutor(4) as pool,
    ):
        urls = [one, two] * 4
        for _ in range(2):
            assert [text(reply) for reply in pool.map(ask, urls, questions)] == cold
            urls.reverse()
        # What the one has written, another reads that was there before; not one that computed
        # already, for it knows how fast it does, and waits no longer than that for a busy disk.
        only = ask(one, "Only one was asked this. " * 30)
        all_saved(one)
        again = ask(three, "Only one was asked this. " * 30)
        assert cached(again) == again["usage"]["prompt_tokens"] - 1
        assert text(again) == text(only)
    names = [path.name for path in (tmp_path / "kv" / "parts").iterdir()]
    assert names == ["lock"]


def test_the_first_question_is_warm_with_a_prefix_that_was_shipped(tmp_path: Path) -> None:
    (tmp_path / "system.txt").write_text(SYSTEM, encoding="utf-8")
    shipped = tmp_path / "prefix.kv"
    command = [sys.executable, "-m", "edge_llama", "warm", "demo", "--threads", "1"]
    command += ["--system", str(tmp_path / "system.txt"), "--export", str(shipped)]
    # The settings of `serve`, which the context is part of where memory is short.
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)
    assert (done.returncode, done.stderr) == (0, "")
    assert "tokens are in" in done.stdout
    assert not [path for path in tmp_path.iterdir() if path.name.startswith(".")]
    flags = ("--cache-dir", str(tmp_path / "cache"), "--cache-size", "1G", "--ctx-size", "2048")
    for key in ("", "some-key"):
        environment = {"EDGE_LLAMA_API_KEY": key} if key else {}
        with serving(*flags, "--prefix", str(shipped), **environment) as (url, _):
            first = ask(url, key=key)
        assert cached(first) > 0.95 * first["usage"]["prompt_tokens"] - 20


def test_a_shipped_prefix_of_something_else_is_ignored_with_a_line(tmp_path: Path) -> None:
    bad = tmp_path / "bad.kv"
    bad.write_bytes(b"nonsense")
    flags = ("--cache-dir", str(tmp_path), "--cache-size", "1G", "--prefix", str(bad))
    with serving(*flags) as (url, server):
        assert cached(ask(url)) == 0
        server.send_signal(signal.SIGTERM)
        assert server.stderr is not None
        assert server.stderr.read().count("is not used") == 1
        assert server.wait(timeout=PATIENCE) == 0

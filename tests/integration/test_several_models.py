"""Several real models in one server: loaded when they are asked for, and unloaded."""

from __future__ import annotations

import asyncio
import shutil
import sys
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

import httpx
import openai
import psutil
import pytest

from edge_llama.chat.messages import ChatRequest, Message, Role
from edge_llama.engine.client.async_engine import AsyncEngine
from edge_llama.engine.protocol.request import GenerationOptions
from edge_llama.pool.model_pool import ModelPool
from edge_llama.pool.pooled_model import PooledModel
from edge_llama.settings.engine import EngineSettings
from edge_llama.settings.pool import PoolSettings
from edge_llama.weights.demo import bundled_model
from tests.effort import PATIENCE
from tests.serving import serving

HI: Any = [{"role": "user", "content": "Hello!"}]


@pytest.fixture(scope="module")
def copies(tmp_path_factory: pytest.TempPathFactory) -> list[str]:
    """The demo model under two other names."""
    folder = tmp_path_factory.mktemp("models")
    paths = [folder / "one.gguf", folder / "two.gguf"]
    for path in paths:
        shutil.copy(bundled_model(), path)
    return [str(path) for path in paths]


def states(url: str) -> dict[str, str]:
    models = httpx.get(f"{url}/v1/models").json()["data"]
    return {model["id"]: model["state"] for model in models}


def engines(server: psutil.Process) -> list[psutil.Process]:
    return [
        child
        for child in server.children()
        if child.status() != psutil.STATUS_ZOMBIE and "engine.worker" in " ".join(child.cmdline())
    ]


def until(condition: Callable[[], bool], seconds: float = PATIENCE) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.05)


def answer(url: str, model: str) -> str:
    """The text of a reply, through the real client, without retries."""
    with openai.OpenAI(base_url=f"{url}/v1", api_key="none", max_retries=0) as client:
        reply = client.chat.completions.create(model=model, messages=HI, temperature=0)
        return str(reply.choices[0].message.content)


@contextmanager
def streaming(url: str, model: str) -> Iterator[Callable[[], str]]:
    """A stream that has begun, which needs its model; it gives all of its text."""
    with (
        openai.OpenAI(base_url=f"{url}/v1", api_key="none", max_retries=0) as client,
        client.chat.completions.create(
            model=model, messages=HI, temperature=0, stream=True
        ) as chunks,
    ):
        first = next(chunks)
        yield lambda: "".join(c.choices[0].delta.content or "" for c in [first, *chunks])


def test_the_first_is_loaded_the_others_when_they_are_asked_for(copies: list[str]) -> None:
    aliases = ("--alias", "one=meta/llama-3.1-8b-instruct", "--alias", f"{copies[1]}=second")
    with serving(*copies, *aliases) as (url, process):
        server = psutil.Process(process.pid)
        assert states(url) == {"one": "loaded", "two": "available"}
        assert len(engines(server)) == 1
        assert httpx.get(f"{url}/health/ready").status_code == 200
        texts = {answer(url, name) for name in ("meta/llama-3.1-8b-instruct", "second", "two")}
        assert len(texts) == 1
        assert states(url) == {"one": "loaded", "two": "loaded"}
        assert len(engines(server)) == 2
        with pytest.raises(openai.NotFoundError, match=r"Served: one, two\."):
            answer(url, "three")


def test_idle_models_end_and_their_memory_returns(copies: list[str]) -> None:
    with serving(*copies, "--keep-alive", "1") as (url, process):
        server = psutil.Process(process.pid)
        with streaming(url, "two") as text:
            assert engines(server)[-1].memory_info().rss > 20e6
            whole = text()
        until(lambda: engines(server) == [])
        assert states(url) == {"one": "available", "two": "available"}
        assert httpx.get(f"{url}/health/ready").status_code == 200
        listed = httpx.get(f"{url}/v1/models/two").json()
        assert (listed["context_length"], listed["quantization"]) == (4096, "Q8_0")
        assert answer(url, "two") == whole


@pytest.mark.parametrize("keep_alive", ["0", "-1"])
def test_a_model_may_be_unloaded_at_once_or_never(keep_alive: str) -> None:
    with serving("demo", "--keep-alive", keep_alive) as (url, process):
        server = psutil.Process(process.pid)
        answer(url, "demo")
        if keep_alive == "0":
            until(lambda: engines(server) == [])
        else:
            time.sleep(1)
            assert len(engines(server)) == 1


def test_500_requests_at_the_unload_boundary_lose_none(copies: list[str]) -> None:
    keep_alive, bursts, burst = 0.2, 10, 50
    replies: list[httpx.Response] = []
    loads: set[int] = set()
    with (
        serving(*copies, "--keep-alive", str(keep_alive)) as (url, process),
        ThreadPoolExecutor(burst) as threads,
        httpx.Client(base_url=url, timeout=60) as client,
    ):

        def ask(number: int, pause: float) -> httpx.Response:
            # Bursts begin before, at and after the moment of unloading.
            time.sleep(keep_alive * (pause + 0.2 * number / burst))
            body = {"model": ("one", "two")[number % 2], "messages": HI, "max_tokens": 3}
            stream = number % 3 == 0
            return client.post("/v1/chat/completions", json={**body, "stream": stream})

        server = psutil.Process(process.pid)
        for turn in range(bursts):
            replies += threads.map(partial(ask, pause=0.7 + 0.1 * turn), range(burst))
            loads.update(engine.pid for engine in engines(server))
        until(lambda: engines(server) == [])
    assert [reply.status_code for reply in replies] == [200] * 500
    for reply in replies:
        whole = reply.text.endswith("data: [DONE]\n\n") or reply.json()["choices"]
        assert whole
        assert '"error"' not in reply.text
    assert len(loads) > 2


@pytest.mark.skipif(sys.platform == "win32", reason="uses POSIX signals")
def test_a_dead_engine_is_restarted_and_the_other_is_not_disturbed(copies: list[str]) -> None:
    with serving(*copies) as (url, process):
        server = psutil.Process(process.pid)
        (first,) = engines(server)
        answer(url, "two")
        first.kill()
        until(lambda: states(url)["one"] == "restarting")
        assert httpx.get(f"{url}/health/ready").status_code == 200
        assert answer(url, "two")
        until(lambda: states(url)["one"] == "loaded")
        assert answer(url, "one")


def test_a_model_that_cannot_be_loaded_leaves_the_others_alone(
    copies: list[str], tmp_path: Path
) -> None:
    broken = tmp_path / "broken.gguf"
    shutil.copy(bundled_model(), broken)
    with serving(copies[0], str(broken)) as (url, _):
        broken.write_bytes(broken.read_bytes()[:1_000_000])
        with pytest.raises(openai.InternalServerError, match="could not be loaded"):
            answer(url, "broken")
        assert states(url) == {"one": "loaded", "broken": "failed"}
        assert answer(url, "one")
        shutil.copy(bundled_model(), broken)
        until(lambda: states(url)["broken"] == "available")
        assert answer(url, "broken")


def test_a_server_ends_with_all_of_its_engines(copies: list[str]) -> None:
    with serving(*copies) as (url, process):
        answer(url, "two")
        running = engines(psutil.Process(process.pid))
        assert len(running) == 2
        process.terminate()
        assert process.wait(timeout=PATIENCE) in (0, 1 if sys.platform == "win32" else 0)
        gone, alive = psutil.wait_procs(running, timeout=PATIENCE)
        assert (len(gone), alive) == (2, [])


async def test_models_that_do_not_fit_together_take_turns(copies: list[str]) -> None:
    models = [
        PooledModel(path, partial(AsyncEngine, EngineSettings(model=path, threads=1)), memory=1)
        for path in copies
    ]
    pool = ModelPool(models, PoolSettings(memory=1, turn=0))
    most = 0

    async def ask(model: PooledModel) -> None:
        nonlocal most
        async with pool.use(model) as chat:
            most = max(most, len(engines(psutil.Process())))
            request = ChatRequest(
                messages=(Message(Role.USER, "Hello!"),), options=GenerationOptions(max_tokens=3)
            )
            async with await chat.start(request) as completion:
                assert [event async for event in completion]

    await asyncio.gather(*(ask(model) for model in models * 20))
    await asyncio.gather(*(ask(model) for model in models * 20))
    pool.check_integrity()
    await pool.close()
    assert most == 1
    assert engines(psutil.Process()) == []

"""The real engine process, on a tiny model."""

from __future__ import annotations

import asyncio
import struct
import sys
from collections.abc import AsyncIterator, Callable, Coroutine
from dataclasses import replace
from pathlib import Path
from typing import Any

import psutil
import pytest
import pytest_asyncio

from edge_llama.engine.client.async_engine import AsyncEngine, EngineState
from edge_llama.engine.client.generation import MAX_PENDING, Generation
from edge_llama.engine.client.process import EngineProcess
from edge_llama.engine.protocol.output import FinishReason, Output
from edge_llama.engine.protocol.prompt import Control, Text
from edge_llama.engine.protocol.request import GenerationOptions, GenerationRequest
from edge_llama.engine.protocol.sampling_params import SamplingParams
from edge_llama.errors import (
    ContextLengthExceeded,
    EngineDied,
    EngineError,
    EngineKilled,
    EngineStartError,
    EngineUnavailable,
    InvalidValue,
    RequestCrashesEngine,
    RequestTimedOut,
    SettingsError,
)
from edge_llama.settings.engine import EngineSettings
from tests.api.asgi_call import until
from tests.effort import PATIENCE

GREEDY = SamplingParams(temperature=0, ignore_eos=True)
FULL = 32768


def request(
    text: str, max_tokens: int | None = 8, n: int = 1, sampling: SamplingParams = GREEDY
) -> GenerationRequest:
    prompt = (Control("<|begin_of_text|>"), Text(text))
    return GenerationRequest(
        prompt=prompt, options=GenerationOptions(max_tokens=max_tokens, n=n, sampling=sampling)
    )


async def outputs_of(engine: AsyncEngine, request: GenerationRequest) -> list[Output]:
    return [output async for output in await engine.submit(request)]


async def take_all(generation: Generation) -> list[Output]:
    return [output async for output in generation]


def tokens_of(outputs: list[Output], index: int = 0) -> list[int]:
    return [token for output in outputs if output.index == index for token in output.tokens]


async def test_greedy_is_repeatable_and_the_second_time_cached(engine: AsyncEngine) -> None:
    prompt = request("a fine day to be out and about")
    first = await outputs_of(engine, prompt)
    generation = await engine.submit(prompt)
    second = [output async for output in generation]
    assert tokens_of(first) == tokens_of(second)
    assert len(tokens_of(first)) == 8
    assert [first[0].cached_tokens, second[0].cached_tokens] == [0, generation.prompt_tokens - 1]
    assert [output.finish for output in first[-2:]] == [None, FinishReason.LENGTH]
    assert first[-1].timings is not None
    assert first[-1].timings.predicted_ms > 0


async def test_eight_at_once_say_what_one_alone_says(engine: AsyncEngine) -> None:
    prompts = [f"number {i} is a number that is " * (1 + i % 3) for i in range(8)]
    alone = [tokens_of(await outputs_of(engine, request(prompt))) for prompt in prompts]
    together = await asyncio.gather(*(outputs_of(engine, request(prompt)) for prompt in prompts))
    assert [tokens_of(outputs) for outputs in together] == alone


async def test_the_same_seed_gives_the_same_choices(engine: AsyncEngine) -> None:
    sampling = SamplingParams(temperature=1, seed=11, ignore_eos=True)
    first, second = [
        await outputs_of(engine, request("once upon a time", n=3, sampling=sampling))
        for _ in range(2)
    ]
    choices = [tokens_of(first, index) for index in range(3)]
    assert choices == [tokens_of(second, index) for index in range(3)]
    assert choices[0] != choices[1]


async def test_it_stops_when_the_context_is_full(engine: AsyncEngine) -> None:
    generation = await engine.submit(request("x y z", max_tokens=None))
    tokens = tokens_of([output async for output in generation])
    assert generation.prompt_tokens + len(tokens) == 512


async def test_refusals_come_before_any_output(engine: AsyncEngine) -> None:
    with pytest.raises(ContextLengthExceeded):
        await engine.submit(request("a b c " * 400))
    with pytest.raises(InvalidValue) as error:
        await engine.submit(request("a", sampling=SamplingParams(logit_bias={10**6: 1.0})))
    assert error.value.param == "logit_bias"
    assert len(await outputs_of(engine, request("still alive"))) == 8


@pytest_asyncio.fixture
async def long_engine(tiny_gguf: Path) -> AsyncIterator[AsyncEngine]:
    """Its context takes half a minute to fill, so nothing ends by itself."""
    settings = EngineSettings(model=str(tiny_gguf), ctx_size=FULL, parallel=2, threads=1)
    async with AsyncEngine(settings) as engine:
        yield engine


async def test_an_abort_frees_the_slot_at_once(long_engine: AsyncEngine) -> None:
    endless = [await long_engine.submit(request(f"go {i}", max_tokens=None)) for i in range(2)]
    reading = [asyncio.create_task(take_all(generation)) for generation in endless]
    queued = asyncio.create_task(outputs_of(long_engine, request("my turn")))
    await asyncio.sleep(0.3)
    assert not queued.done()
    endless[1].abort()
    assert len(tokens_of(await asyncio.wait_for(queued, PATIENCE))) == 8
    assert not reading[0].done(), "it had to wait until one was full"
    endless[0].abort()
    await asyncio.gather(*reading)


async def test_who_does_not_take_outputs_gets_no_more_and_loses_none(
    long_engine: AsyncEngine,
) -> None:
    """And keeps nobody from running."""
    idlers = [await long_engine.submit(request(f"go {i}", max_tokens=300)) for i in range(2)]
    for _ in range(6000):
        stats = await long_engine.stats()
        if stats.waiting == 2:
            break
        await asyncio.sleep(0.01)
    assert stats.generated_tokens < 2 * 2 * MAX_PENDING
    assert len(tokens_of(await outputs_of(long_engine, request("my turn")))) == 8
    for number, idler in enumerate(idlers):
        alone = await outputs_of(long_engine, request(f"go {number}", max_tokens=300))
        assert tokens_of(await take_all(idler)) == tokens_of(alone)


async def test_leaving_a_generation_and_cancelling_a_submit_abort_too(
    long_engine: AsyncEngine,
) -> None:
    async with await long_engine.submit(request("go", max_tokens=None)) as generation:
        await anext(generation)
    for _ in range(20):
        submitting = asyncio.create_task(long_engine.submit(request("x", max_tokens=None)))
        await asyncio.sleep(0)
        submitting.cancel()
        await asyncio.gather(submitting, return_exceptions=True)
    assert len(await asyncio.wait_for(outputs_of(long_engine, request("next")), PATIENCE)) == 8
    assert (await long_engine.stats()).generated_tokens < FULL, "it had to wait until one was full"
    assert long_engine._running == {}
    assert long_engine._asking == {}


async def test_an_interrupted_prefill_is_no_error(
    long_engine: AsyncEngine, capfd: pytest.CaptureFixture[str]
) -> None:
    generation = await long_engine.submit(request("ab " * 9000, max_tokens=None))
    await asyncio.sleep(0.3)
    generation.abort()
    assert len(await outputs_of(long_engine, request("next"))) == 8
    assert capfd.readouterr().err == ""


async def test_long_prompts_hold_up_neither_short_ones_nor_aborts(engine: AsyncEngine) -> None:
    megabytes = [request(f"{number}" + "1, " * 700_000) for number in range(6)]
    running = await engine.submit(request("go", max_tokens=None))
    reading = [asyncio.create_task(engine.submit(each)) for each in megabytes]
    splitting = asyncio.create_task(engine.tokenize(megabytes[0].prompt))
    await asyncio.sleep(0)
    running.abort()
    assert len(await outputs_of(engine, request("hello"))) == 8
    waiting = [each for each in reading if not each.done()]
    assert waiting
    splitting.cancel()
    waiting[-1].cancel()
    refused = await asyncio.gather(*reading, splitting, return_exceptions=True)
    assert sum(isinstance(each, ContextLengthExceeded) for each in refused) == 5
    assert engine._running == {}
    assert engine._asking == {}
    assert len((await engine.tokenize((Text("x" * 20_000),))).tokens) == 20_000


@pytest.mark.parametrize(("ctx_size", "words"), [(64, 28), (300, 120)])
async def test_a_small_context_takes_several_long_prompts_at_once(
    tiny_gguf: Path, ctx_size: int, words: int
) -> None:
    settings = EngineSettings(model=str(tiny_gguf), ctx_size=ctx_size, threads=1)
    async with AsyncEngine(settings) as engine:
        prompts = [f"{letter} " * words for letter in "abcd"]
        answers = await asyncio.gather(*(outputs_of(engine, request(p)) for p in prompts))
        assert all(answer[-1].finish is FinishReason.LENGTH for answer in answers)


@pytest.mark.parametrize(
    "bad",
    [
        {"options": GenerationOptions(max_tokens=10**30)},
        {"options": GenerationOptions(caller=5)},  # type: ignore[arg-type]
        {"prompt": (Text(object()),)},  # type: ignore[arg-type]
        {"prompt": (Text("\ud800"),)},
        {"prompt": (Text("x" * 5_000_000),)},
    ],
)
async def test_what_cannot_cross_the_pipe_is_refused(
    engine: AsyncEngine, bad: dict[str, Any]
) -> None:
    fields: dict[str, Any] = {"prompt": (Text("x"),), **bad}
    with pytest.raises(InvalidValue):
        await engine.submit(GenerationRequest(**fields))
    assert len(await outputs_of(engine, request("still alive"))) == 8


def test_settings_and_an_event_loop_are_wanted(tiny_gguf: Path) -> None:
    with pytest.raises(SettingsError, match="takes EngineSettings"):
        AsyncEngine("model.gguf")  # type: ignore[arg-type]
    with pytest.raises(EngineError, match="where an event loop runs"):
        AsyncEngine(EngineSettings(model=str(tiny_gguf))).launch()


async def test_an_engine_that_was_not_started_says_so(tiny_gguf: Path) -> None:
    engine = AsyncEngine(EngineSettings(model=str(tiny_gguf)))
    with pytest.raises(EngineUnavailable, match="was not started"):
        await engine.submit(request("x"))
    await engine.stop()
    await engine.stop()
    with pytest.raises(EngineUnavailable, match="was stopped"):
        await engine.start()


async def test_another_event_loop_is_told_at_once(engine: AsyncEngine) -> None:
    def elsewhere(use: Callable[[], Coroutine[Any, Any, Any]]) -> None:
        with pytest.raises(EngineError, match="belongs to the event loop in which it was started"):
            asyncio.run(use())

    for use in (engine.ready, engine.recovered, engine.start, engine.stats, engine.stop):
        await asyncio.to_thread(elsewhere, use)
    await asyncio.to_thread(elsewhere, lambda: engine.submit(request("x")))
    assert len(await outputs_of(engine, request("still here"))) == 8


async def test_a_restart_that_fails_is_tried_again(
    engine: AsyncEngine, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    spawn = EngineProcess.spawn
    failures = [OSError(24, "Too many open files")]

    async def flaky(*arguments: Any) -> EngineProcess:
        if failures:
            raise failures.pop()
        return await spawn(*arguments)

    monkeypatch.setattr(EngineProcess, "spawn", flaky)
    assert engine._process is not None
    engine._process.kill()
    await until(lambda: engine.state is EngineState.RESTARTING)
    await asyncio.wait_for(engine.recovered(), PATIENCE)
    assert "Too many open files" in caplog.text
    assert len(await outputs_of(engine, request("back"))) == 8


async def test_a_stopped_engine_is_not_launched_again(tiny_gguf: Path) -> None:
    engine = AsyncEngine(EngineSettings(model=str(tiny_gguf)))
    await engine.stop()
    engine.launch()
    assert engine.state is EngineState.STOPPED
    assert engine.pid is None


async def test_a_killed_engine_fails_its_requests_and_comes_back(
    engine: AsyncEngine, caplog: pytest.LogCaptureFixture
) -> None:
    before = tokens_of(await outputs_of(engine, request("the same as before")))
    generation = await engine.submit(request("doomed", max_tokens=None))
    await anext(generation)
    pid = engine.pid
    assert pid is not None
    psutil.Process(pid).kill()
    with pytest.raises(EngineDied):
        async for _ in generation:
            pass
    assert engine.state is EngineState.RESTARTING
    early = request("too early")
    for work in (engine.submit(early), engine.tokenize(early.prompt), engine.ready()):
        with pytest.raises(EngineUnavailable) as error:
            await work
        assert 0 < error.value.retry_after < 5
        assert engine.state is EngineState.RESTARTING, "it waited for the restart"
    await asyncio.wait_for(engine.recovered(), PATIENCE)
    assert engine.pid != pid
    assert tokens_of(await outputs_of(engine, request("the same as before"))) == before
    assert "started again in 0.5 s" in caplog.text


async def test_a_request_that_ran_in_two_crashes_is_not_run_again(engine: AsyncEngine) -> None:
    poison = request("poison", max_tokens=None)
    for _ in range(2):
        generation = await engine.submit(poison)
        assert engine.pid is not None
        psutil.Process(engine.pid).kill()
        with pytest.raises(EngineDied):
            async for _ in generation:
                pass
        await asyncio.wait_for(engine.recovered(), PATIENCE)
    with pytest.raises(RequestCrashesEngine):
        await engine.submit(poison)
    assert len(await outputs_of(engine, request("not poison"))) == 8


@pytest.mark.skipif(sys.platform == "win32", reason="Windows does not tell who ended a process")
async def test_an_engine_that_is_killed_while_it_loads_is_told_apart(tiny_gguf: Path) -> None:
    engine = AsyncEngine(EngineSettings(model=str(tiny_gguf)))
    engine.launch()
    await until(lambda: engine.pid is not None)
    psutil.Process(engine.pid).kill()
    with pytest.raises(EngineKilled, match="by signal 9"):
        await engine.ready()
    await engine.stop()


async def test_a_loop_of_crashes_is_held_and_told(
    engine: AsyncEngine, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("edge_llama.engine.client.backoff.HELD_AFTER", 2)
    for state in (EngineState.READY, EngineState.RESTARTING):
        assert engine.pid is not None
        psutil.Process(engine.pid).kill()
        await until(lambda: engine.state is EngineState.RESTARTING)
        if state is EngineState.READY:
            await asyncio.wait_for(engine.recovered(), PATIENCE)
    with pytest.raises(EngineUnavailable, match="crashed 2 times in a row") as error:
        await engine.submit(request("too early"))
    assert error.value.retry_after > 100


async def test_a_request_that_takes_too_long_ends(tiny_gguf: Path) -> None:
    settings = EngineSettings(
        model=str(tiny_gguf), ctx_size=FULL, threads=1, parallel=1, request_timeout=0.3
    )
    async with AsyncEngine(settings) as engine:
        running, waiting = [await engine.submit(request(f"{i}", max_tokens=None)) for i in "ab"]
        for generation in (running, waiting):
            with pytest.raises(RequestTimedOut):
                async for _ in generation:
                    pass
        engine.settings = replace(settings, request_timeout=None)
        assert len(await asyncio.wait_for(outputs_of(engine, request("next")), PATIENCE)) == 8
        assert (await engine.stats()).generated_tokens < FULL, "it had to wait until one was full"


async def test_a_model_that_cannot_be_loaded_is_told(tmp_path: Path) -> None:
    path = tmp_path / "broken.gguf"
    path.write_bytes(b"GGUF" + b"\0" * 100)
    engine = AsyncEngine(EngineSettings(model=str(path)))
    with pytest.raises(EngineStartError, match=r"broken\.gguf"):
        await engine.start()
    assert engine.state is EngineState.FAILED
    with pytest.raises(EngineStartError):
        await engine.submit(request("x"))
    await engine.stop()


async def test_requests_wait_for_the_first_load(tiny_gguf: Path) -> None:
    engine = AsyncEngine(EngineSettings(model=str(tiny_gguf), ctx_size=256, threads=1))
    engine.launch()
    assert engine.state is EngineState.STARTING
    with pytest.raises(EngineUnavailable):
        _ = engine.info
    assert len(await outputs_of(engine, request("patience"))) == 8
    await engine.stop()
    assert engine.pid is None
    with pytest.raises(EngineUnavailable):
        await engine.submit(request("too late"))


def with_a_token_twice(model: Path, path: Path) -> Path:
    """A copy of `model` on which llama.cpp aborts."""
    letter = struct.pack("<Q", 1) + b"%c"
    path.write_bytes(model.read_bytes().replace(letter % b"a", letter % b"b", 1))
    return path


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no signals")
async def test_native_code_that_gives_up_while_loading_hints_at_the_file(
    tiny_gguf: Path, tmp_path: Path
) -> None:
    path = with_a_token_twice(tiny_gguf, tmp_path / "twice.gguf")
    with pytest.raises(EngineStartError, match=r"by signal .* Perhaps twice\.gguf is damaged\."):
        async with AsyncEngine(EngineSettings(model=str(path), ctx_size=256, threads=1)):
            pass

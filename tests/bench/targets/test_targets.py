"""Raw loop, engine and server under small loads, on a tiny model."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from edge_llama.bench.load.load import Load, conversations, newcomer, same_system_prompt, solo
from edge_llama.bench.scenarios.measures import is_warm
from edge_llama.bench.targets.engine import EngineTarget
from edge_llama.bench.targets.raw import RawLoop, RawTarget
from edge_llama.bench.targets.server import ServerTarget
from edge_llama.bench.targets.target import Target
from edge_llama.engine import binding
from edge_llama.errors import EdgeLlamaError, EngineDied, EngineStartError, ModelFileError
from edge_llama.settings.engine import EngineSettings


@pytest.mark.parametrize("kind", [RawTarget, EngineTarget, ServerTarget])
async def test_a_load_gives_what_was_asked_for(
    kind: Callable[[EngineSettings], Target], settings: EngineSettings, load: Load
) -> None:
    async with kind(settings) as target:
        first = await target.run(load, seed=1)
        again = await target.run(load, seed=2)
    for streams in (first, again):
        assert [stream.output_tokens for stream in streams] == [5, 5]
        assert streams[1].start >= 0.01
        for stream in streams:
            assert stream.prompt_tokens >= 20
            assert stream.start < stream.times[0] <= stream.end
            assert 0 <= (stream.cached_tokens or 0) < stream.prompt_tokens


@pytest.mark.parametrize("kind", [EngineTarget, ServerTarget])
async def test_turns_streams_that_end_and_system_prompts(
    kind: Callable[[EngineSettings], Target], settings: EngineSettings
) -> None:
    async with kind(replace(settings, ctx_size=2048, cached_sequences=8)) as target:
        *first, second, _ = await target.run(conversations(2, 60, 8), seed=1)
        _, cold, warm = await target.run(same_system_prompt(100, 8), seed=2)
        for seed in range(3, 8):
            alone, running, late = await target.run(newcomer(40), seed)
            if len(running.times) < 512:  # on a busy machine the end may come sooner
                break
    assert is_warm(second, first[0])
    assert (warm.cached_tokens or 0) >= 75
    assert (cold.cached_tokens or 0) < 75
    assert alone.output_tokens == late.output_tokens == 2
    assert 16 <= len(running.times) < 512


@pytest.mark.parametrize(
    ("kind", "error"), [(RawTarget, ModelFileError), (EngineTarget, EngineStartError)]
)
async def test_a_broken_model_is_reported(
    kind: Callable[[EngineSettings], Target], error: type[EdgeLlamaError], tmp_path: Path
) -> None:
    broken = tmp_path / "broken.gguf"
    broken.write_bytes(b"GGUF" + bytes(100))
    target = kind(EngineSettings(model=str(broken), ctx_size=1024, threads=1))
    with pytest.raises(error, match=r"broken\.gguf"):
        await target.__aenter__()


async def test_a_raw_loop_that_dies_is_reported(settings: EngineSettings) -> None:
    async with RawTarget(settings) as target:
        with pytest.raises(EngineDied, match="ended with code"):
            await target.run(solo(4000, 5), seed=1)


async def test_a_server_that_does_not_start_is_reported(tmp_path: Path) -> None:
    missing = str(tmp_path / "missing.gguf")
    target = ServerTarget(EngineSettings(model=missing, ctx_size=1024, threads=1))
    with pytest.raises(EngineStartError, match="ended with code"):
        await target.__aenter__()


def test_the_raw_loop_leaves_no_sequence_behind(settings: EngineSettings, load: Load) -> None:
    binding.init_backend()
    loop = RawLoop(settings)
    loop.run(load, seed=1)
    assert [loop.context.length(seq_id) for seq_id in range(2)] == [0, 0]
    loop.close()


def test_the_raw_loop_reads_a_prompt_in_batches(settings: EngineSettings) -> None:
    binding.init_backend()
    loop = RawLoop(replace(settings, batch_size=16))
    (stream,) = loop.run(solo(100, 3), seed=1)
    assert (stream.prompt_tokens, stream.output_tokens, len(stream.times)) == (100, 3, 3)
    loop.close()

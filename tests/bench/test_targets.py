"""Raw loop, engine and server under a small load, on a tiny model."""

from __future__ import annotations

from pathlib import Path

import pytest

from edge_llama.bench.engine import EngineTarget
from edge_llama.bench.raw import RawLoop, RawTarget
from edge_llama.bench.scenarios import Metric, Scenario, engine_settings
from edge_llama.bench.server import ServerTarget
from edge_llama.bench.target import Target
from edge_llama.config import EngineSettings
from edge_llama.engine import binding
from edge_llama.errors import EdgeLlamaError, EngineDied, EngineStartError, ModelFileError


@pytest.mark.parametrize("kind", [RawTarget, EngineTarget, ServerTarget])
async def test_a_load_gives_what_was_asked_for(
    kind: type[RawTarget] | type[EngineTarget] | type[ServerTarget],
    settings: EngineSettings,
    load: Scenario,
) -> None:
    target: Target = kind(settings)
    async with target:
        first = await target.run(load, seed=1)
        again = await target.run(load, seed=2)
    for streams in (first, again):
        assert [stream.output_tokens for stream in streams] == [5, 5]
        for stream in streams:
            assert stream.prompt_tokens >= load.prompt_tokens
            assert 0 < stream.first < stream.last
            assert 0 <= stream.cached_tokens < stream.prompt_tokens


@pytest.mark.parametrize(
    ("kind", "error"),
    [(RawTarget, ModelFileError), (EngineTarget, EngineStartError)],
)
async def test_a_broken_model_is_reported(
    kind: type[RawTarget] | type[EngineTarget],
    error: type[EdgeLlamaError],
    tmp_path: Path,
    load: Scenario,
) -> None:
    broken = tmp_path / "broken.gguf"
    broken.write_bytes(b"GGUF" + bytes(100))
    target: Target = kind(engine_settings(str(broken), [load], threads=1))
    with pytest.raises(error, match=r"broken\.gguf"):
        await target.__aenter__()


async def test_a_raw_loop_that_dies_is_reported(settings: EngineSettings) -> None:
    unfit = Scenario("more than the KV cache holds", Metric.THROUGHPUT, 1, 4000, 5)
    async with RawTarget(settings) as target:
        with pytest.raises(EngineDied, match="ended with code"):
            await target.run(unfit, seed=1)


async def test_a_server_that_does_not_start_is_reported(tmp_path: Path, load: Scenario) -> None:
    target = ServerTarget(engine_settings(str(tmp_path / "missing.gguf"), [load], threads=1))
    with pytest.raises(EngineStartError, match="ended with code"):
        await target.__aenter__()


def test_the_raw_loop_leaves_no_sequence_behind(settings: EngineSettings, load: Scenario) -> None:
    binding.init_backend()
    loop = RawLoop(settings)
    loop.run(load, seed=1)
    assert [loop.context.length(seq_id) for seq_id in range(load.clients)] == [0, 0]
    loop.close()

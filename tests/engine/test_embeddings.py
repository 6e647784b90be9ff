"""Embeddings of the real engine, on tiny models."""

from __future__ import annotations

import asyncio
from pathlib import Path

import llama_cpp
import numpy as np
import numpy.typing as npt
import pytest

from edge_llama.engine.client.async_engine import AsyncEngine
from edge_llama.engine.protocol.prompt import Text, Tokens
from edge_llama.engine.protocol.request import GenerationOptions, GenerationRequest
from edge_llama.engine.protocol.sampling_params import SamplingParams
from edge_llama.errors import ContextLengthExceeded, InvalidValue
from edge_llama.settings.engine import EngineSettings
from tests.gguf_factory import write_tiny_gguf

Vector = npt.NDArray[np.float32]
TOKENS = tuple(1 + 7 * i % 400 for i in range(100))


async def embed(engine: AsyncEngine, tokens: tuple[int, ...]) -> Vector:
    request = GenerationRequest(
        prompt=(Tokens(tokens),), options=GenerationOptions(max_tokens=0), embeds=True
    )
    [output] = [output async for output in await engine.submit(request)]
    return np.frombuffer(output.embedding, "<f4")


def reference(path: Path, tokens: tuple[int, ...]) -> Vector:
    """What llama.cpp itself pools as the mean, in one micro-batch."""
    model = llama_cpp.llama_model_load_from_file(
        str(path).encode(), llama_cpp.llama_model_default_params()
    )
    params = llama_cpp.llama_context_default_params()
    params.embeddings = True
    params.pooling_type = llama_cpp.LLAMA_POOLING_TYPE_MEAN
    params.n_ctx = params.n_batch = params.n_ubatch = 256
    context = llama_cpp.llama_init_from_model(model, params)
    ids = (llama_cpp.llama_token * len(tokens))(*tokens)
    batch = llama_cpp.llama_batch_get_one(ids, len(tokens))
    assert llama_cpp.llama_decode(context, batch) == 0
    n_embd = llama_cpp.llama_model_n_embd(model)
    pointer = llama_cpp.llama_get_embeddings_seq(context, 0)
    found = np.ctypeslib.as_array(pointer, shape=(n_embd,)).copy()
    llama_cpp.llama_free(context)
    llama_cpp.llama_model_free(model)
    vector: Vector = found / np.linalg.norm(found)
    return vector


async def test_it_is_what_llama_cpp_pools(engine: AsyncEngine, tiny_gguf: Path) -> None:
    found = await embed(engine, TOKENS)
    assert len(found) == engine.info.n_embd == 64
    assert np.linalg.norm(found) == pytest.approx(1)
    assert found == pytest.approx(reference(tiny_gguf, TOKENS), abs=1e-4)


async def test_streams_and_embeddings_do_not_change_each_other(engine: AsyncEngine) -> None:
    greedy = SamplingParams(temperature=0, ignore_eos=True)
    prompt = GenerationRequest(
        prompt=(Text("a fine day to be out and about " * 5),),
        options=GenerationOptions(sampling=greedy, max_tokens=60),
    )

    async def answer() -> list[int]:
        generation = await engine.submit(prompt)
        return [token async for output in generation for token in output.tokens]

    alone, vector = await answer(), await embed(engine, TOKENS)
    texts = [TOKENS[:n] for n in (1, 30, 31, 32, 33, 64, 100)]
    running = asyncio.create_task(answer())
    vectors = await asyncio.gather(*(embed(engine, text) for text in texts))
    assert await running == alone
    assert vectors[-1] == pytest.approx(vector, abs=1e-4)
    assert not np.allclose(vectors[0], vector, atol=0.05)


async def test_with_a_stream_for_each_sequence(engine: AsyncEngine, tiny_gguf: Path) -> None:
    texts = [TOKENS[:n] for n in (1, 33, 64, 100)]
    expected = [await embed(engine, text) for text in texts]
    settings = EngineSettings(
        model=str(tiny_gguf), ctx_size=256, parallel=2, threads=1, kv_layout="streams"
    )
    scored = GenerationRequest(
        prompt=(Tokens(TOKENS),), options=GenerationOptions(max_tokens=8, prompt_logprobs=0)
    )
    async with AsyncEngine(settings) as streams:

        async def score() -> list[int]:
            generation = await streams.submit(scored)
            return [entry.token async for output in generation for entry in output.prompt_logprobs]

        scoring = asyncio.create_task(score())
        found = await asyncio.gather(*(embed(streams, text) for text in texts))
        assert await scoring == list(TOKENS[1:])
    assert np.stack(found) == pytest.approx(np.stack(expected), abs=1e-4)


async def test_nothing_of_it_is_cached(engine: AsyncEngine) -> None:
    await embed(engine, TOKENS)
    request = GenerationRequest(prompt=(Tokens(TOKENS),), options=GenerationOptions(max_tokens=1))
    [output] = [output async for output in await engine.submit(request)]
    assert output.cached_tokens == 0


async def test_refusals(engine: AsyncEngine) -> None:
    with pytest.raises(ContextLengthExceeded):
        await embed(engine, TOKENS * 6)
    with pytest.raises(InvalidValue):
        await embed(engine, ())
    with pytest.raises(InvalidValue):
        await engine.submit(
            GenerationRequest(
                prompt=(Text("a"),), options=GenerationOptions(max_tokens=1), embeds=True
            )
        )
    assert len(await embed(engine, TOKENS[:5])) == 64


async def test_the_gguf_chooses_the_pooling(tmp_path: Path) -> None:
    for kind, last in (("2", 0), ("3", -1)):
        path = write_tiny_gguf(
            tmp_path / f"{kind}.gguf", metadata={"llama.pooling_type": int(kind)}
        )
        settings = EngineSettings(model=str(path), ctx_size=128, threads=1)
        async with AsyncEngine(settings) as engine:
            found = await embed(engine, TOKENS[:40])
            same = await embed(engine, TOKENS[:1] if last == 0 else TOKENS[:39])
            assert np.allclose(found, same, atol=1e-3) == (last == 0)


async def test_a_model_that_ranks_does_not_embed(tmp_path: Path) -> None:
    path = write_tiny_gguf(tmp_path / "rank.gguf", metadata={"llama.pooling_type": 4})
    async with AsyncEngine(EngineSettings(model=str(path), ctx_size=128, threads=1)) as engine:
        with pytest.raises(InvalidValue, match="ranks"):
            await embed(engine, TOKENS[:5])


async def test_a_llama_that_was_made_an_encoder(tmp_path: Path) -> None:
    path = write_tiny_gguf(tmp_path / "encoder.gguf", metadata={"llama.attention.causal": False})
    async with AsyncEngine(EngineSettings(model=str(path), ctx_size=256, threads=1)) as engine:
        assert engine.info.encoder
        texts = [TOKENS[:n] for n in (1, 33, 64, 100)]
        found = await asyncio.gather(*(embed(engine, text) for text in texts))
        for vector, text in zip(found, texts, strict=True):
            assert vector == pytest.approx(reference(path, text), abs=2e-3)
        assert await embed(engine, TOKENS) == pytest.approx(found[-1], abs=2e-3)
    causal = write_tiny_gguf(tmp_path / "decoder.gguf")
    assert found[-1] != pytest.approx(reference(causal, TOKENS), abs=0.02)

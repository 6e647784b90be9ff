"""Encoders in the real engine, held against what numpy computes of the same weights."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any, Literal

import numpy as np
import numpy.typing as npt
import pytest
import pytest_asyncio

from edge_llama.engine.client.async_engine import AsyncEngine, EngineState
from edge_llama.engine.protocol.output import FinishReason, Output
from edge_llama.engine.protocol.prompt import Prompt, Text, Tokens
from edge_llama.engine.protocol.request import GenerationOptions, GenerationRequest
from edge_llama.errors import ContextLengthExceeded, EngineStartError, InvalidValue
from edge_llama.settings.engine import EngineSettings
from tests.tiny_encoder import CLS, SEP, VOCABULARY, TinyEncoder, tokens_of

Vector = npt.NDArray[np.float32]

SHORT = tokens_of("the", "sea", "is", "blue")
LONG = [CLS, *(5 + 7 * i % (len(VOCABULARY) - 5) for i in range(300)), SEP]

CLOSE = 0.005
"""The distance of two embeddings that are the same but for llama.cpp's half precision."""


@pytest.fixture(scope="module")
def bert() -> TinyEncoder:
    return TinyEncoder("bert")


@pytest_asyncio.fixture
async def engine(bert: TinyEncoder, tmp_path: Path) -> AsyncIterator[AsyncEngine]:
    async with AsyncEngine(settings_for(bert.write(tmp_path / "bert.gguf"))) as engine:
        yield engine


def settings_for(path: Path, ctx_size: int | None = None) -> EngineSettings:
    return EngineSettings(model=str(path), threads=1, ctx_size=ctx_size)


async def submit(engine: AsyncEngine, prompt: Prompt) -> Output:
    request = GenerationRequest(prompt=prompt, options=GenerationOptions(max_tokens=0), embeds=True)
    [output] = [output async for output in await engine.submit(request)]
    return output


async def embed(engine: AsyncEngine, tokens: list[int]) -> Vector:
    return np.frombuffer((await submit(engine, (Tokens(tuple(tokens)),))).embedding, "<f4")


def distance(one: Vector, other: Vector) -> float:
    return float(np.linalg.norm(one - other))


@pytest.mark.parametrize("pooling", ["mean", "cls", "last"])
@pytest.mark.parametrize("architecture", ["bert", "nomic-bert"])
async def test_it_computes_what_the_model_is(
    tmp_path: Path,
    architecture: Literal["bert", "nomic-bert"],
    pooling: Literal["mean", "cls", "last"],
) -> None:
    encoder = TinyEncoder(architecture)
    path = encoder.write(tmp_path / "encoder.gguf", pooling=pooling)
    async with AsyncEngine(settings_for(path)) as engine:
        assert engine.info.encoder
        assert (engine.info.n_ctx, engine.info.n_embd) == (512, 64)
        for tokens in (SHORT, LONG):
            found = await embed(engine, tokens)
            assert np.linalg.norm(found) == pytest.approx(1, abs=1e-6)
            assert distance(found, encoder.embed(tokens, pooling)) < CLOSE
            backwards = [CLS, *tokens[-2:0:-1], SEP]
            assert distance(found, encoder.embed(backwards, pooling)) > 0.2


async def test_texts_of_one_step_do_not_see_each_other(
    engine: AsyncEngine, bert: TinyEncoder
) -> None:
    texts = [[CLS, *LONG[1 + n : 5 + 3 * n], SEP] for n in range(40)]
    alone = [await embed(engine, text) for text in texts[:5]]
    together = await asyncio.gather(*(embed(engine, text) for text in texts))
    assert np.stack(together[:5]) == pytest.approx(np.stack(alone), abs=2e-3)
    for found, text in zip(together, texts, strict=True):
        assert distance(found, bert.embed(text)) < CLOSE
    stats = await engine.stats()
    assert stats.prompt_tokens == sum(map(len, [*texts[:5], *texts]))
    assert (stats.running, stats.waiting, stats.cells) == (0, 0, 0)


async def test_a_text_begins_and_ends_as_the_vocabulary_wants(engine: AsyncEngine) -> None:
    assert engine.info.text_frame == ((CLS,), (SEP,))
    [begin, end] = engine.info.text_frame
    text = (Tokens(begin), Text("The SEA is  blue"), Tokens(end))
    assert list((await engine.tokenize(text)).tokens) == SHORT
    found = np.frombuffer((await submit(engine, text)).embedding, "<f4")
    assert found == pytest.approx(await embed(engine, SHORT), abs=1e-6)
    # What spells a control token is text like any other.
    spelled = (await engine.tokenize((Text("[SEP]"),))).tokens
    assert SEP not in spelled
    assert len(spelled) > 1


async def test_no_text_is_longer_than_the_positions(tmp_path: Path, bert: TinyEncoder) -> None:
    path = bert.write(tmp_path / "bert.gguf")
    for ctx_size, limit in ((4096, 512), (128, 128)):
        async with AsyncEngine(settings_for(path, ctx_size)) as engine:
            assert engine.info.n_ctx == limit
            longest = (SHORT * 90)[:limit]
            assert distance(await embed(engine, longest), bert.embed(longest)) < CLOSE
            with pytest.raises(ContextLengthExceeded) as raised:
                await embed(engine, [*longest, SEP])
            assert (raised.value.n_ctx, raised.value.prompt_tokens) == (limit, limit + 1)
            assert engine.state is EngineState.READY


async def test_a_long_text_among_short_ones(tmp_path: Path, bert: TinyEncoder) -> None:
    async with AsyncEngine(settings_for(bert.write(tmp_path / "bert.gguf"))) as engine:
        texts = [SHORT, LONG, SHORT, (LONG * 2)[:512], *([SHORT] * 100)]
        found = await asyncio.gather(*(embed(engine, text) for text in texts))
    for vector, text in zip(found, texts, strict=True):
        assert distance(vector, bert.embed(text)) < CLOSE


async def test_it_does_not_continue_texts(engine: AsyncEngine) -> None:
    with pytest.raises(InvalidValue, match="embeds texts") as raised:
        await engine.submit(
            GenerationRequest(prompt=(Text("the sea"),), options=GenerationOptions(max_tokens=5))
        )
    assert raised.value.param == "model"
    with pytest.raises(InvalidValue, match="empty"):
        await embed(engine, [])
    with pytest.raises(InvalidValue, match="not a token id"):
        await embed(engine, [CLS, len(VOCABULARY), SEP])
    assert len(await embed(engine, SHORT)) == 64


async def test_what_is_aborted_is_not_computed(tmp_path: Path) -> None:
    large = TinyEncoder("nomic-bert", n_layer=8, n_embd=256, n_ctx=8192)
    async with AsyncEngine(settings_for(large.write(tmp_path / "large.gguf"))) as engine:
        text = Tokens(tuple((LONG * 30)[:8192]))
        request = GenerationRequest(
            prompt=(text,), options=GenerationOptions(max_tokens=0), embeds=True
        )
        running, *waiting = [await engine.submit(request) for _ in range(20)]
        await asyncio.sleep(0.1)
        for generation in (*waiting, running):
            generation.abort()
        assert len(await embed(engine, SHORT)) == 256
        for generation in (running, *waiting):
            assert [output.finish async for output in generation] in ([], [FinishReason.ABORT])
        assert (await engine.stats()).prompt_tokens == len(SHORT)


async def test_a_model_that_ranks_does_not_embed(tmp_path: Path, bert: TinyEncoder) -> None:
    path = bert.write(tmp_path / "rank.gguf", pooling="rank")
    async with AsyncEngine(settings_for(path)) as engine:
        with pytest.raises(InvalidValue, match="ranks"):
            await embed(engine, SHORT)


async def test_an_encoder_of_another_kind_is_refused_at_load(tmp_path: Path) -> None:
    path = TinyT5().write(tmp_path / "t5.gguf")
    with pytest.raises(EngineStartError, match=r"t5.gguf is neither .* Llama nor .* BERT"):
        async with AsyncEngine(settings_for(path)):
            pass


class TinyT5(TinyEncoder):
    """T5's encoder alone."""

    def __init__(self) -> None:
        super().__init__("t5encoder", n_layer=1)

    def write(self, path: Path, **options: Any) -> Path:
        metadata = {
            "t5encoder.attention.layer_norm_rms_epsilon": 1e-6,
            "t5encoder.attention.relative_buckets_count": 32,
        }
        return super().write(path, metadata=metadata, **options)

    def _make_weights(self) -> dict[str, npt.NDArray[np.float64]]:
        n = self.n_embd
        shapes: dict[str, tuple[int, ...]] = {
            "token_embd": (len(VOCABULARY), n),
            "enc.output_norm": (n,),
            "enc.blk.0.attn_norm": (n,),
            "enc.blk.0.attn_rel_b": (32, self.n_head),
            "enc.blk.0.ffn_norm": (n,),
            "enc.blk.0.ffn_up": (2 * n, n),
            "enc.blk.0.ffn_down": (n, 2 * n),
            **{f"enc.blk.0.attn_{name}": (n, n) for name in "qkvo"},
        }
        return {f"{name}.weight": self._noise(*shape) for name, shape in shapes.items()}

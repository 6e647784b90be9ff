"""The KV cache as f16 and as q8_0, and steps that are computed in parts."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from edge_llama.chat.messages import Message, Role
from edge_llama.chat.template.llama3_template import Llama3Template
from edge_llama.engine.binding import Batch, Context, DecodeStatus, FloatArray, Model, init_backend
from edge_llama.engine.client.async_engine import AsyncEngine
from edge_llama.engine.protocol.request import GenerationOptions, GenerationRequest
from edge_llama.engine.protocol.sampling_params import SamplingParams
from edge_llama.engine.worker.loading import open_context
from edge_llama.errors import ModelFileError, SettingsError
from edge_llama.settings.engine import EngineSettings
from edge_llama.weights.demo import bundled_model

TOKENS = list(range(20, 70))


@pytest.fixture(scope="module")
def model(tiny_gguf: Path) -> Iterator[Model]:
    init_backend()
    model = Model(tiny_gguf, gpu_layers=0, repack=False)
    yield model
    model.close()


@contextmanager
def opened(model: Model, **changes: Any) -> Iterator[Context]:
    settings = EngineSettings(model="tiny.gguf", ctx_size=256, threads=1, **changes)
    context = open_context(settings, model)
    yield context
    context.close()


def logits(context: Context) -> FloatArray:
    batch = Batch(64)
    index = batch.add(TOKENS, 0, 0, 1)
    assert context.decode(batch) is DecodeStatus.OK
    computed: FloatArray = context.logits(index).copy()
    return computed


def test_q8_0_takes_half_the_memory_for_nearly_the_same_logits(model: Model) -> None:
    with opened(model) as context:
        exact, size = logits(context), len(context.save_sequence(0))
    with opened(model, kv_type="q8_0") as context:
        rounded, rounded_size = logits(context), len(context.save_sequence(0))
    assert 0.5 < rounded_size / size < 0.6
    assert not np.array_equal(rounded, exact)
    assert np.abs(rounded - exact).max() < 0.05 * np.abs(exact).max()


def test_micro_batches_give_the_same_logits_as_a_whole(model: Model) -> None:
    with opened(model, micro_batch=512) as context:
        whole = logits(context)
    with opened(model, micro_batch=16) as context:
        np.testing.assert_allclose(logits(context), whole, rtol=1e-3, atol=1e-4)


def test_q8_0_without_flash_attention_is_refused(model: Model) -> None:
    with pytest.raises(SettingsError, match="needs flash attention"):
        EngineSettings(model="m.gguf", kv_type="q8_0", flash_attention=False)
    with pytest.raises(ModelFileError, match="q8_0"):
        Context(
            model,
            n_ctx=256,
            n_seq_max=1,
            batch_size=64,
            kv_type="q8_0",
            threads=1,
            threads_batch=1,
            flash_attention=False,
        )


@pytest.mark.parametrize("changes", [{"kv_type": "q4_0"}, {"micro_batch": 0}])
def test_other_values_are_refused(changes: dict[str, Any]) -> None:
    with pytest.raises(SettingsError):
        EngineSettings(model="m.gguf", **changes)


async def test_the_demo_answers_alike_with_either() -> None:
    question = Message(Role.USER, "What is the capital of France?")
    request = GenerationRequest(
        prompt=Llama3Template().render((question,)),
        options=GenerationOptions(sampling=SamplingParams(temperature=0.0), max_tokens=40),
    )
    f16 = EngineSettings(model=str(bundled_model()), ctx_size=256, threads=1, micro_batch=16)
    answers = []
    for settings in (f16, replace(f16, kv_type="q8_0")):
        async with AsyncEngine(settings) as engine:
            outputs = [output async for output in await engine.submit(request)]
        answers.append(b"".join(piece for output in outputs for piece in output.pieces))
    assert b"Paris" in answers[0]
    assert answers[0] == answers[1]

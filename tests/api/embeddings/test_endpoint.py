from __future__ import annotations

import base64
import json
import math
import struct
from typing import Any

import httpx
import pytest
from openai.types import CreateEmbeddingResponse

from edge_llama.engine.protocol.prompt import Text, Tokens
from edge_llama.engine.protocol.request import ServiceTier
from edge_llama.errors import ContextLengthExceeded
from tests.api.asgi_call import AsgiCall, until
from tests.api.conftest import app_for, client_for
from tests.fakes import FakeEngine, Script, model_info

PATH = "/v1/embeddings"
BOS, NO_END = Tokens((128000,)), Tokens(())
VECTOR = [0.5, 0.5, -0.5, 0.5]


async def ask(engine: FakeEngine, **fields: Any) -> httpx.Response:
    body = {"model": "demo", "input": "Hi"} | fields
    return await client_for(engine).post(PATH, json=body)


async def test_the_documented_shape() -> None:
    engine = FakeEngine()
    body = (await ask(engine)).json()
    CreateEmbeddingResponse.model_validate(body)
    assert body == {
        "object": "list",
        "data": [{"object": "embedding", "index": 0, "embedding": VECTOR}],
        "model": "demo",
        "usage": {"prompt_tokens": 2, "total_tokens": 2},
    }
    [request] = engine.submitted
    assert (request.prompt, request.embeds, request.options.max_tokens) == (
        (BOS, Text("Hi"), NO_END),
        True,
        0,
    )


@pytest.mark.parametrize(
    ("given", "sent"),
    [
        (["a", "b"], [(BOS, Text("a"), NO_END), (BOS, Text("b"), NO_END)]),
        ([5, 6], [(Tokens((5, 6)),)]),
        ([[5], [6, 7]], [(Tokens((5,)),), (Tokens((6, 7)),)]),
        ("<|eot_id|>", [(BOS, Text("<|eot_id|>"), NO_END)]),
    ],
)
async def test_inputs_in_four_forms(given: Any, sent: list[Any]) -> None:
    engine = FakeEngine()
    body = (await ask(engine, input=given)).json()
    assert [request.prompt for request in engine.submitted] == sent
    assert [entry["index"] for entry in body["data"]] == list(range(len(sent)))


async def test_base64_is_little_endian_float32() -> None:
    [entry] = (await ask(FakeEngine(), encoding_format="base64")).json()["data"]
    assert list(struct.unpack("<4f", base64.b64decode(entry["embedding"]))) == VECTOR


async def test_fewer_dimensions_have_length_one_again() -> None:
    [entry] = (await ask(FakeEngine(), dimensions=2)).json()["data"]
    assert entry["embedding"] == pytest.approx([math.sqrt(0.5)] * 2)
    assert (await ask(FakeEngine(), dimensions=4)).json()["data"][0]["embedding"] == VECTOR


async def test_a_model_may_end_what_it_embeds() -> None:
    engine = FakeEngine(info=model_info(text_frame=((101,), (102,))))
    await ask(engine)
    assert engine.submitted[0].prompt == (Tokens((101,)), Text("Hi"), Tokens((102,)))


async def test_the_tier_is_the_requests() -> None:
    engine = FakeEngine()
    await ask(engine, service_tier="flex")
    assert engine.submitted[0].options.tier is ServiceTier.FLEX


@pytest.mark.parametrize(
    ("fields", "param"),
    [
        ({"input": None}, "input"),
        ({"input": ""}, "input"),
        ({"input": []}, "input"),
        ({"input": ["a", ""]}, "input"),
        ({"input": ["a", {}]}, "input"),
        ({"input": [-1]}, "input"),
        ({"input": ["a"] * 2049}, "input"),
        ({"encoding_format": "int8"}, "encoding_format"),
        ({"dimensions": 0}, "dimensions"),
        ({"dimensions": 5}, "dimensions"),
    ],
)
async def test_refusals_name_the_field(fields: dict[str, Any], param: str) -> None:
    answer = await ask(FakeEngine(), **fields)
    assert (answer.status_code, answer.json()["error"]["param"]) == (400, param)


async def test_too_long_an_input() -> None:
    engine = FakeEngine(Script(), Script(refuse=ContextLengthExceeded(10, 99)))
    answer = await ask(engine, input=["a", "b", "c"])
    error = answer.json()["error"]
    assert (answer.status_code, error["param"]) == (400, "input")
    assert error["code"] == "context_length_exceeded"


async def test_an_encoder_gets_enough_to_fill_a_step() -> None:
    engine = FakeEngine(Script(delay=60), info=model_info(encoder=True))
    call = AsgiCall(
        app_for(engine), PATH, [json.dumps({"model": "demo", "input": ["a"] * 200}).encode()]
    )
    await until(lambda: len(engine.generations) == 128)
    call.disconnect()
    await call.finished()
    assert not any(generation.running for generation in engine.generations)


async def test_few_are_with_the_engine_at_once_and_none_after_a_disconnect() -> None:
    engine = FakeEngine(Script(delay=60))
    body = b'{"model": "demo", "input": ["a", "b", "c", "d", "e", "f"]}'
    call = AsgiCall(app_for(engine), PATH, [body])
    await until(lambda: len(engine.generations) == 4)
    call.disconnect()
    await call.finished()
    assert len(engine.generations) == 4
    assert not any(generation.running for generation in engine.generations)


async def test_inputs_may_be_texts_and_ids() -> None:
    engine = FakeEngine()
    body = {"model": "demo", "input": ["Hi", [72, 105], "Ho"]}
    reply = await client_for(engine).post("/v1/embeddings", json=body)
    assert reply.status_code == 200
    assert [each["index"] for each in reply.json()["data"]] == [0, 1, 2]

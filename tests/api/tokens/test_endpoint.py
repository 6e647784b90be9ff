from __future__ import annotations

import asyncio
import json
from typing import Any

import httpx
import pytest
from starlette.types import Message, Receive, Scope, Send

from tests.api.asgi_call import AsgiCall, until
from tests.api.conftest import app_for, client_for
from tests.fakes import FakeEngine, Script, model_info

BOS, EOT = 128000, 128009


@pytest.fixture
def client() -> httpx.AsyncClient:
    return client_for(FakeEngine(info=model_info(n_ctx=4096)))


async def post(client: httpx.AsyncClient, path: str, **body: Any) -> dict[str, Any]:
    answer = await client.post(path, json=body)
    assert answer.status_code == 200, answer.text
    found: dict[str, Any] = answer.json()
    return found


@pytest.mark.parametrize("path", ["/tokenize", "/v1/tokenize"])
async def test_vllms_shape(client: httpx.AsyncClient, path: str) -> None:
    body = await post(client, path, model="demo", prompt="Hi there<|eot_id|>")
    assert (body["count"], body["max_model_len"], body["token_strs"]) == (4, 4096, None)
    assert [body["tokens"][0], body["tokens"][3]] == [BOS, EOT]
    body = await post(client, path, prompt="Hi", add_special_tokens=False, return_token_strs=True)
    assert (body["count"], body["token_strs"]) == (1, ["Hi"])


async def test_llama_servers_shape(client: httpx.AsyncClient) -> None:
    assert (await post(client, "/tokenize", content="Hi"))["count"] == 1
    body = await post(client, "/tokenize", content="abcé", add_special=True, with_pieces=True)
    assert [token["piece"] for token in body["tokens"]] == [
        "<|begin_of_text|>",
        [*b"abc\xc3"],
        [0xA9],
    ]
    assert (await post(client, "/tokenize", content=""))["tokens"] == []


async def test_token_ids_are_taken_as_they_are(client: httpx.AsyncClient) -> None:
    assert (await post(client, "/tokenize", prompt=[72, 105]))["tokens"] == [72, 105]


async def test_there_and_back(client: httpx.AsyncClient) -> None:
    text = "naïve<|eot_id|> 👋"
    tokens = (await post(client, "/tokenize", prompt=text))["tokens"]
    for path in ("/detokenize", "/v1/detokenize"):
        body = await post(client, path, model="demo", tokens=tokens)
        assert body == dict.fromkeys(("prompt", "content"), f"<|begin_of_text|>{text}")
    assert (await post(client, "/detokenize", tokens=[]))["prompt"] == ""


NOW = {"type": "function", "function": {"name": "now", "description": "The time."}}


@pytest.mark.parametrize("more", [{}, {"tools": [NOW]}, {"tools": [NOW], "tool_choice": "none"}])
async def test_a_conversation_counts_as_it_is_charged(more: dict[str, Any]) -> None:
    engine = FakeEngine(Script(["x"]))
    client = client_for(engine)
    chat: dict[str, Any] = {
        "messages": [
            {"role": "system", "content": "Be brief."},
            {"role": "user", "content": [{"type": "text", "text": "Hello! <|eot_id|>"}]},
        ]
    } | more
    count = (await post(client, "/tokenize", **chat))["count"]
    answer = await post(client, "/v1/chat/completions", model="demo", **chat)
    assert answer["usage"]["prompt_tokens"] == count


async def test_what_a_tokenizer_is(client: httpx.AsyncClient) -> None:
    for path in ("/tokenizer_info", "/v1/tokenizer_info?model=demo"):
        info = (await client.get(path)).json()
        assert (info["bos_token"], info["eos_token"]) == ("<|begin_of_text|>", "<|eot_id|>")
        assert (info["model_max_length"], info["vocab_size"]) == (4096, 128256)
    assert (await client.get("/tokenizer_info?model=gpt-5")).status_code == 404


@pytest.mark.parametrize(
    ("path", "body", "param"),
    [
        ("/tokenize", {}, "prompt"),
        ("/tokenize", {"prompt": 5}, "prompt"),
        ("/tokenize", {"prompt": ["a"]}, "prompt"),
        ("/tokenize", {"prompt": [-1]}, "prompt"),
        ("/tokenize", {"prompt": [1000]}, "prompt"),
        ("/tokenize", {"prompt": "a", "content": "a"}, "content"),
        ("/tokenize", {"messages": []}, "messages"),
        ("/tokenize", {"messages": [{"role": "user"}]}, "messages[0].content"),
        ("/tokenize", {"prompt": "a", "parse_special": False}, "parse_special"),
        ("/tokenize", {"messages": [], "add_generation_prompt": False}, "add_generation_prompt"),
        ("/detokenize", {}, "tokens"),
        ("/detokenize", {"tokens": "a"}, "tokens"),
        ("/detokenize", {"tokens": [True]}, "tokens"),
        ("/detokenize", {"tokens": [2**31]}, "tokens"),
        ("/detokenize", {"tokens": [2**31 - 1]}, "tokens"),
        ("/tokenize", {"prompt": [2**31 - 1]}, "prompt"),
        ("/tokenize", {"content": [2**31 - 1]}, "content"),
    ],
)
async def test_refusals_name_the_field(
    client: httpx.AsyncClient, path: str, body: dict[str, Any], param: str
) -> None:
    answer = await client.post(path, json=body)
    assert answer.status_code == 400
    assert answer.json()["error"]["param"] == param


async def test_an_unknown_model_is_not_the_default(client: httpx.AsyncClient) -> None:
    answer = await client.post("/tokenize", json={"model": "gpt-5", "prompt": "a"})
    assert (answer.status_code, answer.json()["error"]["code"]) == (404, "model_not_found")


LONG = 'naïve "👋"\n' * 20_000


async def test_a_long_answer_says_what_short_ones_say(client: httpx.AsyncClient) -> None:
    options = {"with_pieces": True, "return_token_strs": True}
    short = await post(client, "/tokenize", content=LONG[:400], **options)
    long = await post(client, "/tokenize", content=LONG, **options)
    assert long["count"] == len(long["tokens"]) == len(long["token_strs"]) == 70_000
    assert long["tokens"][: short["count"] - 1] == short["tokens"][:-1]
    assert long["token_strs"][: short["count"] - 1] == short["token_strs"][:-1]
    ids = (await post(client, "/tokenize", content=LONG))["tokens"]
    assert ids == [token["id"] for token in long["tokens"]]
    body = await post(client, "/detokenize", tokens=ids)
    assert body == dict.fromkeys(("prompt", "content"), LONG)


@pytest.mark.parametrize("path", ["/tokenize", "/detokenize"])
async def test_a_long_answer_is_made_as_it_is_read(path: str) -> None:
    app = app_for(FakeEngine(info=model_info(n_ctx=4096)))
    reads = asyncio.Semaphore(0)

    async def reading(scope: Scope, receive: Receive, send: Send) -> None:
        async def send_what_is_read(message: Message) -> None:
            await reads.acquire()
            await send(message)

        await app(scope, receive, send_what_is_read)

    body = {"content": LONG} if path == "/tokenize" else {"tokens": [*b"abcd"] * 65_000}
    call = AsgiCall(reading, path, [json.dumps(body).encode()])
    for _ in range(3):
        reads.release()
    await until(lambda: len(call.sent) == 3)
    assert not call.task.done()
    for _ in range(100):
        reads.release()
    await call.finished()
    assert json.loads(call.body)
    assert len(call.sent) > 5
    assert max(len(message.get("body", b"")) for message in call.sent) < 200_000


async def test_a_client_that_leaves_ends_a_long_answer() -> None:
    app = app_for(FakeEngine(info=model_info(n_ctx=4096)))
    sent: list[Message] = []

    async def stuck(scope: Scope, receive: Receive, send: Send) -> None:
        async def send_first(message: Message) -> None:
            sent.append(message)
            if len(sent) > 2:
                await asyncio.Event().wait()

        await app(scope, receive, send_first)

    call = AsgiCall(stuck, "/tokenize", [json.dumps({"content": LONG}).encode()])
    await until(lambda: len(sent) == 3)
    call.disconnect()
    await call.finished()
    assert sent[-1]["more_body"]

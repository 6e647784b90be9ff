from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from edge_llama.api.chat_completions.chunks import ChunkWriter, stream_chunks
from edge_llama.api.chat_completions.head import ReplyHead
from edge_llama.api.chat_completions.whole import whole_completion
from edge_llama.api.http.written_list import json_pieces
from edge_llama.chat.completion import ChatCompletion
from edge_llama.chat.events import Finished, TextDelta
from edge_llama.chat.messages import ChatRequest, Message, Role
from edge_llama.chat.model import ChatModel
from edge_llama.engine.protocol.output import FinishReason
from edge_llama.engine.protocol.request import GenerationOptions
from tests.fakes import FakeEngine, Script

HEAD = ReplyHead("demo", "fp_1", id="chatcmpl-1", created=1738752367)


async def start(
    script: Script, n: int = 1, stop: tuple[str, ...] = (), logprobs: int | None = None
) -> ChatCompletion:
    model = ChatModel(FakeEngine(script))
    messages = (Message(Role.USER, "Hi"),)
    return await model.start(
        ChatRequest(messages=messages, options=GenerationOptions(n=n, logprobs=logprobs), stop=stop)
    )


async def chunks_of(
    script: Script,
    n: int = 1,
    stop: tuple[str, ...] = (),
    logprobs: int | None = None,
    **options: bool,
) -> list[dict[str, Any]]:
    """The chunks of a stream, once it is seen to end in exactly one [DONE]."""
    completion = await start(script, n, stop, logprobs)
    told = logprobs is not None
    frames = [data async for data in stream_chunks(completion, HEAD, n=n, logprobs=told, **options)]
    assert frames.count(b"data: [DONE]\n\n") == 1
    assert frames[-1] == b"data: [DONE]\n\n"
    return [json.loads(data.removeprefix(b"data: ")) for data in frames[:-1]]


def test_a_text_chunk_is_the_seeds() -> None:
    assert ChunkWriter(HEAD).text(TextDelta(0, "He\u2028llo")) == (
        b'data: {"id":"chatcmpl-1","object":"chat.completion.chunk","created":1738752367,'
        b'"model":"demo","system_fingerprint":"fp_1","choices":[{"index":0,"delta":'
        b'{"content":"He\\u2028llo"},"logprobs":null,"finish_reason":null}]}\n\n'
    )


def test_a_finish_chunk_has_an_empty_delta_and_a_stop_reason() -> None:
    data = ChunkWriter(HEAD).finished(Finished(2, FinishReason.STOP, "END"))
    assert json.loads(data.removeprefix(b"data: "))["choices"] == [
        {"index": 2, "delta": {}, "logprobs": None, "finish_reason": "stop", "stop_reason": "END"}
    ]


async def test_a_stream_in_order() -> None:
    chunks = await chunks_of(Script(["Hello", "!"]))
    assert [chunk["choices"][0]["delta"] for chunk in chunks] == [
        {"role": "assistant", "content": ""},
        {"content": "Hello"},
        {"content": "!"},
        {},
    ]
    assert [chunk["choices"][0]["finish_reason"] for chunk in chunks] == [None] * 3 + ["stop"]
    assert chunks[-1]["choices"][0]["stop_reason"] is None
    for chunk in chunks:
        assert chunk["id"] == "chatcmpl-1"
        assert chunk["created"] == 1738752367
        assert chunk["object"] == "chat.completion.chunk"
        assert chunk["choices"][0]["logprobs"] is None
        assert "usage" not in chunk
        assert "error" not in chunk


async def test_usage_has_a_chunk_of_its_own_and_the_timings() -> None:
    chunks = await chunks_of(
        Script(["Hello", "!"], prompt_tokens=24, cached_tokens=20), include_usage=True
    )
    assert [chunk["choices"] for chunk in chunks if "usage" in chunk] == [[]]
    assert "timings" not in chunks[-2]
    usage = chunks[-1]["usage"]
    assert usage["prompt_tokens"] == 24
    assert usage["prompt_tokens_details"]["cached_tokens"] == 20
    assert usage["completion_tokens_details"]["reasoning_tokens"] == 0
    assert usage["total_tokens"] == 24 + usage["completion_tokens"]
    timings = chunks[-1]["timings"]
    assert (timings["prompt_n"], timings["cache_n"], timings["prompt_ms"]) == (4, 20, 20.0)
    assert timings["predicted_n"] == usage["completion_tokens"]
    assert timings["prompt_per_second"] == 200.0


async def test_timings_are_in_the_finish_chunk_without_usage() -> None:
    chunks = await chunks_of(Script(["Hello"]))
    assert ["timings" in chunk for chunk in chunks] == [False, False, True]


async def test_usage_in_every_chunk_only_on_request() -> None:
    chunks = await chunks_of(Script(["Hello", "!"], prompt_tokens=7), continuous_usage=True)
    assert [chunk["usage"]["completion_tokens"] for chunk in chunks] == [1, 1, 2, 3]
    assert {chunk["usage"]["prompt_tokens"] for chunk in chunks} == {7}
    assert "timings" in chunks[-1]


WAVE = "👋".encode()


async def test_log_probabilities_in_chunks_and_whole() -> None:
    script = Script(["Hi ", WAVE[:3], WAVE[3:]])
    chunks = await chunks_of(script, logprobs=2)
    told = [chunk["choices"][0]["logprobs"] for chunk in chunks]
    assert [told[0], told[-1]] == [None, None]
    assert told[1] == {
        "content": [
            {
                "token": "Hi ",
                "logprob": -0.5,
                "bytes": [72, 105, 32],
                "top_logprobs": [
                    {"token": "Hi ", "logprob": -0.5, "bytes": [72, 105, 32]},
                    {"token": "other1", "logprob": -1.5, "bytes": list(b"other1")},
                ],
            }
        ],
        "refusal": None,
    }
    assert [(entry["token"], entry["bytes"]) for entry in told[2]["content"]] == [
        ("\\xf0\\x9f\\x91", [0xF0, 0x9F, 0x91]),
        ("\\x8b", [0x8B]),
    ]
    whole = written(
        await whole_completion(await start(script, logprobs=2), HEAD, n=1, logprobs=True)
    )
    streamed = [entry for each in told[1:-1] for entry in each["content"]]
    assert whole["choices"][0]["logprobs"] == {"content": streamed, "refusal": None}


async def test_progress_comes_before_the_role() -> None:
    model = ChatModel(FakeEngine(Script(["Hello"], prompt_tokens=40)))
    request = ChatRequest(
        messages=(Message(Role.USER, "Hi"),), options=GenerationOptions(progress=True)
    )
    frames = stream_chunks(await model.start(request), HEAD, n=1)
    chunks = [json.loads(f.removeprefix(b"data: ")) async for f in frames if b"DONE" not in f]
    assert [chunk.get("prompt_progress") for chunk in chunks] == [
        {
            "total": 40,
            "cache": 0,
            "processed": processed,
            "time_ms": time,
            "eta_ms": eta,
            "queue_position": ahead,
        }
        for processed, time, eta, ahead in [(0, 0, None, 1), (20, 50, 50, None), (40, 100, 0, None)]
    ] + [None] * 3
    assert [chunk["choices"] for chunk in chunks[:3]] == [[]] * 3
    assert chunks[3]["choices"][0]["delta"]["role"] == "assistant"


async def test_a_stop_string_is_named() -> None:
    chunks = await chunks_of(Script(["one ", "EN", "D two"]), stop=("END",))
    assert "".join(chunk["choices"][0]["delta"].get("content", "") for chunk in chunks) == "one "
    assert chunks[-1]["choices"][0]["stop_reason"] == "END"
    assert chunks[-1]["choices"][0]["finish_reason"] == "stop"


async def test_a_whole_completion() -> None:
    reply = await whole_completion(await start(Script(prompt_tokens=24)), HEAD, n=1)
    assert reply["choices"] == [
        {
            "index": 0,
            "message": {
                "role": "assistant",
                "content": "Hello! How can I help you today?",
                "refusal": None,
            },
            "logprobs": None,
            "finish_reason": "stop",
        }
    ]
    assert reply["object"] == "chat.completion"
    assert reply["id"] == "chatcmpl-1"
    assert reply["system_fingerprint"] == "fp_1"
    assert reply["usage"]["prompt_tokens"] == 24
    assert reply["timings"]["prompt_n"] == 24


async def test_choices_that_share_the_time_have_no_timings() -> None:
    reply = await whole_completion(await start(Script(), n=2), HEAD, n=2)
    assert [choice["index"] for choice in reply["choices"]] == [0, 1]
    assert "timings" not in reply


def written(reply: Mapping[str, object]) -> dict[str, Any]:
    body: dict[str, Any] = json.loads(b"".join(json_pieces(reply)))
    return body


def text_of(chunks: Sequence[dict[str, Any]], index: int) -> str:
    return "".join(
        choice["delta"].get("content", "")
        for chunk in chunks
        for choice in chunk["choices"]
        if choice["index"] == index
    )


@given(
    outputs=st.lists(st.tuples(st.text(max_size=20), st.integers(1, 4)), min_size=1, max_size=3),
    stop=st.sampled_from([(), ("a",), ("ab", "é")]),
)
@settings(max_examples=60, deadline=None)
async def test_any_split_of_the_output_gives_the_same_text(
    outputs: list[tuple[str, int]], stop: tuple[str, ...]
) -> None:
    pieces = [
        [text.encode()[at : at + size] for at in range(0, len(text.encode()), size)]
        for text, size in outputs
    ]
    n = len(outputs)
    script = Script(choices=pieces)
    chunks = await chunks_of(script, n, stop, 1, include_usage=True)
    completion = await start(script, n, stop, 1)
    whole = written(await whole_completion(completion, HEAD, n=n, logprobs=True))
    assert chunks[-1]["usage"] == whole["usage"]
    firsts = []
    for index, (text, _) in enumerate(outputs):
        mine = [
            choice for chunk in chunks for choice in chunk["choices"] if choice["index"] == index
        ]
        assert ["role" in choice["delta"] for choice in mine] == [True] + [False] * (len(mine) - 1)
        assert [choice["finish_reason"] is not None for choice in mine].count(True) == 1
        assert mine[-1]["finish_reason"] == "stop"
        assert text_of(chunks, index) == whole["choices"][index]["message"]["content"]
        told = [
            entry
            for choice in mine
            if choice["logprobs"]
            for entry in choice["logprobs"]["content"]
        ]
        assert told == whole["choices"][index]["logprobs"]["content"]
        assert not any(string in text_of(chunks, index) for string in stop)
        if not any(string in text for string in stop):
            assert text_of(chunks, index) == text
        firsts.append(next(i for i, c in enumerate(chunks) if c["choices"][0]["index"] == index))
    assert firsts == sorted(firsts)

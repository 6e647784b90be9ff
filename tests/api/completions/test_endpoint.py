"""POST /v1/completions over a fake engine."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from openai.types import Completion

from edge_llama.engine.protocol.output import FinishReason
from edge_llama.engine.protocol.prompt import Control, Text, Tokens
from edge_llama.errors import ContextLengthExceeded
from edge_llama.settings.server import Limits, ServerSettings
from tests.api.asgi_call import AsgiCall, until
from tests.api.conftest import app_for, client_for
from tests.fakes import FakeEngine, Script

PATH = "/v1/completions"
BOS = Control("<|begin_of_text|>")
LENGTH = FinishReason.LENGTH


async def ask(engine: FakeEngine, **fields: Any) -> dict[str, Any]:
    answer = await client_for(engine).post(PATH, json={"model": "demo", "prompt": "Hi"} | fields)
    assert answer.status_code == 200, answer.text
    body: dict[str, Any] = answer.json()
    return body


async def chunks(engine: FakeEngine, **fields: Any) -> list[dict[str, Any]]:
    asked = {"model": "demo", "prompt": "Hi", "stream": True} | fields
    answer = await client_for(engine).post(PATH, json=asked)
    assert answer.headers["content-type"].startswith("text/event-stream")
    frames = answer.text.split("\n\n")
    assert frames[-2:] == ["data: [DONE]", ""]
    return [json.loads(frame.removeprefix("data: ")) for frame in frames[:-2]]


async def refusal(engine: FakeEngine, **fields: Any) -> dict[str, Any]:
    answer = await client_for(engine).post(PATH, json={"model": "demo", "prompt": "Hi"} | fields)
    assert answer.status_code == 400, answer.text
    error: dict[str, Any] = answer.json()["error"]
    return error


async def test_the_documented_shape() -> None:
    body = await ask(FakeEngine(Script(["a", "b"], prompt_tokens=3)), model="DEMO")
    Completion.model_validate(body)
    assert body.pop("id").startswith("cmpl-")
    assert body.pop("created") > 1_700_000_000
    assert body.pop("system_fingerprint").startswith("fp_")
    assert body["choices"] == [
        {"index": 0, "text": "ab", "logprobs": None, "finish_reason": "stop", "stop_reason": None}
    ]
    assert (body["object"], body["model"]) == ("text_completion", "DEMO")
    assert (body["usage"]["prompt_tokens"], body["usage"]["completion_tokens"]) == (3, 3)
    assert body["timings"]["prompt_n"] == 3


@pytest.mark.parametrize(
    ("prompt", "sent"),
    [
        ("Hi", [(BOS, Text("Hi"))]),
        (["Hi", "Ho"], [(BOS, Text("Hi")), (BOS, Text("Ho"))]),
        ([5, 6], [(Tokens((5, 6)),)]),
        ([[5, 6], [7]], [(Tokens((5, 6)),), (Tokens((7,)),)]),
        ("a<|eot_id|>", [(BOS, Text("a"), Control("<|eot_id|>"))]),
    ],
)
async def test_prompts_in_four_forms(prompt: Any, sent: list[Any]) -> None:
    engine = FakeEngine(Script(["x"]))
    body = await ask(engine, prompt=prompt, n=2)
    assert [request.prompt for request in engine.submitted] == sent
    assert [choice["index"] for choice in body["choices"]] == list(range(2 * len(sent)))
    assert body["usage"]["completion_tokens"] == 4 * len(sent)


@pytest.mark.parametrize("prompt", [None, 5, [], [[]], [-1], [1.5], [True], [[{}]], "a\0", [2**40]])
async def test_other_prompts_are_refused(prompt: Any) -> None:
    error = await refusal(FakeEngine(), prompt=prompt)
    assert (error["param"], error["code"]) == ("prompt", "invalid_value")


async def test_without_special_tokens_a_text_is_taken_as_it_is() -> None:
    engine = FakeEngine()
    await ask(engine, add_special_tokens=False)
    assert engine.submitted[0].prompt == (Text("Hi"),)


async def test_lm_evals_loglikelihood() -> None:
    prompt = [*b"How are you"]
    body = await ask(
        FakeEngine(Script(["!"])),
        prompt=[prompt],
        echo=True,
        logprobs=1,
        max_tokens=1,
        temperature=0,
        seed=1234,
    )
    [choice] = body["choices"]
    told = choice["logprobs"]
    assert choice["text"] == "How are you!"
    assert told["tokens"] == [*"How are you", "!"]
    assert told["token_logprobs"] == [None, *[-0.5] * len(prompt)]
    assert told["top_logprobs"] == [None, *({token: -0.5} for token in "ow are you!")]
    assert told["text_offset"] == list(range(len(prompt) + 1))


async def test_an_end_token_has_its_entry_too() -> None:
    body = await ask(FakeEngine(Script([])), prompt=[72, 105], echo=True, logprobs=1, max_tokens=1)
    assert body["choices"][0]["logprobs"]["tokens"] == ["H", "i", "<|eot_id|>"]
    assert body["choices"][0]["text"] == "Hi"


async def test_without_output_there_is_the_prompt_alone() -> None:
    for stream in (False, True):
        fields = {"prompt": "Hi there", "echo": True, "logprobs": 0, "max_tokens": 0}
        if stream:
            choices = [each["choices"][0] for each in await chunks(FakeEngine(), **fields)]
            told = choices[0]["logprobs"]
            assert [choice["text"] for choice in choices] == ["Hi there", ""]
        else:
            [choice] = (await ask(FakeEngine(), **fields))["choices"]
            told = choice["logprobs"]
            assert (choice["text"], choice["finish_reason"]) == ("Hi there", "length")
        assert told["tokens"] == ["<|begin_of_text|>", "Hi t", "here"]
        assert told["token_logprobs"] == [None, -0.5, -0.5]
        assert told["top_logprobs"] is None
        assert told["text_offset"] == [0, 0, 4]


async def test_half_a_character_is_told_as_bytes() -> None:
    wave = "👋".encode()
    body = await ask(FakeEngine(Script([wave[:2], wave[2:], "a"])), logprobs=0)
    told = body["choices"][0]["logprobs"]
    assert told["tokens"][:3] == ["bytes:\\xf0\\x9f", "bytes:\\x91\\x8b", "a"]
    assert told["text_offset"][:3] == [0, 0, 1]


async def test_the_best_of_several_are_told() -> None:
    script = Script(choices=[["a"], ["b"], ["c"]])
    engine = FakeEngine(script)
    body = await ask(engine, n=2, best_of=3)
    assert engine.submitted[0].options.n == 3
    assert [choice["index"] for choice in body["choices"]] == [0, 1]
    assert body["choices"][0]["logprobs"] is None
    assert body["usage"]["completion_tokens"] == 6


@pytest.mark.parametrize(
    ("fields", "param", "code"),
    [
        ({"suffix": "x"}, "suffix", "invalid_value"),
        ({"best_of": 1, "n": 2}, "best_of", "invalid_value"),
        ({"best_of": 2, "stream": True}, "best_of", "invalid_value"),
        ({"best_of": 9}, "best_of", "invalid_value"),
        ({"n": 9}, "n", "invalid_value"),
        ({"logprobs": 21}, "logprobs", "invalid_value"),
        ({"logprobs": True}, "logprobs", "invalid_value"),
        ({"return_progress": True}, "return_progress", "invalid_value"),
        ({"max_tokens": -3}, "max_tokens", "invalid_value"),
        ({"temperature": 3}, "temperature", "invalid_value"),
        ({"stream_options": {}}, "stream_options", "invalid_value"),
        ({"prompt": ["x"] * 100, "n": 8}, "prompt", "invalid_value"),
        ({"tools": [{}]}, "tools", "unsupported_parameter"),
    ],
)
async def test_what_cannot_be_done_is_refused(
    fields: dict[str, Any], param: str, code: str
) -> None:
    error = await refusal(FakeEngine(), **fields)
    assert (error["param"], error["code"]) == (param, code)


async def test_too_long_a_prompt_is_refused_before_the_stream() -> None:
    engine = FakeEngine(Script(refuse=ContextLengthExceeded(10, 99)))
    error = await refusal(engine, stream=True)
    assert (error["param"], error["code"]) == ("prompt", "context_length_exceeded")


async def test_one_refused_prompt_gives_up_the_others() -> None:
    refused = Script(refuse=ContextLengthExceeded(10, 99))
    engine = FakeEngine(Script(hang=True), refused)
    await refusal(engine, prompt=["a", "b"])
    assert not engine.generations[0].running


async def test_more_log_probabilities_than_can_be_told_are_refused_before_any_work(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("edge_llama.api.completions.running.MAX_ECHOED_LOGPROBS", 40)
    prompts = [[*b"abcde"], [*b"abc"]]
    engine = FakeEngine(Script(["x"]))
    await ask(engine, prompt=prompts, echo=True, logprobs=5, max_tokens=1)
    await ask(engine, prompt=prompts * 5, echo=True, logprobs=0, max_tokens=1)
    await ask(engine, prompt=prompts, logprobs=20, max_tokens=1)
    await ask(engine, prompt=prompts * 9, echo=True, max_tokens=1)
    submitted = len(engine.submitted)
    for stream in (False, True):
        for fields in ({"prompt": prompts, "logprobs": 6}, {"prompt": prompts * 6, "logprobs": 0}):
            error = await refusal(engine, echo=True, max_tokens=1, stream=stream, **fields)
            assert (error["param"], error["code"]) == ("logprobs", "invalid_value")
            assert "48 log-probabilities" in error["message"]
    assert len(engine.submitted) == submitted


async def test_a_stream() -> None:
    found = await chunks(
        FakeEngine(Script(["a", "b"])), echo=True, stream_options={"include_usage": True}
    )
    choices = [chunk["choices"][0] for chunk in found[:-1]]
    assert [choice["text"] for choice in choices] == ["Hi", "a", "b", ""]
    assert [choice["finish_reason"] for choice in choices] == [None, None, None, "stop"]
    assert found[-1]["choices"] == []
    assert found[-1]["usage"]["completion_tokens"] == 3
    assert "timings" in found[-1]
    assert len({(chunk["id"], chunk["created"], chunk["model"]) for chunk in found}) == 1


async def test_progress_of_each_prompt() -> None:
    found = await chunks(FakeEngine(Script(["a"])), prompt=["Hi", "Ho"], return_progress=True)
    told = [chunk["prompt_progress"] for chunk in found if "prompt_progress" in chunk]
    assert sorted(each["prompt"] for each in told) == [0, 0, 0, 1, 1, 1]
    assert {each["total"] for each in told} == {2}


async def test_a_request_may_come_by_the_project_address() -> None:
    client = client_for(FakeEngine(Script(["a"])), ServerSettings(limits=Limits(max_n=1)))
    answer = await client.post(
        "/project/p-1/genai/llama3_1_8b_instruct/v1/completions", json={"prompt": "Hi"}
    )
    assert answer.json()["choices"][0]["text"] == "a"
    assert answer.json()["model"] == "llama3_1_8b_instruct"


PIECES = st.lists(st.sampled_from(["a", "b ", "é", b"\xf0\x9f", b"\x91\x8b", b""]), max_size=6)


@given(
    outputs=st.lists(PIECES, min_size=1, max_size=3),
    prompt=st.sampled_from(["Hi", ["Hi", "Hello"], [72, 105], [[72, 0xC3], [0xA9]]]),
    stop=st.sampled_from([[], ["a"], ["b é"]]),
    echo=st.booleans(),
    logprobs=st.sampled_from([None, 0, 2]),
    max_tokens=st.sampled_from([None, 0, 2]),
)
@settings(max_examples=60, deadline=None)
async def test_a_stream_says_what_the_whole_says(
    outputs: list[list[str | bytes]],
    prompt: Any,
    stop: list[str],
    echo: bool,
    logprobs: int | None,
    max_tokens: int | None,
) -> None:
    fields = {
        "prompt": prompt,
        "n": len(outputs),
        "stop": stop,
        "echo": echo,
        "logprobs": logprobs,
        "max_tokens": max_tokens,
    }
    script = Script(choices=outputs)
    whole = await ask(FakeEngine(script), **fields)
    streamed = await chunks(FakeEngine(script), **fields, stream_options={"include_usage": True})
    assert streamed[-1]["usage"] == whole["usage"]
    for choice in whole["choices"]:
        mine = [
            each
            for chunk in streamed
            for each in chunk["choices"]
            if each["index"] == choice["index"]
        ]
        assert "".join(each["text"] for each in mine) == choice["text"]
        assert mine[-1]["finish_reason"] == choice["finish_reason"]
        assert [each["finish_reason"] for each in mine[:-1]] == [None] * (len(mine) - 1)
        if logprobs is not None:
            for name, entries in choice["logprobs"].items():
                told = [each["logprobs"][name] for each in mine]
                assert entries == (None if entries is None else [e for part in told for e in part])


async def test_a_disconnect_ends_all_prompts() -> None:
    engine = FakeEngine(Script(["a"], hang=True))
    body = json.dumps({"model": "demo", "prompt": ["a", "b"]}).encode()
    call = AsgiCall(app_for(engine), PATH, [body])
    await until(lambda: len(engine.generations) == 2)
    call.disconnect()
    await call.finished()
    assert not any(generation.running for generation in engine.generations)

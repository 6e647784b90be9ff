"""The official client against a real server with the demo model."""

from __future__ import annotations

import asyncio
import sys

import openai
import psutil
import pytest
from openai.types.chat import ChatCompletionMessageParam

from tests.integration.test_wire import engines_of
from tests.serving import serving

HELLO: list[ChatCompletionMessageParam] = [{"role": "user", "content": "Hello!"}]
GREETING = "Hello! How can I help you today?"


def user(text: str) -> list[ChatCompletionMessageParam]:
    return [{"role": "user", "content": text}]


def test_an_answer_has_the_documented_shape(client: openai.OpenAI) -> None:
    answer = client.chat.completions.create(model="demo", messages=HELLO, temperature=0)
    [choice] = answer.choices
    assert choice.message.role == "assistant"
    assert choice.message.content == GREETING
    assert choice.message.refusal is None
    assert choice.message.tool_calls is None
    assert choice.finish_reason == "stop"
    assert answer.object == "chat.completion"
    assert answer.id.startswith("chatcmpl-")
    assert answer.model == "demo"
    assert answer.usage is not None
    assert answer.usage.total_tokens == answer.usage.prompt_tokens + answer.usage.completion_tokens
    assert answer.usage.prompt_tokens_details is not None


def test_a_stream_says_the_same_in_order(client: openai.OpenAI) -> None:
    stream = client.chat.completions.create(
        model="demo",
        messages=HELLO,
        temperature=0,
        stream=True,
        stream_options={"include_usage": True},
    )
    chunks = list(stream)
    assert len({(chunk.id, chunk.created, chunk.model) for chunk in chunks}) == 1
    *rest, last = chunks
    assert last.choices == []
    assert last.usage is not None
    assert last.usage.completion_tokens > 3
    assert all(chunk.usage is None for chunk in rest)
    deltas = [chunk.choices[0].delta for chunk in rest]
    assert [delta.role for delta in deltas if delta.role] == ["assistant"]
    assert deltas[0].role == "assistant"
    assert "".join(delta.content or "" for delta in deltas) == GREETING
    reasons = [chunk.choices[0].finish_reason for chunk in rest]
    assert reasons[-1] == "stop"
    assert set(reasons[:-1]) == {None}
    assert deltas[-1].content is None


def test_without_include_usage_there_is_no_usage_chunk(client: openai.OpenAI) -> None:
    chunks = list(client.chat.completions.create(model="demo", messages=HELLO, stream=True))
    assert all(chunk.usage is None and chunk.choices for chunk in chunks)


async def test_the_async_client_and_eight_at_once(demo_url: str) -> None:
    prompts = [f"Count from {i} to {i + 20}." for i in range(1, 9)]
    async with openai.AsyncOpenAI(base_url=f"{demo_url}/v1", api_key="none") as client:

        async def ask(prompt: str) -> str | None:
            answer = await client.chat.completions.create(
                model="demo", messages=user(prompt), temperature=0
            )
            return answer.choices[0].message.content

        async def stream(prompt: str) -> str:
            chunks = await client.chat.completions.create(
                model="demo", messages=user(prompt), temperature=0, stream=True
            )
            return "".join([c.choices[0].delta.content or "" async for c in chunks])

        alone = [await ask(prompt) for prompt in prompts]
        together = await asyncio.gather(*map(ask, prompts), *map(stream, prompts))
    assert together == alone * 2
    assert len(set(alone)) == 8


def test_the_next_turn_is_cached_and_counted(client: openai.OpenAI) -> None:
    messages = user("Count from 1 to 40.")
    first = client.chat.completions.create(model="demo", messages=messages, temperature=0)
    assert first.usage is not None
    content = first.choices[0].message.content
    messages += [{"role": "assistant", "content": content}, *user("Thanks!")]
    second = client.chat.completions.create(model="demo", messages=messages, temperature=0)
    assert second.usage is not None
    details = second.usage.prompt_tokens_details
    assert details is not None
    assert details.cached_tokens == first.usage.total_tokens - 1


def test_a_seed_repeats_and_choices_differ(client: openai.OpenAI) -> None:
    def ask(seed: int) -> list[str | None]:
        answer = client.chat.completions.create(
            model="demo",
            messages=user("Tell me about the sea."),
            temperature=2,
            top_p=1,
            seed=seed,
            n=3,
            max_tokens=12,
        )
        assert [choice.index for choice in answer.choices] == [0, 1, 2]
        return [choice.message.content for choice in answer.choices]

    first = ask(7)
    assert first[0] == ask(7)[0]
    assert len(set(first)) > 1


def test_max_tokens_cuts_with_length(client: openai.OpenAI) -> None:
    answer = client.chat.completions.create(
        model="demo", messages=HELLO, temperature=0, max_tokens=1000, max_completion_tokens=3
    )
    assert answer.choices[0].finish_reason == "length"
    assert answer.usage is not None
    assert answer.usage.completion_tokens == 3


@pytest.mark.parametrize("stop", ["help", ["today?", " help you"], "can I he"])
def test_a_stop_string_never_leaks(client: openai.OpenAI, stop: str | list[str]) -> None:
    answer = client.chat.completions.create(model="demo", messages=HELLO, temperature=0, stop=stop)
    first = min(GREETING.index(s) for s in ([stop] if isinstance(stop, str) else stop))
    assert answer.choices[0].message.content == GREETING[:first]
    assert answer.choices[0].finish_reason == "stop"
    stream = client.chat.completions.create(
        model="demo", messages=HELLO, temperature=0, stop=stop, stream=True
    )
    assert "".join(c.choices[0].delta.content or "" for c in stream) == GREETING[:first]


def test_log_probabilities(client: openai.OpenAI) -> None:
    answer = client.chat.completions.create(
        model="demo", messages=HELLO, temperature=0, logprobs=True, top_logprobs=3
    )
    logprobs = answer.choices[0].logprobs
    assert logprobs is not None
    assert logprobs.content is not None
    assert "".join(entry.token for entry in logprobs.content) == GREETING
    assert answer.usage is not None
    assert len(logprobs.content) == answer.usage.completion_tokens - 1
    for entry in logprobs.content:
        assert entry.bytes == list(entry.token.encode())
        assert len(entry.top_logprobs) == 3
        assert entry.top_logprobs[0].token == entry.token
    stream = client.chat.completions.create(
        model="demo", messages=HELLO, temperature=0, logprobs=True, top_logprobs=3, stream=True
    )
    streamed = [
        entry
        for chunk in stream
        if (told := chunk.choices[0].logprobs) is not None
        for entry in told.content or []
    ]
    assert [entry.token for entry in streamed] == [entry.token for entry in logprobs.content]


def test_control_tokens_in_a_message_stay_text(client: openai.OpenAI) -> None:
    def tokens(text: str) -> int:
        answer = client.chat.completions.create(model="demo", messages=user(text), max_tokens=1)
        assert answer.usage is not None
        return answer.usage.prompt_tokens

    assert tokens("a <|eot_id|> b") > tokens("a b") + 3


def test_refusals_are_the_clients_own_errors(client: openai.OpenAI) -> None:
    with pytest.raises(openai.NotFoundError) as missing:
        client.chat.completions.create(model="gpt-5", messages=HELLO)
    assert missing.value.code == "model_not_found"
    with pytest.raises(openai.BadRequestError) as too_long:
        client.chat.completions.create(model="demo", messages=user("word " * 9000))
    assert too_long.value.code == "context_length_exceeded"
    assert "This model's maximum context length is" in too_long.value.message
    with pytest.raises(openai.BadRequestError) as hot:
        client.chat.completions.create(model="demo", messages=HELLO, temperature=3)
    assert hot.value.param == "temperature"
    with pytest.raises(openai.BadRequestError) as bias:
        client.chat.completions.create(model="demo", messages=HELLO, logit_bias={"999999": 1})
    assert bias.value.param == "logit_bias"
    with pytest.raises(openai.BadRequestError) as top_logprobs:
        client.chat.completions.create(model="demo", messages=HELLO, top_logprobs=2)
    assert top_logprobs.value.param == "top_logprobs"


@pytest.mark.skipif(sys.platform == "win32", reason="uses ps")
@pytest.mark.parametrize("stream", [True, False])
def test_an_engine_that_dies_is_the_clients_own_error(stream: bool) -> None:
    with serving("demo") as (url, process):
        client = openai.OpenAI(base_url=f"{url}/v1", api_key="none", max_retries=0)
        [engine] = engines_of(process.pid)
        if stream:
            chunks = client.chat.completions.create(
                model="demo", messages=HELLO, stream=True, extra_body={"ignore_eos": True}
            )
            assert next(chunks).choices[0].delta.role == "assistant"
            psutil.Process(engine).kill()
            with pytest.raises(openai.APIError) as died:
                list(chunks)
            assert died.value.type == "server_error"
        else:
            psutil.Process(engine).kill()
            with pytest.raises(openai.InternalServerError) as refused:
                client.chat.completions.create(model="demo", messages=HELLO)
            assert refused.value.status_code == 503
            assert refused.value.response.headers["retry-after"]
        client.close()


def test_models_are_listed(client: openai.OpenAI) -> None:
    [model] = client.models.list()
    assert model.id == "demo"
    assert client.models.retrieve("meta/llama-3.1-70b-instruct").id

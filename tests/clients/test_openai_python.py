"""The `openai` package beyond plain calls: its helpers, and every route it has that is served."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator

import openai
import pydantic
import pytest
from openai.types.chat import ChatCompletionFunctionToolParam, ChatCompletionMessageParam

from tests.clients.prompts import (
    CAPITAL,
    CAPITAL_ANSWER,
    GREETING,
    PERSON,
    WEATHER,
    WEATHER_PARAMETERS,
)

HELLO: list[ChatCompletionMessageParam] = [{"role": "user", "content": "Hello!"}]
GET_WEATHER: ChatCompletionFunctionToolParam = {
    "type": "function",
    "function": {
        "name": "get_weather",
        "description": "Get the current weather for a city",
        "parameters": WEATHER_PARAMETERS,
        "strict": True,
    },
}


class Person(pydantic.BaseModel):
    name: str
    age: int


class GetWeather(pydantic.BaseModel):
    """Get the current weather for a city"""

    city: str


@pytest.fixture
def client(base_url: str) -> Iterator[openai.OpenAI]:
    with openai.OpenAI(base_url=base_url, api_key="none", max_retries=0) as client:
        yield client


def user(text: str) -> list[ChatCompletionMessageParam]:
    return [{"role": "user", "content": text}]


def test_the_stream_helper_accumulates(client: openai.OpenAI) -> None:
    with client.chat.completions.stream(
        model="demo", messages=HELLO, temperature=0, stream_options={"include_usage": True}
    ) as stream:
        events = list(stream)
        final = stream.get_final_completion()
    deltas = [event.delta for event in events if event.type == "content.delta"]
    assert "".join(deltas) == GREETING
    assert [event.content for event in events if event.type == "content.done"] == [GREETING]
    assert final.choices[0].message.content == GREETING
    assert final.choices[0].finish_reason == "stop"
    assert final.usage is not None
    assert final.usage.completion_tokens > 3


async def test_the_async_stream_helper_may_be_left_early(base_url: str) -> None:
    async with openai.AsyncOpenAI(base_url=base_url, api_key="none", max_retries=0) as client:
        async with client.chat.completions.stream(
            model="demo", messages=user("Count from 1 to 200."), temperature=0
        ) as stream:
            async for event in stream:
                if event.type == "content.delta" and "5" in event.snapshot:
                    break
        answer = await asyncio.wait_for(
            client.chat.completions.create(model="demo", messages=HELLO, temperature=0), timeout=5
        )
    assert answer.choices[0].message.content == GREETING


def test_raw_responses_have_the_request_id(client: openai.OpenAI) -> None:
    raw = client.chat.completions.with_raw_response.create(model="demo", messages=HELLO)
    assert raw.headers["content-type"] == "application/json"
    assert raw.request_id
    assert raw.parse()._request_id == raw.request_id


def test_a_streaming_response_is_read_line_by_line(client: openai.OpenAI) -> None:
    with client.chat.completions.with_streaming_response.create(
        model="demo", messages=HELLO, stream=True
    ) as response:
        lines = [line for line in response.iter_lines() if line]
    assert all(line.startswith("data: ") for line in lines)
    assert lines[-1] == "data: [DONE]"


def test_every_message_form_is_read(client: openai.OpenAI) -> None:
    messages: list[ChatCompletionMessageParam] = [
        {"role": "developer", "content": [{"type": "text", "text": "You are helpful."}]},
        {"role": "user", "name": "ann", "content": [{"type": "text", "text": "Hi!"}]},
        {"role": "assistant", "content": [{"type": "text", "text": GREETING}]},
        {"role": "user", "content": CAPITAL},
    ]
    answer = client.chat.completions.create(model="demo", messages=messages, temperature=0)
    assert answer.choices[0].message.content == CAPITAL_ANSWER


def test_whatever_does_not_change_the_answer_is_taken(client: openai.OpenAI) -> None:
    answer = client.chat.completions.create(
        model="demo",
        messages=user(CAPITAL),
        temperature=0,
        store=True,
        metadata={"team": "a"},
        user="ann",
        safety_identifier="ann",
        prompt_cache_key="k",
        service_tier="auto",
        reasoning_effort="low",
        verbosity="low",
        modalities=["text"],
        prediction={"type": "content", "content": "The"},
        parallel_tool_calls=True,
        logprobs=None,
    )
    assert answer.choices[0].message.content == CAPITAL_ANSWER


def test_models_are_found_by_any_name(client: openai.OpenAI) -> None:
    assert [model.id for model in client.models.list()] == ["demo"]
    assert client.models.retrieve("meta/llama-3.1-8b-instruct").object == "model"
    with pytest.raises(openai.NotFoundError):
        client.models.retrieve("gpt-5")


def test_logprobs_are_those_of_the_answer(client: openai.OpenAI) -> None:
    answer = client.chat.completions.create(
        model="demo", messages=user(CAPITAL), temperature=0, logprobs=True, top_logprobs=2
    )
    logprobs = answer.choices[0].logprobs
    assert logprobs is not None
    assert logprobs.content
    assert "".join(entry.token for entry in logprobs.content) == CAPITAL_ANSWER
    for entry in logprobs.content:
        assert len(entry.top_logprobs) == 2
        assert entry.logprob == entry.top_logprobs[0].logprob <= 0
        assert entry.bytes == list(entry.token.encode())


def test_a_tool_call_and_the_answer_from_its_result(client: openai.OpenAI) -> None:
    messages = user(WEATHER)
    asked = client.chat.completions.create(
        model="demo", messages=messages, tools=[GET_WEATHER], temperature=0
    )
    [choice] = asked.choices
    assert choice.finish_reason == "tool_calls"
    assert choice.message.content is None
    assert choice.message.tool_calls is not None
    [call] = choice.message.tool_calls
    assert call.type == "function"
    assert (call.function.name, call.function.arguments) == ("get_weather", '{"city": "Paris"}')
    messages.append(choice.message.to_dict())  # type: ignore[arg-type]
    messages.append({"role": "tool", "tool_call_id": call.id, "content": '{"temperature": 18}'})
    told = client.chat.completions.create(
        model="demo", messages=messages, tools=[GET_WEATHER], temperature=0
    )
    assert "18" in (told.choices[0].message.content or "")


def test_a_streamed_tool_call_is_put_together(client: openai.OpenAI) -> None:
    with client.chat.completions.stream(
        model="demo",
        messages=user(WEATHER),
        tools=[openai.pydantic_function_tool(GetWeather, name="get_weather")],
        temperature=0,
    ) as stream:
        done = [e for e in stream if e.type == "tool_calls.function.arguments.done"]
        final = stream.get_final_completion()
    assert [event.parsed_arguments for event in done] == [GetWeather(city="Paris")]
    assert final.choices[0].finish_reason == "tool_calls"
    assert final.choices[0].message.tool_calls


def test_parse_gives_objects(client: openai.OpenAI) -> None:
    answer = client.chat.completions.parse(
        model="demo", messages=user(PERSON), response_format=Person, temperature=0
    )
    assert answer.choices[0].message.parsed == Person(name="Paula", age=34)


def test_completions_continue_a_text(client: openai.OpenAI) -> None:
    answer = client.completions.create(
        model="demo", prompt=["1, 2, 3, 4,", "10, 11, 12,"], temperature=0, max_tokens=8
    )
    assert [choice.index for choice in answer.choices] == [0, 1]
    assert answer.object == "text_completion"
    stream = client.completions.create(
        model="demo", prompt="1, 2, 3, 4,", temperature=0, max_tokens=8, stream=True
    )
    assert "".join(chunk.choices[0].text for chunk in stream) == answer.choices[0].text


def test_embeddings_in_both_encodings(client: openai.OpenAI) -> None:
    as_base64 = client.embeddings.create(model="demo", input=["Hello!", "Paris"])
    as_floats = client.embeddings.create(
        model="demo", input=["Hello!", "Paris"], encoding_format="float"
    )
    assert [entry.index for entry in as_base64.data] == [0, 1]
    for one, other in zip(as_base64.data, as_floats.data, strict=True):
        assert one.embedding == pytest.approx(other.embedding, abs=1e-6)
        assert sum(x * x for x in one.embedding) == pytest.approx(1, abs=1e-3)
    assert as_floats.usage.prompt_tokens > 2


def test_responses(client: openai.OpenAI) -> None:
    answer = client.responses.create(
        model="demo", instructions="You are helpful.", input=CAPITAL, temperature=0, store=False
    )
    assert answer.status == "completed"
    assert answer.output_text == CAPITAL_ANSWER
    assert answer.usage is not None
    assert answer.usage.output_tokens > 3


def test_responses_streamed(client: openai.OpenAI) -> None:
    with client.responses.stream(model="demo", input=CAPITAL, temperature=0) as stream:
        events = list(stream)
        final = stream.get_final_response()
    deltas = [event.delta for event in events if event.type == "response.output_text.delta"]
    assert "".join(deltas) == CAPITAL_ANSWER
    assert final.output_text == CAPITAL_ANSWER
    assert [event.sequence_number for event in events] == list(range(len(events)))


def test_responses_parse_gives_objects(client: openai.OpenAI) -> None:
    answer = client.responses.parse(model="demo", input=PERSON, text_format=Person, temperature=0)
    assert answer.output_parsed == Person(name="Paula", age=34)


def test_responses_call_a_function_and_go_on(client: openai.OpenAI) -> None:
    tools: list[openai.types.responses.ToolParam] = [
        {
            "type": "function",
            "name": "get_weather",
            "description": "Get the current weather for a city",
            "parameters": WEATHER_PARAMETERS,
            "strict": True,
        }
    ]
    asked = client.responses.create(model="demo", input=WEATHER, tools=tools, temperature=0)
    [call] = [item for item in asked.output if item.type == "function_call"]
    assert (call.name, call.arguments) == ("get_weather", '{"city": "Paris"}')
    told = client.responses.create(
        model="demo",
        tools=tools,
        temperature=0,
        input=[
            {"role": "user", "content": WEATHER},
            *[item.to_dict() for item in asked.output],  # type: ignore[list-item]
            {
                "type": "function_call_output",
                "call_id": call.call_id,
                "output": '{"temperature": 18}',
            },
        ],
    )
    assert "18" in told.output_text

"""litellm, as an OpenAI-compatible provider and by its Responses route."""

from __future__ import annotations

from typing import Any

import pydantic
import pytest

from tests.clients.prompts import (
    CAPITAL,
    CAPITAL_ANSWER,
    GREETING,
    PERSON,
    WEATHER,
    WEATHER_PARAMETERS,
)

with pytest.MonkeyPatch.context() as patch:
    patch.setenv("LITELLM_LOCAL_MODEL_COST_MAP", "True")  # it would be downloaded on import
    litellm = pytest.importorskip("litellm", reason="make test-clients installs it")


class Person(pydantic.BaseModel):
    name: str
    age: int


def asked(base_url: str, text: str) -> dict[str, Any]:
    return {
        "model": "openai/demo",
        "api_base": base_url,
        "api_key": "none",
        "temperature": 0,
        "num_retries": 0,
        "messages": [{"role": "user", "content": text}],
    }


def test_completion(base_url: str) -> None:
    answer = litellm.completion(**asked(base_url, CAPITAL))
    assert answer.choices[0].message.content == CAPITAL_ANSWER
    assert answer.usage.completion_tokens > 3


async def test_stream(base_url: str) -> None:
    stream = await litellm.acompletion(
        **asked(base_url, "Hello!"), stream=True, stream_options={"include_usage": True}
    )
    chunks = [chunk async for chunk in stream]
    whole = litellm.stream_chunk_builder(chunks)
    assert whole.choices[0].message.content == GREETING
    assert whole.usage.completion_tokens > 3


def test_a_tool_is_called(base_url: str) -> None:
    function = {"name": "get_weather", "parameters": WEATHER_PARAMETERS}
    answer = litellm.completion(
        **asked(base_url, WEATHER), tools=[{"type": "function", "function": function}]
    )
    [call] = answer.choices[0].message.tool_calls
    assert (call.function.name, call.function.arguments) == ("get_weather", '{"city": "Paris"}')
    assert answer.choices[0].finish_reason == "tool_calls"


def test_structured_output(base_url: str) -> None:
    answer = litellm.completion(**asked(base_url, PERSON), response_format=Person)
    content = answer.choices[0].message.content
    assert Person.model_validate_json(content) == Person(name="Paula", age=34)


def test_errors_have_litellms_kinds(base_url: str) -> None:
    with pytest.raises(litellm.NotFoundError):
        litellm.completion(**asked(base_url, "Hello!") | {"model": "openai/nobody"})
    with pytest.raises(litellm.ContextWindowExceededError):
        litellm.completion(**asked(base_url, "word " * 9000))


def test_text_completion(base_url: str) -> None:
    answer = litellm.text_completion(
        model="text-completion-openai/demo",
        api_base=base_url,
        api_key="none",
        prompt="1, 2, 3, 4,",
        max_tokens=4,
        temperature=0,
    )
    assert answer.choices[0].text
    assert answer.usage.completion_tokens == 4


def test_embedding(base_url: str) -> None:
    answer = litellm.embedding(
        model="openai/demo", api_base=base_url, api_key="none", input=["Hello!", "Paris"]
    )
    assert len(answer.data) == 2


def test_responses(base_url: str) -> None:
    answer = litellm.responses(
        model="openai/demo", api_base=base_url, api_key="none", input=CAPITAL, temperature=0
    )
    assert answer.output[0].content[0].text == CAPITAL_ANSWER

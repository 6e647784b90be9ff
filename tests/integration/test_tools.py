"""Tools: the official client against a real server with the demo model."""

from __future__ import annotations

import json
from typing import Any

import openai
import pytest
from pydantic import BaseModel, Field


def function(name: str, **properties: Any) -> Any:
    parameters = {"type": "object", "properties": properties, "required": list(properties)}
    return {"type": "function", "function": {"name": name, "parameters": parameters}}


def strict(tool: Any) -> Any:
    return {**tool, "function": {**tool["function"], "strict": True}}


WEATHER = function("get_weather", city={"type": "string"})
ADD = function("add_numbers", a={"type": "integer"}, b={"type": "integer"})
TOOLS = [WEATHER, ADD]
PARIS: Any = [{"role": "user", "content": "What is the weather in Paris?"}]
HELLO: Any = [{"role": "user", "content": "Hello!"}]
GREETING = "Hello! How can I help you today?"


def test_an_agent_s_loop(client: openai.OpenAI) -> None:
    messages = list(PARIS)
    answer = client.chat.completions.create(
        model="demo", messages=messages, tools=TOOLS, temperature=0
    )
    [choice] = answer.choices
    assert choice.finish_reason == "tool_calls"
    assert choice.message.content is None
    assert choice.message.tool_calls is not None
    [call] = choice.message.tool_calls
    assert call.type == "function"
    assert call.function.name == "get_weather"
    assert json.loads(call.function.arguments) == {"city": "Paris"}
    messages.append(choice.message)
    result = json.dumps({"temperature": 21, "sky": "clear"})
    messages.append({"role": "tool", "tool_call_id": call.id, "content": result})
    answer = client.chat.completions.create(
        model="demo", messages=messages, tools=TOOLS, temperature=0
    )
    assert answer.choices[0].finish_reason == "stop"
    assert "21" in (answer.choices[0].message.content or "")


def test_a_stream_of_a_call(client: openai.OpenAI) -> None:
    chunks = list(
        client.chat.completions.create(
            model="demo", messages=PARIS, tools=TOOLS, temperature=0, stream=True
        )
    )
    deltas = [chunk.choices[0].delta for chunk in chunks]
    first, *rest = [call for delta in deltas for call in delta.tool_calls or ()]
    assert (first.index, first.type) == (0, "function")
    assert first.function is not None
    assert (first.function.name, first.function.arguments) == ("get_weather", "")
    assert first.id
    assert len(rest) > 2
    for call in rest:
        assert call.model_dump(exclude_unset=True).keys() == {"index", "function"}
        assert call.function is not None
        assert call.function.model_dump(exclude_unset=True).keys() == {"arguments"}
    arguments = "".join((call.function and call.function.arguments) or "" for call in rest)
    assert json.loads(arguments) == {"city": "Paris"}
    assert not any(delta.content for delta in deltas)
    assert [
        chunk.choices[0].finish_reason for chunk in chunks if chunk.choices[0].finish_reason
    ] == ["tool_calls"]


def test_with_auto_the_model_may_talk(client: openai.OpenAI) -> None:
    answer = client.chat.completions.create(
        model="demo", messages=HELLO, tools=TOOLS, temperature=0
    )
    assert answer.choices[0].message.content == GREETING
    assert answer.choices[0].message.tool_calls is None
    assert answer.choices[0].finish_reason == "stop"


def test_tool_choice(client: openai.OpenAI) -> None:
    def called(messages: Any, choice: Any) -> list[str]:
        answer = client.chat.completions.create(
            model="demo",
            messages=messages,
            tools=TOOLS,
            tool_choice=choice,
            temperature=0,
            max_tokens=200,
        )
        calls: Any = answer.choices[0].message.tool_calls or ()
        for call in calls:
            json.loads(call.function.arguments)
        return [call.function.name for call in calls]

    named = {"type": "function", "function": {"name": "add_numbers"}}
    only = {"mode": "required", "tools": [named]}
    assert called(PARIS, "none") == []
    assert called(PARIS, "required") == ["get_weather"]
    assert called(HELLO, "required") != []
    assert called(PARIS, named) == ["add_numbers"]
    assert set(called(PARIS, {"type": "allowed_tools", "allowed_tools": only})) == {"add_numbers"}


def test_a_hot_model_calls_correctly(client: openai.OpenAI) -> None:
    answer = client.chat.completions.create(
        model="demo",
        messages=PARIS,
        tools=TOOLS,
        tool_choice="required",
        temperature=2,
        max_tokens=300,
        n=8,
    )
    for choice in answer.choices:
        if choice.finish_reason == "length":
            continue
        assert choice.finish_reason == "tool_calls"
        calls: Any = choice.message.tool_calls
        for call in calls:
            arguments = json.loads(call.function.arguments)
            keys = {"get_weather": {"city"}, "add_numbers": {"a", "b"}}[call.function.name]
            assert arguments.keys() == keys


def test_cut_off_in_a_call(client: openai.OpenAI) -> None:
    answer = client.chat.completions.create(
        model="demo", messages=PARIS, tools=TOOLS, temperature=0, max_tokens=14
    )
    assert answer.choices[0].finish_reason == "length"
    calls: Any = answer.choices[0].message.tool_calls
    assert '{"city": "Paris"}'.startswith(calls[0].function.arguments)


def test_legacy_functions(client: openai.OpenAI) -> None:
    functions = [tool["function"] for tool in TOOLS]
    answer = client.chat.completions.create(
        model="demo", messages=PARIS, functions=functions, temperature=0
    )
    assert answer.choices[0].finish_reason == "function_call"
    call = answer.choices[0].message.function_call
    assert call is not None
    assert (call.name, call.arguments) == ("get_weather", '{"city": "Paris"}')
    messages = [
        *PARIS,
        {"role": "assistant", "content": None, "function_call": call.model_dump()},
        {"role": "function", "name": "get_weather", "content": '{"temperature": 21}'},
    ]
    answer = client.chat.completions.create(
        model="demo", messages=messages, functions=functions, temperature=0
    )
    assert "21" in (answer.choices[0].message.content or "")


def test_parse_gives_the_arguments_as_an_instance(client: openai.OpenAI) -> None:
    class GetWeather(BaseModel):
        """Get the weather of a city."""

        city: str = Field(description="The city")

    answer = client.chat.completions.parse(
        model="demo",
        messages=PARIS,
        tools=[openai.pydantic_function_tool(GetWeather)],
        temperature=0,
    )
    calls = answer.choices[0].message.tool_calls
    assert calls is not None
    assert calls[0].function.parsed_arguments == GetWeather(city="Paris")


def test_a_tool_or_a_form(client: openai.OpenAI) -> None:
    class Person(BaseModel):
        name: str
        age: int

    anna: Any = [{"role": "user", "content": "Extract name and age as JSON: Anna is 31 years old."}]
    tools: list[Any] = [{**WEATHER, "function": {**WEATHER["function"], "strict": True}}]
    for messages in (anna, PARIS):
        answer = client.chat.completions.parse(
            model="demo", messages=messages, tools=tools, response_format=Person, temperature=0
        )
        message = answer.choices[0].message
        if message.tool_calls:
            assert json.loads(message.tool_calls[0].function.arguments).keys() == {"city"}
        else:
            assert isinstance(message.parsed, Person)


@pytest.mark.parametrize(
    ("fields", "param"),
    [
        ({"tool_choice": "required"}, "tool_choice"),
        (
            {"tools": TOOLS, "tool_choice": {"type": "function", "function": {"name": "x"}}},
            "tool_choice",
        ),
        ({"tools": [WEATHER, WEATHER]}, "tools"),
        ({"tools": [{"type": "function", "function": {}}]}, "tools[0].function.name"),
        ({"tools": [{"type": "function", "function": {"name": "a b"}}]}, "tools[0].function.name"),
        (
            {"tools": [strict(function("f", a={"not": {}}))]},
            "tools[0].function.parameters.properties.a.not",
        ),
        ({"tools": TOOLS, "extra_body": {"regex": "a"}}, "regex"),
        ({"extra_body": {"chat_template_kwargs": {"x-y": 1}}}, "chat_template_kwargs.x-y"),
        (
            {"extra_body": {"chat_template_kwargs": {"builtin_tools": ["x"]}}},
            "chat_template_kwargs.builtin_tools",
        ),
    ],
)
def test_what_cannot_be_used_is_refused(
    client: openai.OpenAI, fields: dict[str, Any], param: str
) -> None:
    with pytest.raises(openai.BadRequestError) as error:
        client.chat.completions.create(model="demo", messages=PARIS, **fields)
    assert error.value.param == param

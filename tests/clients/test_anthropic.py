"""The `anthropic` package on /v1/messages."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from tests.clients.prompts import CAPITAL, CAPITAL_ANSWER, GREETING, WEATHER, WEATHER_PARAMETERS

anthropic = pytest.importorskip("anthropic", reason="make test-clients installs it")
GET_WEATHER = {
    "name": "get_weather",
    "description": "Get the current weather for a city",
    "input_schema": WEATHER_PARAMETERS,
}


@pytest.fixture
def client(server_url: str) -> Iterator[Any]:
    with anthropic.Anthropic(base_url=server_url, api_key="none", max_retries=0) as client:
        yield client


def asked(text: str) -> dict[str, Any]:
    return {
        "model": "demo",
        "max_tokens": 100,
        "messages": [{"role": "user", "content": text}],
        "extra_body": {"temperature": 0},
    }


def test_a_message(client: Any) -> None:
    answer = client.messages.create(**asked(CAPITAL), system="You are helpful.")
    assert answer.role == "assistant"
    assert [(block.type, block.text) for block in answer.content] == [("text", CAPITAL_ANSWER)]
    assert answer.stop_reason == "end_turn"
    assert answer.usage.output_tokens > 3


def test_a_stream(client: Any) -> None:
    with client.messages.stream(**asked("Hello!")) as stream:
        pieces = list(stream.text_stream)
        final = stream.get_final_message()
    assert len(pieces) > 1
    assert "".join(pieces) == GREETING
    assert final.content[0].text == GREETING
    assert final.usage.output_tokens > 3


def test_cut_off_and_stopped(client: Any) -> None:
    cut = client.messages.create(**asked("Hello!") | {"max_tokens": 3})
    assert (cut.stop_reason, cut.usage.output_tokens) == ("max_tokens", 3)
    stopped = client.messages.create(**asked("Hello!"), stop_sequences=["help"])
    assert (stopped.stop_reason, stopped.stop_sequence) == ("stop_sequence", "help")
    assert stopped.content[0].text == "Hello! How can I "


def test_a_tool_is_called_and_answered_from(client: Any) -> None:
    first = client.messages.create(**asked(WEATHER), tools=[GET_WEATHER])
    [use] = first.content
    assert (use.type, use.name, use.input) == ("tool_use", "get_weather", {"city": "Paris"})
    assert first.stop_reason == "tool_use"
    result = {"type": "tool_result", "tool_use_id": use.id, "content": '{"temperature": 18}'}
    more = [
        {"role": "user", "content": WEATHER},
        {"role": "assistant", "content": first.content},
        {"role": "user", "content": [result]},
    ]
    told = client.messages.create(**asked("") | {"messages": more}, tools=[GET_WEATHER])
    assert "18" in told.content[0].text


def test_a_tool_call_is_streamed(client: Any) -> None:
    with client.messages.stream(**asked(WEATHER), tools=[GET_WEATHER]) as stream:
        [use] = stream.get_final_message().content
    assert (use.name, use.input) == ("get_weather", {"city": "Paris"})


def test_tokens_are_counted(client: Any) -> None:
    usage = client.messages.create(**asked("Hello!")).usage
    counted = client.messages.count_tokens(
        model="demo", messages=[{"role": "user", "content": "Hello!"}]
    )
    assert counted.input_tokens == usage.input_tokens + usage.cache_read_input_tokens


def test_errors_are_the_clients_own(client: Any) -> None:
    with pytest.raises(anthropic.NotFoundError) as missing:
        client.messages.create(**asked("Hello!") | {"model": "claude"})
    assert missing.value.body["error"]["type"] == "not_found_error"
    with pytest.raises(anthropic.BadRequestError) as wrong:
        client.messages.create(**asked("Hello!") | {"extra_body": {"temperature": 9}})
    assert wrong.value.body["error"]["type"] == "invalid_request_error"

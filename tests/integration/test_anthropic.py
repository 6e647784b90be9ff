"""Anthropic's client against a real server with the demo model."""

from __future__ import annotations

from collections.abc import Iterator

import anthropic
import pytest
from anthropic.types import MessageParam

from tests.serving import serving

GREETING = "Hello! How can I help you today?"
HELLO: list[MessageParam] = [{"role": "user", "content": "Hello!"}]
GREEDY = {"temperature": 0}


@pytest.fixture
def claude(demo_url: str) -> Iterator[anthropic.Anthropic]:
    with anthropic.Anthropic(base_url=demo_url, api_key="none", max_retries=0) as client:
        yield client


def test_a_message(claude: anthropic.Anthropic) -> None:
    message = claude.messages.create(model="demo", max_tokens=50, messages=HELLO, extra_body=GREEDY)
    [block] = message.content
    assert block.type == "text"
    assert block.text == GREETING
    assert message.stop_reason == "end_turn"
    assert message.usage.output_tokens > 3


def test_the_stream_helper_puts_the_message_together(claude: anthropic.Anthropic) -> None:
    with claude.messages.stream(
        model="demo", max_tokens=50, messages=HELLO, system="Be brief.", extra_body=GREEDY
    ) as stream:
        text = "".join(stream.text_stream)
        message = stream.get_final_message()
    [block] = message.content
    assert block.type == "text"
    assert block.text == text != ""
    assert message.stop_reason == "end_turn"
    assert message.usage.output_tokens > 1


def test_errors_are_the_clients(claude: anthropic.Anthropic) -> None:
    with pytest.raises(anthropic.NotFoundError, match="not served"):
        claude.messages.create(model="claude-9", max_tokens=5, messages=HELLO)
    with pytest.raises(anthropic.BadRequestError, match="max_tokens must be at least 1"):
        claude.messages.create(model="demo", max_tokens=0, messages=HELLO)


def test_the_clients_own_header_opens() -> None:
    with serving("demo", EDGE_LLAMA_API_KEY="secret") as (url, _):
        with anthropic.Anthropic(base_url=url, api_key="secret", max_retries=0) as client:
            assert client.messages.create(model="demo", max_tokens=5, messages=HELLO).content
        with (
            anthropic.Anthropic(base_url=url, api_key="wrong", max_retries=0) as client,
            pytest.raises(anthropic.AuthenticationError),
        ):
            client.messages.create(model="demo", max_tokens=5, messages=HELLO)

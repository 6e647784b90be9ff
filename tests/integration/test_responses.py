"""OpenAI's client and its Responses API against a real server with the demo model."""

from __future__ import annotations

import openai
import pytest

GREETING = "Hello! How can I help you today?"


def test_a_whole_response(client: openai.OpenAI) -> None:
    response = client.responses.create(model="demo", input="Hello!", temperature=0)
    assert response.output_text == GREETING
    assert response.status == "completed"
    assert response.usage is not None
    assert response.usage.output_tokens > 3


def test_the_stream_helper_puts_the_response_together(client: openai.OpenAI) -> None:
    whole = client.responses.create(model="demo", input="Hello!", temperature=0)
    with client.responses.stream(model="demo", input="Hello!", temperature=0) as stream:
        snapshots = [e.snapshot for e in stream if e.type == "response.output_text.delta"]
        response = stream.get_final_response()
    assert snapshots[-1] == response.output_text == GREETING
    assert response.usage is not None
    assert whole.usage is not None
    assert response.usage.total_tokens == whole.usage.total_tokens


def test_what_was_said_is_sent_back(client: openai.OpenAI) -> None:
    first = client.responses.create(model="demo", input="Hello!", temperature=0)
    second = client.responses.create(
        model="demo",
        temperature=0,
        input=[
            {"role": "user", "content": "Hello!"},
            *(item.to_dict() for item in first.output),  # type: ignore[list-item]
            {"role": "user", "content": "Thanks!"},
        ],
    )
    assert second.output_text
    assert second.usage is not None
    assert second.usage.input_tokens_details.cached_tokens > 0


def test_a_kept_conversation_is_refused(client: openai.OpenAI) -> None:
    with pytest.raises(openai.BadRequestError) as caught:
        client.responses.create(model="demo", input="Hi", previous_response_id="resp_1")
    assert caught.value.param == "previous_response_id"

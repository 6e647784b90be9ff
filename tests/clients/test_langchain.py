"""langchain-openai."""

from __future__ import annotations

from typing import Any

import pydantic
import pytest

from tests.clients.prompts import CAPITAL, CAPITAL_ANSWER, GREETING, PERSON, WEATHER

langchain = pytest.importorskip("langchain_openai", reason="make test-clients installs it")
messages = pytest.importorskip("langchain_core.messages", reason="make test-clients installs it")


class Person(pydantic.BaseModel):
    name: str
    age: int


class GetWeather(pydantic.BaseModel):
    """Get the current weather for a city"""

    model_config = pydantic.ConfigDict(title="get_weather")
    city: str


@pytest.fixture(params=["chat", "responses"])
def model(request: pytest.FixtureRequest, base_url: str) -> Any:
    return langchain.ChatOpenAI(
        model="demo",
        base_url=base_url,
        api_key="none",
        temperature=0,
        max_retries=0,
        stream_usage=True,
        use_responses_api=request.param == "responses",
    )


def test_invoke(model: Any) -> None:
    answer = model.invoke([("system", "You are helpful."), ("human", CAPITAL)])
    assert answer.text == CAPITAL_ANSWER
    assert answer.usage_metadata["output_tokens"] > 3


def test_stream(model: Any) -> None:
    chunks = list(model.stream("Hello!"))
    whole = chunks[0]
    for chunk in chunks[1:]:
        whole += chunk
    assert whole.text == GREETING
    assert whole.usage_metadata["output_tokens"] > 3


def test_batch(model: Any) -> None:
    answers = model.batch(["Hello!", CAPITAL])
    assert [answer.text for answer in answers] == [GREETING, CAPITAL_ANSWER]


def test_a_tool_is_called_and_answered_from(model: Any) -> None:
    bound = model.bind_tools([GetWeather])
    asked = [messages.HumanMessage(WEATHER)]
    call = bound.invoke(asked)
    assert [(c["name"], c["args"]) for c in call.tool_calls] == [("get_weather", {"city": "Paris"})]
    told = messages.ToolMessage('{"temperature": 18}', tool_call_id=call.tool_calls[0]["id"])
    assert "18" in bound.invoke([*asked, call, told]).text


def test_a_tool_call_is_streamed(model: Any) -> None:
    chunks = list(model.bind_tools([GetWeather]).stream(WEATHER))
    whole = chunks[0]
    for chunk in chunks[1:]:
        whole += chunk
    assert [(c["name"], c["args"]) for c in whole.tool_calls] == [
        ("get_weather", {"city": "Paris"})
    ]


@pytest.mark.parametrize("method", ["json_schema", "function_calling"])
def test_structured_output(model: Any, method: str) -> None:
    structured = model.with_structured_output(Person, method=method)
    assert structured.invoke(PERSON) == Person(name="Paula", age=34)


def test_logprobs(base_url: str) -> None:
    model = langchain.ChatOpenAI(
        model="demo", base_url=base_url, temperature=0, logprobs=True, use_responses_api=False
    )
    entries = model.invoke(CAPITAL).response_metadata["logprobs"]["content"]
    assert "".join(entry["token"] for entry in entries) == CAPITAL_ANSWER


def test_embeddings_of_token_ids(base_url: str) -> None:
    """By default langchain sends ids of tiktoken's, which would need a download: text instead."""
    model = langchain.OpenAIEmbeddings(
        model="demo", base_url=base_url, check_embedding_ctx_length=False
    )
    first, second = model.embed_documents(["Hello!", "Paris"])
    assert len(first) == len(second) == len(model.embed_query("Hello!"))
    assert first == pytest.approx(model.embed_query("Hello!"), abs=1e-5)


def test_completions(base_url: str) -> None:
    model = langchain.OpenAI(model="demo", base_url=base_url, temperature=0, max_tokens=8)
    answer = model.invoke("1, 2, 3, 4,")
    assert "".join(model.stream("1, 2, 3, 4,")) == answer

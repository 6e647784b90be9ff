"""llama-index's OpenAI-like model."""

from __future__ import annotations

from typing import Any

import pydantic
import pytest

from tests.clients.prompts import CAPITAL, CAPITAL_ANSWER, GREETING, PERSON, WEATHER

openai_like = pytest.importorskip(
    "llama_index.llms.openai_like", reason="make test-clients installs it"
)
llms = pytest.importorskip("llama_index.core.llms", reason="make test-clients installs it")
tools = pytest.importorskip("llama_index.core.tools", reason="make test-clients installs it")


class Person(pydantic.BaseModel):
    name: str
    age: int


def get_weather(city: str) -> str:
    """Get the current weather for a city"""
    return f"18 degrees in {city}"


@pytest.fixture
def model(base_url: str) -> Any:
    return openai_like.OpenAILike(
        model="demo",
        api_base=base_url,
        api_key="none",
        temperature=0,
        max_retries=0,
        context_window=4096,
        is_chat_model=True,
        is_function_calling_model=True,
        should_use_structured_outputs=True,
    )


def question(text: str) -> list[Any]:
    return [llms.ChatMessage(role="user", content=text)]


def test_chat(model: Any) -> None:
    assert model.chat(question(CAPITAL)).message.content == CAPITAL_ANSWER


def test_stream(model: Any) -> None:
    parts = list(model.stream_chat(question("Hello!")))
    assert "".join(part.delta or "" for part in parts) == GREETING
    assert parts[-1].message.content == GREETING


async def test_complete_by_chat(model: Any) -> None:
    assert (await model.acomplete(CAPITAL)).text == CAPITAL_ANSWER


def test_a_tool_is_called(model: Any) -> None:
    tool = tools.FunctionTool.from_defaults(get_weather)
    answer = model.predict_and_call([tool], user_msg=WEATHER)
    assert answer.response == "18 degrees in Paris"


def test_structured_output(model: Any) -> None:
    found = model.as_structured_llm(Person).complete(PERSON).raw
    assert found == Person(name="Paula", age=34)


def test_completions(base_url: str) -> None:
    model = openai_like.OpenAILike(
        model="demo", api_base=base_url, api_key="none", temperature=0, max_tokens=8
    )
    answer = model.complete("1, 2, 3, 4,").text
    assert [part.text for part in model.stream_complete("1, 2, 3, 4,")][-1] == answer


def test_embeddings(base_url: str) -> None:
    embeddings = pytest.importorskip(
        "llama_index.embeddings.openai_like", reason="make test-clients installs it"
    )
    model = embeddings.OpenAILikeEmbedding(model_name="demo", api_base=base_url, api_key="none")
    first, second = model.get_text_embedding_batch(["Hello!", "Paris"])
    assert first == pytest.approx(model.get_text_embedding("Hello!"), abs=1e-5)
    assert first != second

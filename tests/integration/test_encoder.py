"""A real server with an encoder: the official client's embeddings, and what it cannot do."""

from __future__ import annotations

from base64 import b64decode
from collections.abc import Iterator
from typing import Any, Literal

import httpx
import numpy as np
import openai
import pytest

from tests.serving import serving
from tests.tiny_encoder import WORDS, TinyEncoder, tokens_of

BERT = TinyEncoder("bert")
CLOSE = 0.005
ENCODINGS: tuple[Literal["float", "base64"], ...] = ("float", "base64")
HELLO = [{"role": "user", "content": "Hello!"}]


@pytest.fixture(scope="module")
def base_url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    path = BERT.write(tmp_path_factory.mktemp("models") / "tiny-bert.gguf")
    with serving(str(path)) as (url, process):
        assert process.stdout is not None
        said = "".join(process.stdout.readline() for _ in range(5))
        assert "buffers" in said
        assert "(512 tokens)" in said
        assert f"curl {url}/v1/embeddings" in said
        yield f"{url}/v1"


@pytest.fixture
def client(base_url: str) -> Iterator[openai.OpenAI]:
    with openai.OpenAI(base_url=base_url, api_key="none", max_retries=0) as client:
        yield client


def distance(found: list[float], expected: Any) -> float:
    return float(np.linalg.norm(np.array(found) - expected))


def test_64_texts_of_one_request(client: openai.OpenAI) -> None:
    texts = [[WORDS[n % 8], WORDS[n // 8], "sea"][: 1 + n % 3] for n in range(64)]
    answer = client.embeddings.create(model="tiny-bert", input=[" ".join(t) for t in texts])
    assert [entry.index for entry in answer.data] == list(range(64))
    for entry, text in zip(answer.data, texts, strict=True):
        assert distance(entry.embedding, BERT.embed(tokens_of(*text))) < CLOSE
    assert answer.usage.prompt_tokens == answer.usage.total_tokens == sum(map(len, texts)) + 128


def test_forms_of_input_and_output(client: openai.OpenAI) -> None:
    tokens = tokens_of("the", "sky")
    expected = BERT.embed(tokens)
    inputs: list[Any] = ["the SKY", tokens, [tokens]]
    for given in inputs:
        for encoding in ENCODINGS:
            answer = client.embeddings.create(
                model="tiny-bert",
                input=given,
                encoding_format=encoding,
            )
            found = answer.data[0].embedding
            if isinstance(found, str):
                found = np.frombuffer(b64decode(found), "<f4").tolist()
            assert distance(found, expected) < CLOSE
            assert answer.usage.prompt_tokens == 4
    short = client.embeddings.create(model="tiny-bert", input="the sky", dimensions=8)
    scaled = expected[:8] / np.linalg.norm(expected[:8])
    assert distance(short.data[0].embedding, scaled) < 4 * CLOSE


def test_a_text_that_is_too_long_is_refused(client: openai.OpenAI) -> None:
    whole = client.embeddings.create(model="tiny-bert", input="sea " * 510)
    assert whole.usage.prompt_tokens == 512
    with pytest.raises(openai.BadRequestError) as raised:
        client.embeddings.create(model="tiny-bert", input=["sea", "sea " * 511])
    assert raised.value.code == "context_length_exceeded"
    assert raised.value.param == "input"
    assert "This model's maximum context length is 512 tokens" in raised.value.message
    assert "513" in raised.value.message


@pytest.mark.parametrize(
    ("path", "body"),
    [
        ("/chat/completions", {"messages": HELLO}),
        ("/chat/completions", {"messages": HELLO, "stream": True}),
        ("/completions", {"prompt": "the sea"}),
        ("/completions", {"prompt": [2, 5, 3], "echo": True, "logprobs": 1, "max_tokens": 0}),
        ("/responses", {"input": "Hello!"}),
        ("/messages", {"messages": HELLO, "max_tokens": 5}),
        ("/messages/count_tokens", {"messages": HELLO}),
        ("/tokenize", {"messages": HELLO}),
    ],
)
def test_it_continues_nothing(base_url: str, path: str, body: dict[str, Any]) -> None:
    answer = httpx.post(f"{base_url}{path}", json={"model": "tiny-bert", **body})
    assert answer.status_code == 400
    error = answer.json()["error"]
    assert "tiny bert embeds texts and cannot continue them" in error["message"]
    assert error.get("param", "model") == "model"


def test_what_is_told_of_it(client: openai.OpenAI, base_url: str) -> None:
    [model] = client.models.list().data
    extra = model.model_extra
    assert extra is not None
    assert (model.id, extra["type"], extra["context_length"]) == ("tiny-bert", "embeddings", 512)
    assert extra["embedding_length"] == 64
    body = {"model": "tiny-bert", "prompt": "the sky"}
    tokens = httpx.post(f"{base_url}/tokenize", json=body).json()["tokens"]
    assert tokens == tokens_of("the", "sky")
    bare = httpx.post(f"{base_url}/tokenize", json=body | {"add_special_tokens": False}).json()[
        "tokens"
    ]
    assert bare == tokens[1:-1]

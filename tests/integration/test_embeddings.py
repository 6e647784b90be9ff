"""The official client's embeddings, of a real server with the demo model."""

from __future__ import annotations

import math

import openai
import pytest


def test_embeddings(client: openai.OpenAI) -> None:
    texts = ["The sea is wide.", "The sea is blue.", "1, 2, 3, 4, 5, 6"]
    answer = client.embeddings.create(model="demo", input=texts)
    sea, blue, numbers = [entry.embedding for entry in answer.data]
    assert math.sqrt(math.fsum(value * value for value in sea)) == pytest.approx(1, abs=1e-5)

    def likeness(a: list[float], b: list[float]) -> float:
        return math.fsum(x * y for x, y in zip(a, b, strict=True))

    assert likeness(sea, blue) > likeness(sea, numbers)
    # The client asks for base64 unless told otherwise.
    plain = client.embeddings.create(model="demo", input=texts[0], encoding_format="float")
    assert plain.data[0].embedding == pytest.approx(sea, abs=1e-4)
    short = client.embeddings.create(model="demo", input=texts[0], dimensions=8)
    assert len(short.data[0].embedding) == 8
    assert answer.usage.prompt_tokens > 15
    with pytest.raises(openai.BadRequestError) as caught:
        client.embeddings.create(model="demo", input=texts, dimensions=100_000)
    assert caught.value.param == "dimensions"

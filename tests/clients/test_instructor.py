"""instructor, in each of its modes that an OpenAI-compatible server can be asked in."""

from __future__ import annotations

import openai
import pydantic
import pytest

from tests.clients.prompts import PERSON

instructor = pytest.importorskip("instructor", reason="make test-clients installs it")


class Person(pydantic.BaseModel):
    """A person with name and age"""

    name: str
    age: int


@pytest.mark.parametrize("mode", ["TOOLS", "JSON_SCHEMA", "JSON"])
def test_a_person_is_extracted(base_url: str, mode: str) -> None:
    with openai.OpenAI(base_url=base_url, api_key="none", max_retries=0) as client:
        person = instructor.from_openai(client, mode=instructor.Mode[mode]).create(
            model="demo",
            messages=[{"role": "user", "content": PERSON}],
            response_model=Person,
            temperature=0,
            max_retries=0,
        )
    assert (person.name, person.age) == ("Paula", 34)


def test_a_person_grows_as_it_is_streamed(base_url: str) -> None:
    with openai.OpenAI(base_url=base_url, api_key="none", max_retries=0) as client:
        parts = list(
            instructor.from_openai(client, mode=instructor.Mode.TOOLS).create_partial(
                model="demo",
                messages=[{"role": "user", "content": PERSON}],
                response_model=Person,
                temperature=0,
            )
        )
    assert len(parts) > 1
    assert (parts[-1].name, parts[-1].age) == ("Paula", 34)

"""A model of the catalog on a fresh machine: downloaded, served, and served again offline."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import httpx
import openai
import pytest

from edge_llama.weights.demo import bundled_model
from tests.mock_hub import MockHub, mock_hub
from tests.serving import serving

CATALOG = """
[[model]]
id = "tiny"
aliases = ["someone/Tiny", "tiny:1b"]
repositories = [{ name = "someone/Tiny-GGUF" }]
"""


@pytest.fixture
def hub() -> Iterator[MockHub]:
    weights = bundled_model().read_bytes()
    with mock_hub() as hub:
        hub.add("someone/Tiny-GGUF", {"Tiny-Q8_0.gguf": weights, "Tiny-F16.gguf": weights + b"\0"})
        yield hub


@pytest.fixture
def environment(tmp_path: Path, hub: MockHub) -> dict[str, str]:
    (tmp_path / "catalog.toml").write_text(CATALOG, encoding="utf-8")
    return {"EDGE_LLAMA_HOME": str(tmp_path), "HF_ENDPOINT": hub.url}


def greeting(url: str, model: str) -> str | None:
    with openai.OpenAI(base_url=f"{url}/v1", api_key="none") as client:
        answer = client.chat.completions.create(
            model=model, messages=[{"role": "user", "content": "Hello!"}], temperature=0
        )
    assert answer.model == model
    return answer.choices[0].message.content


def test_a_model_is_downloaded_when_it_is_served_for_the_first_time(
    hub: MockHub, environment: dict[str, str]
) -> None:
    with serving("tiny:1b", **environment) as (url, _):
        for name in ("tiny", "someone/tiny", "tiny:1b"):
            assert greeting(url, name) == "Hello! How can I help you today?"
        [model] = httpx.get(f"{url}/v1/models").json()["data"]
    assert (model["id"], model["quantization"]) == ("tiny", "Q8_0")
    asked = len(hub.requests)
    assert asked > 0
    with serving("someone/Tiny-GGUF:Q8_0", **environment) as (url, _):
        for name in ("tiny", "someone/Tiny-GGUF:Q8_0"):
            assert greeting(url, name) == "Hello! How can I help you today?"
    assert len(hub.requests) == asked


def test_all_installed_models_are_served_and_loaded_on_demand(
    hub: MockHub, environment: dict[str, str], tmp_path: Path
) -> None:
    with serving("tiny", **environment):
        pass
    asked = len(hub.requests)
    with serving("demo", "--models", "installed", **environment) as (url, _):
        states = {m["id"]: m["state"] for m in httpx.get(f"{url}/v1/models").json()["data"]}
        assert states == {"demo": "loaded", "tiny": "available"}
        assert greeting(url, "tiny") == "Hello! How can I help you today?"
        [file] = tmp_path.rglob("*.gguf")
        assert file.name == "Tiny-Q8_0.gguf"
    assert len(hub.requests) == asked


def test_what_does_not_fit_is_refused_before_the_download(
    hub: MockHub, environment: dict[str, str]
) -> None:
    with (
        pytest.raises(AssertionError, match="does not fit"),
        serving("llama-3.1-70b-instruct", "--memory", "4G", **environment),
    ):
        pass
    assert hub.requests == []

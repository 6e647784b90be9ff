"""Real servers: one with the demo model, for what it says; one with a tiny one, for behaviour."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import openai
import pytest

from tests.gguf_factory import write_tiny_gguf
from tests.serving import serving

SEED_MODELS = ("meta/llama-3.1-70b-instruct", "llama3_1_8b_instruct")


@pytest.fixture(scope="session")
def demo_server() -> Iterator[tuple[str, int]]:
    """Its URL and its process."""
    aliases = [argument for name in SEED_MODELS for argument in ("--alias", name)]
    with serving("demo", *aliases) as (url, process):
        yield url, process.pid


@pytest.fixture(scope="session")
def demo_url(demo_server: tuple[str, int]) -> str:
    return demo_server[0]


@pytest.fixture
def client(demo_url: str) -> Iterator[openai.OpenAI]:
    with openai.OpenAI(base_url=f"{demo_url}/v1", api_key="none", max_retries=0) as client:
        yield client


@pytest.fixture(scope="session")
def tiny_gguf(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("models") / "tiny.gguf"
    return write_tiny_gguf(path, n_ctx=32768)

"""One server with the demo model, for all clients; clients that are not installed are skipped."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.serving import serving

HERE = Path(__file__).parent


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Everything here is marked; warnings of others' code are theirs."""
    for item in items:
        if HERE in item.path.parents:
            item.add_marker(pytest.mark.clients)
            item.add_marker(pytest.mark.filterwarnings("default"))


@pytest.fixture(scope="session")
def server_url() -> Iterator[str]:
    """Without /v1."""
    with serving("demo", "--alias", "meta/llama-3.1-8b-instruct") as (url, _):
        yield url


@pytest.fixture(scope="session")
def base_url(server_url: str) -> str:
    """What OpenAI's clients are told."""
    return f"{server_url}/v1"


@pytest.fixture(autouse=True)
def _only_this_server(base_url: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """No client can reach another server, or reads or writes settings of the user's."""
    monkeypatch.setenv("OPENAI_API_KEY", "none")
    monkeypatch.setenv("OPENAI_BASE_URL", base_url)
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    monkeypatch.setenv("HOME", str(tmp_path))

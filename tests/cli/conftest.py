from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.installed import gguf, store, tiny
from tests.mock_hub import MockHub, mock_hub

__all__ = ["gguf", "hub", "store", "tiny"]


@pytest.fixture
def hub(monkeypatch: pytest.MonkeyPatch) -> Iterator[MockHub]:
    """A hub on loopback that commands of this process ask."""
    import huggingface_hub

    for name in ("HF_HUB_OFFLINE", "TRANSFORMERS_OFFLINE", "HF_TOKEN"):
        monkeypatch.delenv(name, raising=False)
    with mock_hub() as hub:
        monkeypatch.setenv("HF_ENDPOINT", hub.url)
        yield hub
        huggingface_hub.close_session()

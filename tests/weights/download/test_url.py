from __future__ import annotations

import hashlib
from dataclasses import replace

import pytest

from edge_llama.errors import (
    ChecksumMismatch,
    HubUnavailable,
    UnknownModel,
    UnsafeFileName,
    WeightsError,
)
from edge_llama.weights.download.url import pull_url
from edge_llama.weights.store.store import Store
from tests.mock_hub import Kind, MockHub, gguf_bytes
from tests.weights.download.downloads import FAST, patience_with

CONTENT = gguf_bytes(200_000)


@pytest.fixture
def url(hub: MockHub) -> str:
    hub.add("owner/repo", {"some model-Q6_K.gguf": CONTENT})
    return f"{hub.cdn_url}/owner/repo/resolve/main/some%20model-Q6_K.gguf"


def test_an_address_is_installed_under_its_file_name(hub: MockHub, store: Store, url: str) -> None:
    model = pull_url(f"{url.replace('//', '//me:secret@')}?signature=secret", store)
    assert model.path.read_bytes() == CONTENT
    assert (model.id, model.quantization, model.repository) == (
        "some model-Q6_K",
        "Q6_K",
        None,
    )
    assert model.source == url
    assert b"secret" not in model.record.read_bytes()
    assert store.find("some model-Q6_K") == model
    assert not list((store.root / ".incoming").iterdir())
    assert not any("hf_of_the_user" in str(request) for request in hub.requests)


def test_the_same_address_is_asked_once(hub: MockHub, store: Store, url: str) -> None:
    model = pull_url(f"{url}?signature=1", store)
    hub.requests.clear()
    assert pull_url(f"{url}?signature=2", store, sha256=model.files[0].sha256) == model
    assert hub.requests == []


def test_it_goes_on_where_it_ended(hub: MockHub, store: Store, url: str) -> None:
    # The first request only looks: it gets four bytes.
    hub.fault("truncate", times=2)
    with pytest.raises(HubUnavailable):
        pull_url(url, store, settings=replace(FAST, attempts=1))
    assert pull_url(url, store, settings=FAST).path.read_bytes() == CONTENT
    assert hub.requests[-1].headers["range"] == "bytes=100000-199999"


@pytest.mark.parametrize("kind", ["status", "html", "drop", "stall", "truncate"])
def test_faults_that_pass(hub: MockHub, store: Store, url: str, kind: Kind) -> None:
    hub.fault(kind, times=2)
    assert pull_url(url, store, settings=patience_with(kind)).path.read_bytes() == CONTENT


def test_a_server_that_has_only_half_of_it(hub: MockHub, store: Store, url: str) -> None:
    hub.fault("short", times=9)
    with pytest.raises(WeightsError, match="cut off: 100,000 bytes are missing"):
        pull_url(url, store, settings=FAST)
    assert store.installed() == []
    assert not list((store.root / ".incoming").iterdir())


def test_a_checksum_is_held(store: Store, url: str) -> None:
    with pytest.raises(ChecksumMismatch):
        pull_url(url, store, sha256="0" * 64, settings=FAST)
    sha256 = hashlib.sha256(CONTENT).hexdigest()
    assert pull_url(url, store, sha256=sha256).files[0].sha256 == sha256


@pytest.mark.parametrize(
    ("url", "error", "text"),
    [
        ("http://example.com/x.gguf", WeightsError, "https://"),
        ("ftp://example.com/x.gguf", WeightsError, "https://"),
        ("file:///etc/x.gguf", WeightsError, "https://"),
        ("https:///x.gguf", WeightsError, "https://"),
        ("https://[x/x.gguf", WeightsError, "not an address"),
        ("https://example.com/x.bin", WeightsError, r"\.gguf"),
        ("https://example.com/", WeightsError, r"\.gguf"),
        ("https://example.com/..%2f..%2fx.gguf", UnsafeFileName, "dot"),
        ("https://example.com/C%3A%5Cx.gguf", UnsafeFileName, "contains"),
        ("https://example.com/a%00.gguf", UnsafeFileName, "cannot be shown"),
    ],
)
def test_addresses_that_are_refused(
    store: Store, url: str, error: type[WeightsError], text: str
) -> None:
    with pytest.raises(error, match=text):
        pull_url(url, store)
    assert not store.root.exists()


def test_what_is_not_there(hub: MockHub, store: Store, url: str) -> None:
    with pytest.raises(UnknownModel, match="404"):
        pull_url(url.replace("some", "other"), store)
    hub.fault("status", status=403)
    with pytest.raises(WeightsError, match="403"):
        pull_url(url, store)


def test_offline_asks_nobody(
    hub: MockHub, store: Store, url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    with pytest.raises(HubUnavailable, match="without a network: demo"):
        pull_url(url, store)
    assert hub.requests == []

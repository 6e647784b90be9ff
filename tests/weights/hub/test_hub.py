from __future__ import annotations

import hashlib
import socket

import pytest

from edge_llama.errors import (
    ChecksumMismatch,
    GatedRepository,
    HubUnavailable,
    UnknownModel,
    UnsafeFileName,
    WeightsError,
)
from edge_llama.weights.catalog.variant import Variant, WeightFile
from edge_llama.weights.hub.hub import Hub
from edge_llama.weights.hub.retry import TransferSettings
from tests.effort import PATIENCE
from tests.mock_hub import MockHub, gguf_bytes

FAST = TransferSettings(attempts=3, first_wait=0.01, longest_wait=0.05, timeout=PATIENCE)
REPOSITORY = "owner/Llama-GGUF"


def test_variants_are_the_models_of_a_repository(hub: MockHub) -> None:
    files = {
        "README.md": b"text",
        "model-Q8_0.gguf": gguf_bytes(300, 1),
        "model-Q4_K_M-00001-of-00002.gguf": gguf_bytes(400, 2),
        "model-Q4_K_M-00002-of-00002.gguf": gguf_bytes(500, 3),
    }
    commit = hub.add(REPOSITORY, files)
    big, split = Hub().variants(REPOSITORY)
    assert big == Variant(
        REPOSITORY,
        "Q8_0",
        (WeightFile("model-Q8_0.gguf", 300, hashlib.sha256(files["model-Q8_0.gguf"]).hexdigest()),),
        commit,
    )
    assert (split.quantization, split.size, len(split.files)) == ("Q4_K_M", 900, 2)


def test_a_revision_is_asked_for(hub: MockHub) -> None:
    old = hub.add(REPOSITORY, {"model-Q8_0.gguf": gguf_bytes(100)})
    new = hub.add(REPOSITORY, {"model-F16.gguf": gguf_bytes(100)})
    assert [v.quantization for v in Hub().variants(REPOSITORY, old)] == ["Q8_0"]
    (variant,) = Hub().variants(REPOSITORY)
    assert (variant.quantization, variant.revision) == ("F16", new)
    with pytest.raises(UnknownModel, match="no such branch"):
        Hub().variants(REPOSITORY, "nowhere")


@pytest.mark.parametrize(
    "name", ["../../.bashrc.gguf", "C:\\x.gguf", "a/..\\..\\b.gguf", "a\x1b.gguf"]
)
def test_hostile_names_are_refused(hub: MockHub, name: str) -> None:
    hub.add(REPOSITORY, {name: gguf_bytes(100)})
    with pytest.raises(UnsafeFileName):
        Hub().variants(REPOSITORY)


def test_a_repository_without_models(hub: MockHub) -> None:
    hub.add(REPOSITORY, {"model.safetensors": b"other"})
    with pytest.raises(UnknownModel, match="no GGUF"):
        Hub().variants(REPOSITORY)


@pytest.mark.parametrize("name", ["no/where", "nowhere", "a/b/c", "a b/c", "../x"])
def test_an_unknown_repository(hub: MockHub, name: str) -> None:
    with pytest.raises(UnknownModel):
        Hub(FAST).variants(name)


def test_the_token_goes_to_the_hub_and_nothing_else_is_told(hub: MockHub) -> None:
    hub.add(REPOSITORY, {"model-Q8_0.gguf": gguf_bytes(100)})
    Hub().variants(REPOSITORY)
    (request,) = hub.requests
    assert request.path == f"/api/models/{REPOSITORY}"
    assert request.headers["authorization"] == "Bearer hf_of_the_user"
    assert request.headers["user-agent"].startswith("edge-llama/")


@pytest.mark.parametrize(
    ("status", "headers", "error", "text"),
    [
        (401, {"X-Error-Code": "GatedRepo"}, GatedRepository, "Accept its licence at"),
        (403, {"X-Error-Code": "GatedRepo"}, GatedRepository, "hf auth login"),
        (403, {}, GatedRepository, "HF_TOKEN"),
        (
            401,
            {"X-Error-Message": "Invalid credentials in Authorization header"},
            GatedRepository,
            "does not accept your token",
        ),
        (401, {}, UnknownModel, "or it is private"),
        (404, {}, UnknownModel, "There is no"),
        (418, {}, HubUnavailable, "status 418"),
    ],
)
def test_refusals_say_what_to_do(
    hub: MockHub, status: int, headers: dict[str, str], error: type[WeightsError], text: str
) -> None:
    hub.fault("status", on="api", status=status, headers=headers, times=9)
    with pytest.raises(error, match=text):
        Hub(FAST).variants(REPOSITORY)
    assert len(hub.requests) == 1


@pytest.mark.parametrize("status", [429, 500, 502, 503, 504])
def test_what_may_pass_is_tried_again_but_not_for_ever(hub: MockHub, status: int) -> None:
    hub.add(REPOSITORY, {"model-Q8_0.gguf": gguf_bytes(100)})
    hub.fault("status", on="api", status=status, times=2, headers={"Retry-After": "1000"})
    assert len(Hub(FAST).variants(REPOSITORY)) == 1
    hub.requests.clear()
    hub.fault("status", on="api", status=status, times=99)
    with pytest.raises(HubUnavailable, match=f"status {status}.*tried 3 times"):
        Hub(FAST).variants(REPOSITORY)
    assert len(hub.requests) == 3


def test_a_web_page_is_no_answer(hub: MockHub) -> None:
    hub.fault("html", on="api")
    with pytest.raises(HubUnavailable, match="does not answer like a hub"):
        Hub(FAST).variants(REPOSITORY)


def test_no_network(monkeypatch: pytest.MonkeyPatch, hub: MockHub) -> None:
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        monkeypatch.setenv("HF_ENDPOINT", f"http://127.0.0.1:{unused.getsockname()[1]}")
        with pytest.raises(HubUnavailable, match="cannot be reached"):
            Hub(FAST).variants(REPOSITORY)


@pytest.mark.parametrize("name", ["HF_HUB_OFFLINE", "TRANSFORMERS_OFFLINE"])
def test_offline_asks_nobody(hub: MockHub, monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    monkeypatch.setenv(name, "1")
    with pytest.raises(HubUnavailable, match=name):
        Hub().variants(REPOSITORY)
    assert hub.requests == []


@pytest.mark.parametrize(
    "wanted",
    [
        WeightFile("model-Q8_0.gguf", sha256="0" * 64),
        WeightFile("model-Q8_0.gguf", size=99),
    ],
)
def test_the_catalog_and_the_hub_must_agree(hub: MockHub, wanted: WeightFile) -> None:
    hub.add(REPOSITORY, {"model-Q8_0.gguf": gguf_bytes(100)})
    with pytest.raises(ChecksumMismatch, match="another model-Q8_0"):
        Hub().locate(Variant(REPOSITORY, "Q8_0", (wanted,)))


def test_a_file_that_is_not_there(hub: MockHub) -> None:
    hub.add(REPOSITORY, {"model-Q8_0.gguf": gguf_bytes(100)})
    with pytest.raises(UnknownModel, match=r"has no other\.gguf"):
        Hub().locate(Variant(REPOSITORY, "Q8_0", (WeightFile("other.gguf"),)))

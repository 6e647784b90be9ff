from __future__ import annotations

import hashlib
import json
import re
from typing import Any

import pytest

from edge_llama.weights.store.store import Store
from tests.cli.test_program import run
from tests.mock_hub import MockHub, gguf_bytes

REPOSITORY = "someone/Tiny-GGUF"
SMALL, LARGE = gguf_bytes(1 << 20, 1), gguf_bytes(2 << 20, 2)


@pytest.fixture(autouse=True)
def _repository(hub: MockHub, store: Store) -> None:
    hub.add(REPOSITORY, {"Tiny-Q4_K_M.gguf": SMALL, "Tiny-Q8_0.gguf": LARGE, "README.md": b"#"})


def events(out: str) -> list[dict[str, Any]]:
    return [json.loads(line) for line in out.splitlines()]


def test_the_preferred_one_of_a_repository(
    capsys: pytest.CaptureFixture[str], store: Store
) -> None:
    code, out, err = run(capsys, "pull", REPOSITORY)
    assert code == 0
    assert out == (
        "Installed Tiny-Q4_K_M (Q4_K_M, 1.05 MB).\nTo talk to it: edge-llama chat Tiny-Q4_K_M\n"
    )
    assert err.startswith(f"Pulling {REPOSITORY}:Q4_K_M (1.05 MB)\n")
    (model,) = store.installed()
    assert model.path.read_bytes() == SMALL


@pytest.mark.parametrize(
    "arguments",
    [
        [f"{REPOSITORY}:Q8_0"],
        [REPOSITORY, "--quantization", "q8_0"],
        [f"{REPOSITORY}/Tiny-Q8_0.gguf"],
        [f"https://huggingface.co/{REPOSITORY}/blob/main/Tiny-Q8_0.gguf"],
    ],
    ids=str,
)
def test_the_one_that_was_named(
    capsys: pytest.CaptureFixture[str], store: Store, arguments: list[str]
) -> None:
    assert run(capsys, "pull", *arguments)[0] == 0
    assert [model.quantization for model in store.installed()] == ["Q8_0"]


def test_what_is_installed_needs_no_network(
    capsys: pytest.CaptureFixture[str], hub: MockHub
) -> None:
    assert run(capsys, "pull", REPOSITORY)[0] == 0
    hub.requests.clear()
    code, out, err = run(capsys, "pull", REPOSITORY)
    assert (code, err) == (0, "")
    assert out == "Tiny-Q4_K_M (Q4_K_M, 1.05 MB) is already installed.\n"
    code, out, _ = run(capsys, "pull", REPOSITORY, "--progress", "json")
    assert [(event["event"], event["already"]) for event in events(out)] == [("done", True)]
    assert hub.requests == []


def test_progress_as_json(capsys: pytest.CaptureFixture[str], store: Store) -> None:
    code, out, err = run(capsys, "pull", REPOSITORY, "--progress", "json")
    assert (code, err) == (0, "")
    first, *others, last = events(out)
    assert first == {
        "event": "start",
        "model": f"{REPOSITORY}:Q4_K_M",
        "source": REPOSITORY,
        "total": len(SMALL),
    }
    assert {event["event"] for event in others} <= {"progress", "verify"}
    (model,) = store.installed()
    digest = hashlib.sha256(SMALL).hexdigest()
    assert last == {
        "event": "done",
        "id": "Tiny-Q4_K_M",
        "path": str(model.path),
        "bytes": len(SMALL),
        "sha256": digest,
        "files": [{"path": str(model.path), "bytes": len(SMALL), "sha256": digest}],
        "already": False,
    }


def test_no_progress(capsys: pytest.CaptureFixture[str]) -> None:
    code, out, err = run(capsys, "pull", REPOSITORY, "--progress", "none")
    assert (code, err) == (0, "")
    assert out.startswith("Installed Tiny-Q4_K_M ")


def test_what_does_not_fit_is_not_downloaded(
    capsys: pytest.CaptureFixture[str], hub: MockHub, store: Store
) -> None:
    code, out, err = run(capsys, "pull", f"{REPOSITORY}:Q8_0", "--memory", "1M")
    assert (code, out) == (8, "")
    assert err.startswith("edge-llama: ")
    assert err.endswith(" --force downloads it all the same.\n")
    assert hub.requests_to("cdn") == []
    assert run(capsys, "pull", f"{REPOSITORY}:Q8_0", "--memory", "1M", "--force")[0] == 0
    assert len(store.installed()) == 1


def test_the_catalog_names_what_would_fit(capsys: pytest.CaptureFixture[str], hub: MockHub) -> None:
    code, _, err = run(capsys, "pull", "llama-3.1-8b-instruct:Q8_0", "--memory", "6.5G")
    assert code == 8
    assert re.search(r"Q8_0 of llama-3.1-8b-instruct does not fit .* Q4_K_M .* would", err)
    code, _, err = run(capsys, "pull", "llama-3.1-70b-instruct", "--memory", "6.5G")
    assert code == 8
    assert hub.requests == []


@pytest.mark.parametrize(
    ("arguments", "code", "said"),
    [
        (["someone/Nothing-GGUF"], 3, "someone/Nothing-GGUF"),
        ([f"{REPOSITORY}:Q2_K"], 3, "It has Q8_0, Q4_K_M."),
        (["nonsense"], 3, "nonsense"),
        (["demo"], 2, "nothing to download"),
        (["./mine.gguf"], 2, "edge-llama import"),
        ([REPOSITORY, "--quantization", "nonsense"], 2, "nonsense"),
        ([f"{REPOSITORY}:Q8_0", "--quantization", "Q4_K_M"], 2, "contradict"),
        ([f"{REPOSITORY}/Tiny-Q8_0.gguf", "--quantization", "Q8_0"], 2, "one file"),
        (["https://example.org/x.gguf"], 2, "--allow-url"),
        ([REPOSITORY, "--memory", "lots"], 2, "6.5GiB"),
        ([REPOSITORY, "--sha256", "0" * 64], 2, "--sha256 is for addresses"),
        ([REPOSITORY, "--sha256", "abc"], 2, "64 hexadecimal digits"),
    ],
    ids=str,
)
def test_what_cannot_be_pulled(
    capsys: pytest.CaptureFixture[str], arguments: list[str], code: int, said: str
) -> None:
    got, out, err = run(capsys, "pull", *arguments)
    assert (got, out) == (code, "")
    assert said in err
    assert err.count("\n") == 1


def test_a_gated_repository(capsys: pytest.CaptureFixture[str], hub: MockHub) -> None:
    hub.add("meta/Llama", {"Llama-Q4_K_M.gguf": SMALL}, gated=True)
    code, out, err = run(capsys, "pull", "meta/Llama", "--progress", "json")
    assert code == 5
    assert "Accept its licence" in err
    last = events(out)[-1]
    assert (last["event"], last["error"], last["exit_code"]) == ("error", "GatedRepository", 5)


def test_no_network(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    assert run(capsys, "pull", REPOSITORY)[0] == 0
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    code, _, err = run(capsys, "pull", "someone/Other-GGUF")
    assert code == 4
    assert "HF_HUB_OFFLINE" in err
    assert err.count("Models that run without a network: demo, Tiny-Q4_K_M.") == 1


def test_a_file_whose_name_tells_no_quantization(
    capsys: pytest.CaptureFixture[str], hub: MockHub, store: Store
) -> None:
    hub.add("someone/Odd", {"a-00001-of-00002.gguf": SMALL, "a-00002-of-00002.gguf": LARGE})
    code, out, err = run(capsys, "pull", "someone/Odd/a-00002-of-00002.gguf", "--progress", "json")
    assert (code, err) == (0, "")
    first, *_, last = events(out)
    assert first["model"] == "someone/Odd/a-00001-of-00002.gguf"
    assert last["sha256"] is None
    assert [file["bytes"] for file in last["files"]] == [len(SMALL), len(LARGE)]


def test_a_file_that_comes_damaged(capsys: pytest.CaptureFixture[str], hub: MockHub) -> None:
    hub.fault("corrupt", times=2)
    assert run(capsys, "pull", REPOSITORY)[0] == 7


def test_an_address(capsys: pytest.CaptureFixture[str], hub: MockHub, store: Store) -> None:
    # Only https is taken from the command line, which the mock hub does not speak.
    code, _, err = run(capsys, "pull", f"{hub.url}/x.gguf", "--allow-url")
    assert code == 2
    assert "https" in err
    assert hub.requests == []


def test_the_language_model_of_a_repository_with_others(
    capsys: pytest.CaptureFixture[str], hub: MockHub, store: Store
) -> None:
    others = ["v-mmproj-q8_0.gguf", "imatrix.gguf", "v-lora-q8_0.gguf", "mtp-v-q8_0.gguf"]
    hub.add("o/vision", dict.fromkeys([*others, "v-q8_0.gguf"], SMALL))
    assert run(capsys, "pull", "o/vision:q8_0")[0] == 0
    assert [model.path.name for model in store.installed()] == ["v-q8_0.gguf"]


def test_the_header_decides_after_the_download(
    capsys: pytest.CaptureFixture[str], hub: MockHub, store: Store
) -> None:
    content = gguf_bytes(1 << 20, kind="adapter")
    hub.add("o/style", {"style-q8_0.gguf": content, "base-q4_0.gguf": SMALL})
    code, _, err = run(capsys, "pull", "o/style:q8_0")
    assert code == 7
    assert "style-q8_0.gguf is a LoRA adapter, as its header tells, and no model." in err
    assert "Take one of these: o/style/base-q4_0.gguf." in err
    assert store.installed() == []
    assert not list(store.root.rglob("*.part"))


def test_a_projector_is_refused_by_its_name(
    capsys: pytest.CaptureFixture[str], hub: MockHub
) -> None:
    hub.add("o/vision", {"mmproj-v.gguf": SMALL, "v-MXFP4_MOE.gguf": SMALL})
    code, _, err = run(capsys, "pull", "o/vision/mmproj-v.gguf")
    assert code == 3
    assert "a projector of images or sound (mmproj)" in err
    assert "It has MXFP4." in err
    assert run(capsys, "pull", "o/vision:MXFP4")[0] == 0

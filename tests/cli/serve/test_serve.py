from __future__ import annotations

import os
import re
import signal
import socket
import subprocess
import sys
from pathlib import Path

import httpx
import pytest

from edge_llama.cli.serve.announcement import announce
from edge_llama.planning.named import NamedModel
from edge_llama.weights.demo import bundled_model
from edge_llama.weights.store.record import StoredFile
from edge_llama.weights.store.store import Store
from tests.cli.test_program import run
from tests.effort import PATIENCE
from tests.serving import serving

ROOT = Path(__file__).resolve().parents[2]


def ask(url: str, model: str) -> httpx.Response:
    message = {"role": "user", "content": "Hello!"}
    body = {"model": model, "messages": [message], "max_tokens": 4}
    return httpx.post(f"{url}/v1/chat/completions", json=body, timeout=60)


def test_the_demo_is_served_under_its_id_and_its_aliases() -> None:
    with serving("--alias", "meta/llama-3.1-70b-instruct", "--alias", "b") as (url, _):
        for name in ("demo", "meta/llama-3.1-70b-instruct", "b"):
            assert ask(url, name).json()["model"] == name
        assert ask(url, "other").status_code == 404


@pytest.mark.skipif(os.name == "nt", reason="Windows has no SIGINT for one process")
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM], ids=lambda n: str(n.name))
def test_a_signal_ends_the_server_quietly(number: signal.Signals) -> None:
    with serving() as (_, process):
        process.send_signal(number)
        _, err = process.communicate(timeout=PATIENCE)
        assert (process.returncode, err) == (0, "")


def test_a_file_is_served_under_its_stem(tmp_path: Path) -> None:
    path = tmp_path / "My model.Q8_0.gguf"
    path.write_bytes(bundled_model().read_bytes())
    with serving(str(path)) as (url, _):
        models = httpx.get(f"{url}/v1/models").json()["data"]
        assert [model["id"] for model in models] == ["My model.Q8_0"]


@pytest.fixture
def home(tmp_path: Path) -> Path:
    """An EDGE_LLAMA_HOME with two installed models: the catalog's 8B, and one of nobody's."""
    store = Store(tmp_path / "models")
    for repository, catalog_id in (("owner/a", "llama-3.1-8b-instruct"), ("owner/b", None)):
        path = store.location(repository, "file.gguf")
        path.parent.mkdir(parents=True)
        path.write_bytes(bundled_model().read_bytes())
        store.add(
            [StoredFile(path, path.stat().st_size, "0" * 64)],
            quantization="Q8_0",
            source="hub",
            catalog_id=catalog_id,
            repository=repository,
        )
    return tmp_path


def test_all_installed_models_are_served_with_the_catalogs_names(home: Path) -> None:
    options = ("LLAMA3.1:8b", "--models", "installed", "--alias", "file=mine")
    with serving(*options, EDGE_LLAMA_HOME=str(home)) as (url, _):
        models = httpx.get(f"{url}/v1/models").json()["data"]
        listed = [(model["id"], model["state"]) for model in models]
        assert listed == [("llama-3.1-8b-instruct", "loaded"), ("file", "available")]
        assert models[1]["aliases"] == ["mine"]
        for name in (
            "llama-3.1-8b-instruct",
            "meta/llama-3.1-8b-instruct",
            "llama3_1_8b_instruct",
            "meta-llama/Llama-3.1-8B-Instruct",
            "llama3.1:8b",
            "mine",
        ):
            assert ask(url, name).json()["model"] == name


def test_the_key_of_the_environment_guards_it() -> None:
    with serving(EDGE_LLAMA_API_KEY="secret") as (url, _):
        assert httpx.get(f"{url}/health").status_code == 200
        assert httpx.get(f"{url}/v1/models").status_code == 401
        headers = {"Authorization": "Bearer secret"}
        assert httpx.get(f"{url}/v1/models", headers=headers).status_code == 200


def test_a_taken_port_is_told_with_code_2() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        done = subprocess.run(
            [sys.executable, "-m", "edge_llama", "serve", "--port", str(port)],
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
    assert (done.returncode, done.stdout) == (2, "")
    assert re.fullmatch(rf"edge-llama: Port {port} .* in use .*\n", done.stderr)


def test_a_model_that_cannot_be_loaded_ends_the_server(tmp_path: Path) -> None:
    path = tmp_path / "half.gguf"
    whole = bundled_model().read_bytes()
    path.write_bytes(whole[: len(whole) // 2])
    done = subprocess.run(
        [sys.executable, "-m", "edge_llama", "serve", str(path), "--port", "0"],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert (done.returncode, done.stdout) == (7, "")
    assert done.stderr.splitlines()[-1].startswith("edge-llama: ")


FILE = NamedModel("models/My model.gguf", "My model")


def test_the_announcement_can_be_pasted(capsys: pytest.CaptureFixture[str]) -> None:
    announce("http://127.0.0.1:9", [FILE], guarded=True)
    out = capsys.readouterr().out
    assert out.startswith("edge-llama is ready: http://127.0.0.1:9\n")
    assert "curl http://127.0.0.1:9/v1/chat/completions" in out
    assert '-H "Authorization: Bearer $EDGE_LLAMA_API_KEY"' in out
    assert '"model": "My model"' in out
    assert "chat 'models/My model.gguf'" in out
    assert "\n  http://127.0.0.1:9/\n" in out
    assert "demo" not in out


def test_of_an_encoder_something_else_is_announced(capsys: pytest.CaptureFixture[str]) -> None:
    announce("http://127.0.0.1:9", [FILE], guarded=False, encoder=True)
    out = capsys.readouterr().out
    assert "curl http://127.0.0.1:9/v1/embeddings" in out
    assert '{"model": "My model", "input": "Hello!"}' in out
    assert "chat" not in out


def test_the_demo_is_called_a_demo(capsys: pytest.CaptureFixture[str]) -> None:
    announce("http://127.0.0.1:9", [NamedModel("demo", "demo")], guarded=False)
    out = capsys.readouterr().out
    assert "edge-llama demo: a tiny model that shows the machinery" in out
    assert "Authorization" not in out


def test_the_announcement_tells_what_is_loaded_later(capsys: pytest.CaptureFixture[str]) -> None:
    others = [NamedModel("a.gguf", "a"), NamedModel("b.gguf", "b")]
    announce("http://127.0.0.1:9", [FILE, *others], guarded=False)
    out = capsys.readouterr().out
    assert "My model is loaded; loaded when they are asked for: a, b\n" in out


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("--keep-alive", "soon"), "--keep-alive 'soon' is not a duration"),
        (("demo", "other.gguf", "--alias", "x"), "--alias 'x' does not tell which model it names"),
        (("--models", "installed"), "No model is installed"),
        (("--models", "some"), "some"),
    ],
)
def test_wrong_usage_is_told_with_code_2(
    arguments: tuple[str, ...], said: str, tmp_path: Path
) -> None:
    (tmp_path / "other.gguf").write_bytes(bundled_model().read_bytes())
    done = subprocess.run(
        [sys.executable, "-m", "edge_llama", "serve", *arguments, "--port", "0"],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
        cwd=tmp_path,
        env={**os.environ, "EDGE_LLAMA_HOME": str(tmp_path), "PYTHONPATH": str(ROOT)},
    )
    assert (done.returncode, done.stdout) == (2, "")
    assert said in done.stderr


def test_an_empty_key_of_the_environment_is_refused() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "edge_llama", "serve", "--port", "0"],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
        env={**os.environ, "EDGE_LLAMA_API_KEY": ""},
    )
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr == (
        "edge-llama: EDGE_LLAMA_API_KEY is empty. Set a key, or unset the variable.\n"
    )


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("--host", "0.0.0.0"), "--host 0.0.0.0 lets others in, and there is no API key"),
        (("--api-key-file", "none"), "The API keys in none cannot be read"),
        (("--allowed-host", "http://x"), "--allowed-host 'http://x' is no name"),
        (("--cors-origin", "x"), "--cors-origin 'x' is no origin"),
        (("--drain-timeout", "-1"), "--drain-timeout must be between 0 and 3600"),
    ],
)
def test_an_unsafe_setting_is_told_before_anything_is_loaded(
    arguments: tuple[str, ...], said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    code, out, err = run(capsys, "serve", *arguments, "--port", "0")
    assert (code, out) == (2, "")
    assert said in err


def test_a_key_of_a_file_opens_a_server_for_others(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "keys"
    code, out, _ = run(capsys, "api-key", "alice", str(path))
    assert code == 0
    with serving("--api-key-file", str(path)) as (url, _):
        assert httpx.get(f"{url}/v1/models").status_code == 401
        headers = {"Authorization": f"Bearer {out.strip()}"}
        assert httpx.get(f"{url}/v1/models", headers=headers).status_code == 200

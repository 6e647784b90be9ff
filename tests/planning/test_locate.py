from __future__ import annotations

import os
import sys
from pathlib import Path

import pytest

from edge_llama.bench.synthetic.gguf_writer import file_header
from edge_llama.errors import ModelFileError, UnknownModel
from edge_llama.planning.locate import model_id, resolve_model
from edge_llama.weights import demo
from edge_llama.weights.demo import bundled_model

DEMO_BYTES = file_header({"general.name": "demo"}, [])


@pytest.fixture
def package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty installation: the folder of the package, beside which a checkout has models/."""
    package = tmp_path / "site" / "edge_llama"
    (package / "weights").mkdir(parents=True)
    monkeypatch.setattr(demo, "__file__", str(package / "weights" / "demo.py"))
    return package


def write_demo(root: Path) -> Path:
    path = root / "models" / "demo" / "edge-llama-demo.gguf"
    path.parent.mkdir(parents=True)
    path.write_bytes(DEMO_BYTES)
    return path


def test_the_demo_of_a_wheel_is_inside_the_package(package: Path) -> None:
    path = write_demo(package)
    assert bundled_model() == path
    assert resolve_model("demo") == path


def test_the_demo_of_a_checkout_is_beside_the_package(package: Path) -> None:
    path = write_demo(package.parent)
    assert resolve_model("demo") == path


def test_a_missing_demo_is_told(package: Path) -> None:
    with pytest.raises(ModelFileError, match="demo model is missing"):
        resolve_model("demo")


def test_this_installation_has_its_demo() -> None:
    assert resolve_model("demo").name == "edge-llama-demo.gguf"


def test_a_path_is_made_absolute(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "a model.gguf").write_bytes(DEMO_BYTES)
    monkeypatch.chdir(tmp_path)
    assert resolve_model("a model.gguf") == tmp_path / "a model.gguf"


def test_the_home_folder_is_expanded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("USERPROFILE", str(tmp_path))
    (tmp_path / "m.gguf").write_bytes(DEMO_BYTES)
    assert resolve_model("~/m.gguf") == tmp_path / "m.gguf"


@pytest.mark.parametrize("name", ["", "no-such-model", "/no/such/model.gguf", "x" * 5000])
def test_a_path_that_leads_nowhere_is_refused(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises((UnknownModel, ModelFileError)) as caught:
        resolve_model(name)
    assert "\n" not in str(caught.value)


def test_a_folder_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ModelFileError, match="is not a file"):
        resolve_model(str(tmp_path))


def test_a_broken_file_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "page.gguf"
    path.write_text("<html>not found</html>")
    with pytest.raises(ModelFileError, match="is not a GGUF model"):
        resolve_model(str(path))


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("demo", "demo"),
        ("x/Llama.Q4_K_M.gguf", "Llama.Q4_K_M"),
        ("Llama.GGUF", "Llama"),
        ("models/Meta-Llama-3.1-8B-Instruct", "Meta-Llama-3.1-8B-Instruct"),
    ],
)
def test_the_id_is_the_name_without_gguf(name: str, expected: str) -> None:
    assert model_id(name) == expected


@pytest.mark.skipif(sys.platform != "linux", reason="other systems refuse such names")
def test_a_path_beyond_utf8_is_refused(tmp_path: Path) -> None:
    path = os.fsencode(tmp_path) + b"/m\xff.gguf"
    Path(os.fsdecode(path)).write_bytes(DEMO_BYTES)
    with pytest.raises(ModelFileError, match=r"m\\udcff.gguf' is not valid UTF-8"):
        resolve_model(os.fsdecode(path))

from __future__ import annotations

import json
from pathlib import Path

import pytest

from edge_llama.weights.caches import lm_studio
from edge_llama.weights.caches.found import Findings
from tests.mock_hub import gguf_bytes


def test_the_folders_name_the_repository(tmp_path: Path, gguf: bytes) -> None:
    path = tmp_path / "someone" / "Tiny-GGUF" / "Tiny-Q4_K_M.gguf"
    path.parent.mkdir(parents=True)
    path.write_bytes(gguf)
    (path.parent / "mmproj-Tiny-f16.gguf").write_bytes(gguf_bytes(200, kind="mmproj"))
    (path.parent / "downloading_Tiny-Q8_0.gguf.part").write_bytes(gguf[:100])
    findings = Findings()
    lm_studio.search(tmp_path, findings)
    (model,) = findings.models
    assert (model.app, model.repository) == ("LM Studio", "someone/Tiny-GGUF")
    assert (model.quantization, model.files[0].path) == ("Q4_K_M", path)
    assert findings.skipped == 2


def test_a_file_elsewhere_has_no_repository(tmp_path: Path, gguf: bytes) -> None:
    (tmp_path / "tiny.gguf").write_bytes(gguf)
    findings = Findings()
    lm_studio.search(tmp_path, findings)
    assert [model.repository for model in findings.models] == [None]


def test_the_default_folders(home: Path) -> None:
    assert lm_studio.folders(home, {}) == [
        home / ".lmstudio" / "models",
        home / ".cache" / "lm-studio" / "models",
    ]


def test_its_home_and_its_settings_are_followed(home: Path, tmp_path: Path) -> None:
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    home.mkdir()
    (home / ".lmstudio-home-pointer").write_text(f"{elsewhere}\n")
    (elsewhere / "settings.json").write_text(json.dumps({"downloadsFolder": "/data/models"}))
    found = lm_studio.folders(home, {})
    assert elsewhere / "models" in found
    assert Path("/data/models") in found


@pytest.mark.parametrize("settings", ["", "{", "[]", '{"downloadsFolder": 7}', "{}", "\ufeff"])
def test_settings_that_say_nothing_are_no_folder(home: Path, settings: str) -> None:
    (home / ".lmstudio").mkdir(parents=True)
    (home / ".lmstudio" / "settings.json").write_text(settings, encoding="utf-8")
    assert len(lm_studio.folders(home, {})) == 2

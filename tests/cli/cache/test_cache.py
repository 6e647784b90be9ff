from __future__ import annotations

import json
import time
from pathlib import Path

import pytest
from typer.testing import CliRunner

from edge_llama.cli import app
from edge_llama.cli.cache.disk_cache import (
    MOST,
    CacheOptions,
    cache_folder,
    default_size,
    parse_cache_size,
)
from edge_llama.engine.blocks.folder import BlockFolder
from edge_llama.errors import SettingsError
from tests.engine.blocks.making import FINGERPRINT, block


@pytest.fixture
def folder(tmp_path: Path) -> BlockFolder:
    """Three blocks of one model."""
    folder = BlockFolder(tmp_path, 1 << 30, FINGERPRINT)
    folder.prepare()
    for seed in range(3):
        folder.add(block(seed=seed))
        time.sleep(0.002)
    return folder


def run(folder: BlockFolder, *arguments: str) -> str:
    root = str(folder.path.parent)
    result = CliRunner().invoke(app, ["cache", *arguments, "--cache-dir", root])
    assert result.exit_code == 0, result.output
    return result.stdout


def test_show_tells_of_each_model(folder: BlockFolder) -> None:
    shown = run(folder, "show", "--cache-size", "1G")
    assert "a model" in shown
    assert "768" in shown
    assert f"of at most 1.00 GB in {folder.path}" in shown
    assert run(folder) != ""


def test_json(folder: BlockFolder) -> None:
    told = json.loads(run(folder, "show", "--json", "--cache-size", "1G"))
    total = sum(entry.size for entry in folder.entries())
    assert (told["folder"], told["bytes"]) == (str(folder.path), total)
    assert told["max_bytes"] == 10**9
    (model,) = told["models"]
    assert (model["name"], model["tokens"], model["bytes"]) == ("a model", 768, total)
    assert model["used_at"].startswith("20")


def test_prune_keeps_what_fits(folder: BlockFolder) -> None:
    one = folder.entries()[0].size
    assert "are free again" in run(folder, "prune", "--cache-size", str(one + 10))
    assert [entry.size for entry in folder.entries()] == [one]


def test_clear_asks_first(folder: BlockFolder) -> None:
    root = str(folder.path.parent)
    refused = CliRunner().invoke(app, ["cache", "clear", "--cache-dir", root])
    assert isinstance(refused.exception, SettingsError)
    assert len(folder.entries()) == 3
    assert json.loads(run(folder, "clear", "--yes", "--json"))["freed"] > 0
    assert folder.entries() == []


def test_an_empty_cache_is_shown_too(tmp_path: Path) -> None:
    folder = BlockFolder(tmp_path / "none", 1)
    assert "0 B of at most" in run(folder)
    assert "0 B are free again" in run(folder, "clear", "--yes")
    assert not folder.path.exists()


def test_sizes(tmp_path: Path) -> None:
    assert parse_cache_size("0") == 0
    assert parse_cache_size("5G") == 5 * 10**9
    assert 0 < default_size(tmp_path / "not" / "there") <= MOST
    assert CacheOptions(cache_dir=tmp_path, cache_size=0).settings() is None
    kept = CacheOptions(cache_dir=tmp_path, cache_size=100).settings()
    assert kept is not None
    assert (kept.folder, kept.max_bytes, kept.prefix) == (str(tmp_path), 100, None)


def test_the_folder_is_that_of_the_flag_or_below_the_home(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("EDGE_LLAMA_HOME", str(tmp_path))
    assert cache_folder(None) == tmp_path / "cache"
    assert cache_folder(Path("/x")) == Path("/x")
    monkeypatch.setenv("EDGE_LLAMA_CACHE_DIR", str(tmp_path / "own"))
    assert cache_folder(None) == tmp_path / "own"
    monkeypatch.delenv("EDGE_LLAMA_CACHE_DIR")
    monkeypatch.delenv("EDGE_LLAMA_HOME")
    assert "edge-llama" in str(cache_folder(None))


def test_a_prefix_needs_a_file_and_a_place(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match="no such file"):
        CacheOptions(cache_dir=tmp_path, cache_size=100).settings(tmp_path / "missing.kv")
    file = tmp_path / "prefix.kv"
    file.touch()
    with pytest.raises(SettingsError, match="leave out --cache-size 0"):
        CacheOptions(cache_dir=tmp_path, cache_size=0).settings(file)
    kept = CacheOptions(cache_dir=tmp_path, cache_size=100).settings(file)
    assert kept is not None
    assert kept.prefix == str(file)

from __future__ import annotations

import struct
from pathlib import Path

import pytest

from edge_llama.errors import ModelFileError
from edge_llama.weights import check_header


def gguf(
    version: int = 3, tensors: int = 2, metadata: int = 3, body: int = 200, order: str = "<"
) -> bytes:
    return struct.pack(f"{order}4sIQQ", b"GGUF", version, tensors, metadata) + bytes(body)


def refusal(path: Path) -> str:
    with pytest.raises(ModelFileError) as caught:
        check_header(path)
    message = str(caught.value)
    assert str(path) in message
    assert "\n" not in message
    return message


@pytest.mark.parametrize("version", [2, 3])
def test_a_plausible_header_passes(tmp_path: Path, version: int) -> None:
    path = tmp_path / "model.gguf"
    path.write_bytes(gguf(version))
    check_header(path)


def test_the_first_file_of_a_split_may_be_without_tensors(tmp_path: Path) -> None:
    path = tmp_path / "model-00001-of-00002.gguf"
    path.write_bytes(gguf(tensors=0))
    check_header(path)


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"", "is empty"),
        (b"<!DOCTYPE html>" * 10, "does not begin with 'GGUF'"),
        (b"GG", "does not begin with 'GGUF'"),
        (b"GGUF", "is cut off: 4 bytes"),
        (gguf()[:23], "is cut off: 23 bytes"),
        (gguf(version=1), "GGUF version 0x1"),
        (gguf(version=4), "GGUF version 0x4"),
        (gguf(order=">"), "GGUF version 0x3000000"),
        (gguf(metadata=0), "and 0 metadata entries"),
        (gguf(tensors=1 << 40), "announces 1099511627776 tensors"),
        (gguf(metadata=(1 << 64) - 1), "18446744073709551615 metadata entries"),
        (gguf(tensors=291, metadata=30), "is cut off: 224 bytes"),
        (gguf(body=107), "is cut off: 131 bytes"),
    ],
)
def test_a_broken_header_is_refused(tmp_path: Path, content: bytes, said: str) -> None:
    path = tmp_path / "model.gguf"
    path.write_bytes(content)
    assert said in refusal(path)


def test_an_unreadable_file_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "model.gguf"
    path.write_bytes(gguf())

    def denied(self: Path, mode: str) -> None:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(Path, "open", denied)
    assert "cannot be read: Permission denied" in refusal(path)


def test_a_directory_is_refused(tmp_path: Path) -> None:
    assert "cannot be read" in refusal(tmp_path)

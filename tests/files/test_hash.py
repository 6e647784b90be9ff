from __future__ import annotations

import hashlib
from pathlib import Path

import pytest

from edge_llama.files.hash import sha256_of


@pytest.mark.parametrize("size", [0, 1, 6, 7, 8, 700])
def test_a_file_is_hashed_whatever_the_buffer(tmp_path: Path, size: int) -> None:
    path = tmp_path / "file"
    content = bytes(range(256)) * 3
    path.write_bytes(content[:size])
    assert sha256_of(path, buffer_size=7) == hashlib.sha256(content[:size]).hexdigest()

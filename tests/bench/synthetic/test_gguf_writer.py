"""What is written is what the `gguf` package reads."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import gguf
import numpy as np
import pytest

from edge_llama.bench.synthetic.blocks import WeightFormat
from edge_llama.bench.synthetic.gguf_writer import HeaderValue, Tensor, write_gguf

METADATA: dict[str, HeaderValue] = {
    "general.architecture": "llama",
    "test.yes": True,
    "test.count": 7,
    "test.share": 0.5,
    "test.words": ["a", "ü", "\u0120b"],
    "test.numbers": [1, -2, 3],
}


@pytest.fixture
def reader(tmp_path: Path) -> Any:
    def tensor(name: str, *shape: int) -> Tensor:
        values = np.arange(np.prod(shape), dtype=np.float32)
        return Tensor(name, shape, WeightFormat.F32, lambda: iter([values[:2], values[2:]]))

    path = tmp_path / "written.gguf"
    write_gguf(path, METADATA, [tensor("first", 3), tensor("second", 2, 5)])
    return gguf.GGUFReader(path)


@pytest.mark.parametrize("key", METADATA)
def test_metadata(reader: Any, key: str) -> None:
    assert reader.fields[key].contents() == METADATA[key]


def test_tensors(reader: Any) -> None:
    first, second = reader.tensors
    assert (first.name, second.name) == ("first", "second")
    assert first.data.tolist() == [0, 1, 2]
    assert second.data.tolist() == [[0, 1, 2, 3, 4], [5, 6, 7, 8, 9]]
    assert second.shape.tolist() == [5, 2], "the file has the row length first"
    assert second.data_offset % 32 == 0


def test_a_file_that_cannot_be_written(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        write_gguf(tmp_path / "missing" / "x.gguf", METADATA, [])

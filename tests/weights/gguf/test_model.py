from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pytest

from edge_llama.bench.synthetic.blocks import WeightFormat
from edge_llama.bench.synthetic.gguf_writer import HeaderValue, Tensor, write_gguf
from edge_llama.errors import ModelFileError
from edge_llama.planning.locate import resolve_model
from edge_llama.weights.gguf.header import SkippedArray
from edge_llama.weights.gguf.model import read_model

PARTS = 3


def zeros(name: str) -> Tensor:
    return Tensor(name, (8,), WeightFormat.F32, lambda: iter([np.zeros(8, np.float32)]))


def write(path: Path, metadata: Mapping[str, HeaderValue], *tensors: str) -> Path:
    write_gguf(path, {"general.name": "test", **metadata}, [zeros(name) for name in tensors])
    return path


def part_name(number: int, parts: int = PARTS) -> str:
    return f"model-{number:05}-of-{parts:05}.gguf"


def write_part(folder: Path, number: int, **metadata: HeaderValue) -> Path:
    split: dict[str, HeaderValue] = {
        "split.count": PARTS,
        "split.no": number - 1,
        "split.tensors.count": PARTS,
    }
    return write(folder / part_name(number), {**split, **metadata}, f"tensor.{number}")


@pytest.fixture
def first(tmp_path: Path) -> Path:
    """The first of three parts, with the others beside it."""
    first, *_ = [write_part(tmp_path, number) for number in range(1, PARTS + 1)]
    return first


def refusal(path: Path) -> str:
    with pytest.raises(ModelFileError) as caught:
        read_model(path)
    assert "\n" not in str(caught.value)
    return str(caught.value)


def test_one_file_is_a_model(tmp_path: Path) -> None:
    model = read_model(write(tmp_path / "m.gguf", {}, "a", "b"))
    assert model.path == tmp_path / "m.gguf"
    assert [tensor.name for tensor in model.tensors] == ["a", "b"]
    assert model.text("general.name") == "test"


def test_all_parts_of_a_split_model_are_read(first: Path) -> None:
    model = read_model(first)
    assert [path.name for path in model.paths] == [part_name(n) for n in (1, 2, 3)]
    assert [tensor.name for tensor in model.tensors] == ["tensor.1", "tensor.2", "tensor.3"]
    assert sum(tensor.size for tensor in model.tensors) == 3 * 32


def test_a_missing_part_is_named(first: Path) -> None:
    first.with_name(part_name(2)).unlink()
    assert f"{part_name(2)} is missing" in refusal(first)
    with pytest.raises(ModelFileError, match="is missing"):
        resolve_model(str(first))


def test_a_part_that_is_cut_off_is_named(first: Path) -> None:
    third = first.with_name(part_name(3))
    third.write_bytes(third.read_bytes()[:-10])
    assert f"{part_name(3)} is cut off: 10 bytes" in refusal(first)


def test_the_first_part_is_to_be_given(first: Path) -> None:
    said = refusal(first.with_name(part_name(2)))
    assert "is not the first of the model's 3 parts" in said
    assert part_name(1) in said


def test_parts_keep_their_names(first: Path) -> None:
    assert "its name does not say so" in refusal(first.rename(first.with_name("model.gguf")))


def test_parts_of_different_models_are_refused(first: Path) -> None:
    second = first.with_name(part_name(2))
    second.unlink()
    write(second, {"split.no": 1}, "a", "b")
    assert "have 4 tensors and not 3" in refusal(first)


def test_numbers_come_alone_or_for_each_layer(tmp_path: Path) -> None:
    metadata: dict[str, HeaderValue] = {"one": 7, "each": [1, 3, 2], "name": "text", "half": 0.5}
    model = read_model(write(tmp_path / "m.gguf", metadata))
    assert model.numbers("one") == (7,)
    assert model.numbers("each") == (1, 3, 2)
    assert model.numbers("absent") == ()
    assert (model.number("each"), model.number("absent")) == (3, None)
    for key in ("name", "half"):
        with pytest.raises(ModelFileError, match=f"its '{key}' is no number"):
            model.numbers(key)


def test_lengths_of_arrays(tmp_path: Path) -> None:
    model = read_model(write(tmp_path / "m.gguf", {"long": [0] * 1000, "short": [1, 2], "no": 1}))
    assert model.headers[0].metadata["long"] == SkippedArray(1000)
    assert [model.length(key) for key in ("long", "short", "no", "absent")] == [1000, 2, 0, 0]

from __future__ import annotations

import pytest

from edge_llama.weights.gguf.file_type import is_language_model, quantization_in
from edge_llama.weights.gguf.header import GGUFHeader, MetadataValue


def header(**metadata: MetadataValue) -> GGUFHeader:
    return GGUFHeader({f"general.{key}": value for key, value in metadata.items()}, (), 0)


@pytest.mark.parametrize(
    ("number", "name"),
    [(0, "F32"), (15, "Q4_K_M"), (30, "IQ4_XS"), (32, "BF16"), (1024, None), ("Q4", None)],
)
def test_the_quantization_of_a_header(number: MetadataValue, name: str | None) -> None:
    assert quantization_in(header(file_type=number)) == name


def test_a_header_need_not_tell_it() -> None:
    assert quantization_in(header()) is None


@pytest.mark.parametrize(
    ("found", "expected"),
    [
        (header(architecture="llama"), True),
        (header(architecture="llama", type="model"), True),
        (header(), True),  # a further part of a split model
        (header(architecture="clip"), False),
        (header(architecture="clip", type="mmproj"), False),
        (header(architecture="llama", type="adapter"), False),
        (header(type="imatrix"), False),
    ],
)
def test_what_belongs_to_a_model_is_none(found: GGUFHeader, expected: bool) -> None:
    assert is_language_model(found) is expected

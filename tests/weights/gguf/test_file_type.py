from __future__ import annotations

import pytest

from edge_llama.weights.catalog.file_kind import FileKind
from edge_llama.weights.gguf.file_type import kind_in, quantization_in
from edge_llama.weights.gguf.header import GGUFHeader, MetadataValue


def header(**metadata: MetadataValue) -> GGUFHeader:
    return GGUFHeader({f"general.{key}": value for key, value in metadata.items()}, (), 0)


@pytest.mark.parametrize(
    ("number", "name"),
    [
        (0, "F32"),
        (15, "Q4_K_M"),
        (30, "IQ4_XS"),
        (32, "BF16"),
        (38, "MXFP4"),
        (1024, None),
        ("Q4", None),
    ],
)
def test_the_quantization_of_a_header(number: MetadataValue, name: str | None) -> None:
    assert quantization_in(header(file_type=number)) == name


def test_a_header_need_not_tell_it() -> None:
    assert quantization_in(header()) is None


@pytest.mark.parametrize(
    ("found", "expected"),
    [
        (header(architecture="llama"), FileKind.MODEL),
        (header(architecture="llama", type="model"), FileKind.MODEL),
        (header(), FileKind.MODEL),  # a further part of a split model
        (header(architecture="clip"), FileKind.PROJECTOR),
        (header(architecture="clip", type="mmproj"), FileKind.PROJECTOR),
        (header(architecture="llama", type="adapter"), FileKind.ADAPTER),
        (header(type="imatrix"), FileKind.CALIBRATION),
        (header(architecture="controlvector"), FileKind.CONTROL_VECTOR),
        (header(architecture="eagle3"), FileKind.DRAFT),
    ],
)
def test_what_belongs_to_a_model_is_none(found: GGUFHeader, expected: FileKind) -> None:
    assert kind_in(found) is expected


@pytest.mark.parametrize(("parts", "expected"), [(None, FileKind.VOCABULARY), (2, FileKind.MODEL)])
def test_a_vocabulary_without_weights(parts: int | None, expected: FileKind) -> None:
    metadata: dict[str, MetadataValue] = {"tokenizer.ggml.model": "gpt2"}
    if parts is not None:
        metadata["split.count"] = parts
    assert kind_in(GGUFHeader(metadata, (), 0)) is expected

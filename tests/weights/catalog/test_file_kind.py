from __future__ import annotations

import pytest

from edge_llama.weights.catalog.file_kind import FileKind, kind_by_name, language_models
from edge_llama.weights.catalog.variant import WeightFile


@pytest.mark.parametrize(
    ("path", "kind"),
    [
        ("v-q8_0.gguf", FileKind.MODEL),
        ("v-mmproj-q8_0.gguf", FileKind.PROJECTOR),
        ("mmproj-model-f16.gguf", FileKind.PROJECTOR),
        ("Some-Model_mmproj.gguf", FileKind.PROJECTOR),
        ("sub/Some-Model.mmproj-Q8_0.gguf", FileKind.PROJECTOR),
        ("imatrix.gguf", FileKind.CALIBRATION),
        ("imatrix_unsloth.gguf", FileKind.CALIBRATION),
        ("Llama-3.2-1B-Instruct-imatrix.gguf", FileKind.CALIBRATION),
        ("Llama-3.2-1B-Instruct-BF16.imatrix.gguf", FileKind.CALIBRATION),
        ("Llama-3.2-1B-Instruct-Q4_K_M-imatrix.gguf", FileKind.MODEL),
        ("Llama-3.2-1B-Instruct-Q4_K_M_imat.gguf", FileKind.MODEL),
        ("ggml-vocab-llama-bpe.gguf", FileKind.VOCABULARY),
        ("Style-LoRA-8B-F16.gguf", FileKind.ADAPTER),
        ("ggml-adapter-model.gguf", FileKind.ADAPTER),
        ("mtp-Qwen-Q8_0.gguf", FileKind.DRAFT),
        ("Llama-3.1-8B-EAGLE3-F16.gguf", FileKind.DRAFT),
        ("happy_cvector.gguf", FileKind.CONTROL_VECTOR),
        ("Floral-Explorer-Q8_0.gguf", FileKind.MODEL),
        ("lora/Model-Q8_0.gguf", FileKind.MODEL),
    ],
)
def test_a_name_tells_what_a_file_is(path: str, kind: FileKind) -> None:
    assert kind_by_name(path) is kind


def models(*paths: str, asked_for: str = "") -> list[str]:
    found = language_models([WeightFile(path) for path in paths], [asked_for])
    return [file.path for file in found]


def test_what_is_no_model_is_left_out() -> None:
    parts = ["m-Q8_0-00001-of-00002.gguf", "m-Q8_0-00002-of-00002.gguf"]
    others = ["imatrix.dat", "m-Q8_0.gguf.part", "README.md", "m-lora.gguf", "mmproj.gguf"]
    assert models(*parts, *others) == parts


def test_a_repository_whose_models_are_called_after_something_else() -> None:
    assert models("x-lora-merged-Q8_0.gguf", "mmproj.gguf") == ["x-lora-merged-Q8_0.gguf"]
    assert models("mmproj.gguf") == []


def test_a_file_that_is_asked_for_is_taken_unless_it_cannot_be_one() -> None:
    assert models("a.gguf", "a-draft.gguf", asked_for="a-draft.gguf") == ["a.gguf", "a-draft.gguf"]
    assert models("a.gguf", "mmproj.gguf", asked_for="mmproj.gguf") == ["a.gguf"]

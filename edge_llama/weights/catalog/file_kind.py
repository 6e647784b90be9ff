"""What a GGUF is, guessed from its name: repositories have others beside their models.

Only a header tells for sure (`gguf.file_type`), and it comes with the download.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable
from enum import Enum
from pathlib import PurePosixPath

from edge_llama.weights.catalog.quantization import quantization_of
from edge_llama.weights.catalog.variant import WeightFile


class FileKind(Enum):
    """What a GGUF is; the value says it in words."""

    MODEL = "a language model"
    PROJECTOR = "a projector of images or sound (mmproj)"
    ADAPTER = "a LoRA adapter"
    CALIBRATION = "calibration data (imatrix)"
    VOCABULARY = "a vocabulary without weights"
    DRAFT = "a draft head (MTP, EAGLE)"
    CONTROL_VECTOR = "a control vector"


_WORDS = {
    "mmproj": FileKind.PROJECTOR,
    "lora": FileKind.ADAPTER,
    "qlora": FileKind.ADAPTER,
    "adapter": FileKind.ADAPTER,
    "imatrix": FileKind.CALIBRATION,
    "vocab": FileKind.VOCABULARY,
    "mtp": FileKind.DRAFT,
    "eagle": FileKind.DRAFT,
    "eagle3": FileKind.DRAFT,
    "dflash": FileKind.DRAFT,
    "dspark": FileKind.DRAFT,
    "draft": FileKind.DRAFT,
    "cvector": FileKind.CONTROL_VECTOR,
}
_SEPARATORS = re.compile(r"[^a-z0-9]+")
_SURE = (FileKind.PROJECTOR, FileKind.CALIBRATION)
"""What no model is called after."""
_UNCOMPRESSED = ("F32", "F16", "BF16")


def kind_by_name(path: str) -> FileKind:
    """What the name of a GGUF says that it is.

    A quantization made with the help of an imatrix often says so, and is a model.
    """
    words = _SEPARATORS.split(PurePosixPath(path).name.lower().removesuffix(".gguf"))
    for word in words:
        if (kind := _WORDS.get(word)) is None:
            continue
        if kind is FileKind.CALIBRATION and words[0] != word:
            quantization = quantization_of(PurePosixPath(path).name)
            if quantization is not None and quantization not in _UNCOMPRESSED:
                continue
        return kind
    return FileKind.MODEL


def language_models(
    files: Iterable[WeightFile], asked_for: Collection[str] = ()
) -> list[WeightFile]:
    """The GGUFs that are language models by their names.

    Where all names speak against it, as of a model that is called after the LoRA merged into it,
    those are taken that only might be something else.

    Args:
        asked_for: paths that are taken too, if they only might be something else.
    """
    kinds = {file: kind_by_name(file.path) for file in files if file.path.lower().endswith(".gguf")}
    models = [
        file for file, kind in kinds.items() if kind is FileKind.MODEL or file.path in asked_for
    ]
    possible = [file for file, kind in kinds.items() if kind not in _SURE]
    return [file for file in models if file in possible] or possible

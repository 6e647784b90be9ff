"""What a GGUF's header says that it is, and about its quantization.

`general.file_type` has the numbers of `llama_ftype` in
https://github.com/ggml-org/llama.cpp/blob/master/include/llama.h.
"""

from __future__ import annotations

from pathlib import Path

from edge_llama.errors import NoLanguageModel
from edge_llama.weights.catalog.file_kind import FileKind
from edge_llama.weights.gguf.header import GGUFHeader

_NAMES = {
    0: "F32",
    1: "F16",
    2: "Q4_0",
    3: "Q4_1",
    7: "Q8_0",
    8: "Q5_0",
    9: "Q5_1",
    10: "Q2_K",
    11: "Q3_K_S",
    12: "Q3_K_M",
    13: "Q3_K_L",
    14: "Q4_K_S",
    15: "Q4_K_M",
    16: "Q5_K_S",
    17: "Q5_K_M",
    18: "Q6_K",
    19: "IQ2_XXS",
    20: "IQ2_XS",
    21: "Q2_K_S",
    22: "IQ3_XS",
    23: "IQ3_XXS",
    24: "IQ1_S",
    25: "IQ4_NL",
    26: "IQ3_S",
    27: "IQ3_M",
    28: "IQ2_S",
    29: "IQ2_M",
    30: "IQ4_XS",
    31: "IQ1_M",
    32: "BF16",
    36: "TQ1_0",
    37: "TQ2_0",
    38: "MXFP4",
    39: "NVFP4",
    40: "Q1_0",
    41: "Q2_0",
}
_TYPES = {
    "adapter": FileKind.ADAPTER,
    "imatrix": FileKind.CALIBRATION,
    "mmproj": FileKind.PROJECTOR,
    "clip-vision": FileKind.PROJECTOR,
}
"""Of `general.type`."""
_ARCHITECTURES = {
    "clip": FileKind.PROJECTOR,
    "controlvector": FileKind.CONTROL_VECTOR,
    "eagle3": FileKind.DRAFT,
    "dflash": FileKind.DRAFT,
}
"""Of `general.architecture`, that no model has which runs by itself."""


def quantization_in(header: GGUFHeader) -> str | None:
    """The quantization that `header` names, as `quantization.QUALITY` spells it."""
    number = header.metadata.get("general.file_type")
    return _NAMES.get(number) if isinstance(number, int) else None


def kind_in(header: GGUFHeader) -> FileKind:
    """What the header of a file, the first if there are several, says that it is."""
    metadata = header.metadata
    for key, known in (("general.type", _TYPES), ("general.architecture", _ARCHITECTURES)):
        value = metadata.get(key)
        # llama.cpp reads a text up to a NUL.
        if isinstance(value, str) and (kind := known.get(value.partition("\0")[0])):
            return kind
    # The first part of a split model may have metadata alone.
    if metadata.get("tokenizer.ggml.model") and not header.tensors and _is_whole(header):
        return FileKind.VOCABULARY
    return FileKind.MODEL


def see_that_it_is_a_model(path: Path, header: GGUFHeader) -> None:
    """Refuse what belongs to a model without being one.

    Raises:
        NoLanguageModel: it is a projector, an adapter or the like; the text says what.
    """
    if (kind := kind_in(header)) is not FileKind.MODEL:
        raise NoLanguageModel(f"{path.name} is {kind.value}, as its header tells, and no model.")


def _is_whole(header: GGUFHeader) -> bool:
    parts = header.metadata.get("split.count", 1)
    return not isinstance(parts, int) or parts <= 1

"""What a GGUF's header says about its quantization.

`general.file_type` has the numbers of `llama_ftype` in
https://github.com/ggml-org/llama.cpp/blob/master/include/llama.h.
"""

from __future__ import annotations

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
}


def quantization_in(header: GGUFHeader) -> str | None:
    """The quantization that `header` names, as `quantization.QUALITY` spells it."""
    number = header.metadata.get("general.file_type")
    return _NAMES.get(number) if isinstance(number, int) else None


def is_language_model(header: GGUFHeader) -> bool:
    """False for what belongs to a model without being one: projectors, adapters, calibration."""
    metadata = header.metadata
    return (
        metadata.get("general.type", "model") == "model"
        and metadata.get("general.architecture") != "clip"
    )

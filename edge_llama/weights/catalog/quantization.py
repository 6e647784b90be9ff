"""The names of GGUF quantizations, and how good they are. (Files in several parts: `split`.)

The order follows what `llama-quantize --help` prints: the perplexity that a quantization adds to
Llama 3 8B, and bits a weight where it prints no perplexity
(https://github.com/ggml-org/llama.cpp/blob/master/tools/quantize/quantize.cpp). Mixes that
llama.cpp does not name, `_L` and `_XL`, keep some tensors in more bits and stand before their
plain forms, as their makers' model cards list them.
"""

from __future__ import annotations

import re

QUALITY = (
    "F32",
    "BF16",
    "F16",
    "Q8_K_XL",
    "Q8_0",
    "Q6_K_XL",
    "Q6_K_L",
    "Q6_K",
    "Q5_K_XL",
    "Q5_K_L",
    "Q5_K_M",
    "Q5_K_S",
    "Q5_1",
    "Q5_0",
    "Q4_K_XL",
    "Q4_K_L",
    "Q4_K_M",
    "Q4_K_S",
    "IQ4_NL",
    "NVFP4",
    "MXFP4",
    "IQ4_XS",
    "Q4_1",
    "Q4_0",
    "Q3_K_XL",
    "Q3_K_L",
    "Q3_K_M",
    "IQ3_M",
    "IQ3_S",
    "IQ3_XS",
    "Q3_K_S",
    "IQ3_XXS",
    "Q2_K_XL",
    "Q2_K_L",
    "Q2_K",
    "Q2_K_S",
    "IQ2_M",
    "IQ2_S",
    "IQ2_XS",
    "IQ2_XXS",
    "Q2_0",
    "TQ2_0",
    "IQ1_M",
    "TQ1_0",
    "IQ1_S",
    "Q1_0",
)
"""Best first."""

RETIRED = ("Q4_0_4_4", "Q4_0_4_8", "Q4_0_8_8")
"""Still on the hub, but llama.cpp reads them no more; it rearranges `Q4_0` itself."""

UNKNOWN = "unknown"
"""The quantization of a file whose name does not tell it."""

_ALIASES = {
    "FP32": "F32",
    "FP16": "F16",
    "Q3_K": "Q3_K_M",
    "Q4_K": "Q4_K_M",
    "Q5_K": "Q5_K_M",
    "MXFP4_MOE": "MXFP4",
}
_DYNAMIC = "UD-"  # Unsloth's mixes: the same size class, other tensors

_NAMES = sorted((*QUALITY, *RETIRED, *_ALIASES), key=len, reverse=True)
_OTHER_MIX = r"[A-Z0-9]|_(?:[0-9]|[SMLX][A-Z]{0,2}(?![A-Z0-9]))"  # of which nothing is known
_NAME = re.compile(
    rf"(?<![A-Z0-9])({_DYNAMIC})?({'|'.join(_NAMES)})(?!{_OTHER_MIX})", re.IGNORECASE | re.ASCII
)


def quantization_of(filename: str) -> str | None:
    """The quantization that a file's name tells, e.g. `Q4_K_M`, `IQ4_XS` or `UD-Q4_K_XL`.

    The last name in the file's own name counts; where there is none, the last in its folders'.
    """
    folders, _, name = filename.rpartition("/")
    for text in (name, folders):
        if found := _NAME.findall(text):
            dynamic, quantization = found[-1]
            return _canonical(dynamic, quantization)
    return None


def parse_quantization(text: str) -> str | None:
    """`text`, in any case and with llama.cpp's aliases, as a quantization; None if it is none."""
    match = _NAME.fullmatch(text)
    return _canonical(*match.groups(default="")) if match else None


def quality_rank(quantization: str) -> int:
    """The place in `QUALITY`: 0 is best. What is not there comes after all others."""
    name = quantization.upper().removeprefix(_DYNAMIC)
    return QUALITY.index(name) if name in QUALITY else len(QUALITY)


def _canonical(dynamic: str, quantization: str) -> str:
    name = quantization.upper()
    return dynamic.upper() + _ALIASES.get(name, name)

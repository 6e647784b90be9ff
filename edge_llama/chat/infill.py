"""Infill: a text whose middle is asked for."""

from __future__ import annotations

from dataclasses import dataclass

from edge_llama.engine.protocol.model_info import ModelInfo
from edge_llama.engine.protocol.prompt import Control, Prompt, Segment, Text, Tokens
from edge_llama.errors import InvalidValue


@dataclass(frozen=True, slots=True)
class Infill:
    """A text whose middle is asked for.

    Attributes:
        prefix, suffix: what stands before and after it.
        begun: how the middle begins.
        files: names and texts of other files that say more.
        field: the request's, for errors.
    """

    prefix: str
    suffix: str
    begun: str = ""
    files: tuple[tuple[str, str], ...] = ()
    field: str = "suffix"


def infill_prompt(info: ModelInfo, asked: Infill) -> Prompt:
    """The prompt that has a model write the middle.

    Format: as llama-server writes it, which is Qwen2.5-Coder's: https://arxiv.org/abs/2409.12186

    Raises:
        InvalidValue: the model has no tokens for it.
    """
    fill = info.fill
    if fill is None:
        raise InvalidValue(
            f"{info.name} cannot fill in the middle of a text: its file names no tokens for it. "
            "Ask a model that can, such as Qwen2.5-Coder.",
            param=asked.field,
        )
    segments: list[Segment] = []
    if fill.repository is not None and asked.files:
        segments += [Tokens((fill.repository,)), Text("myproject\n")]
    for name, text in asked.files:
        if fill.file is None:
            segments.append(Text(f"\n\n--- snippet ---\n\n{text}"))
        else:
            segments += [Tokens((fill.file,)), Text(f"{name}\n{text}")]
    if fill.file is not None and asked.files:
        segments += [Tokens((fill.file,)), Text("filename\n")]
    if info.bos_token in info.control_tokens:
        segments.append(Control(info.bos_token))
    segments += [
        Tokens((fill.prefix,)),
        Text(asked.prefix + asked.begun),
        Tokens((fill.suffix,)),
        Text(asked.suffix),
        Tokens((fill.middle,)),
    ]
    return tuple(segment for segment in segments if segment != Text(""))

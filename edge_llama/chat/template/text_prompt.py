"""Prompts that a client writes itself, in place of a chat template."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import groupby

from edge_llama.chat.template.control_pattern import control_pattern
from edge_llama.engine.protocol.model_info import ModelInfo
from edge_llama.engine.protocol.prompt import Control, Prompt, Segment, Text, Tokens


class TextPrompts:
    """Turns texts into prompts: spelled-out control tokens are control tokens there.

    Args:
        info: whose control tokens.
    """

    def __init__(self, info: ModelInfo) -> None:
        self._pattern = control_pattern(info.control_tokens)
        self._bos = Control(info.bos_token) if info.bos_token in info.control_tokens else None

    def prompt(self, text: str, *, bos: bool = True) -> Prompt:
        """A text as a prompt.

        Args:
            text: what the model is to continue.
            bos: begin with the token that begins every prompt, unless the text does or the model
                has none.
        """
        segments = self._segments(text)
        if bos and self._bos is not None and segments[:1] != [self._bos]:
            segments.insert(0, self._bos)
        return tuple(segments)

    def mixed(self, parts: Sequence[int | str], *, bos: bool = True) -> Prompt:
        """Token ids and texts as a prompt. Only a text at the very beginning gets the token that
        begins every prompt.
        """
        if not any(isinstance(part, str) for part in parts):
            return (Tokens(tuple(part for part in parts if isinstance(part, int))),)
        segments: list[Segment] = []
        for is_text, group in groupby(parts, lambda part: isinstance(part, str)):
            if not is_text:
                segments.append(Tokens(tuple(part for part in group if isinstance(part, int))))
                continue
            for text in group:
                first = bos and not segments
                segments += self.prompt(str(text), bos=first)
        return tuple(segments)

    def _segments(self, text: str) -> list[Segment]:
        segments: list[Segment] = []
        for position, piece in enumerate(self._pattern.split(text)):
            if position % 2:
                segments.append(Control(piece))
            elif piece:
                segments.append(Text(piece))
        return segments

"""BlockWriter: a part of a message, and the events that tell of it."""

from __future__ import annotations

import json
from abc import ABC, abstractmethod

from edge_llama.api.anthropic.shapes import (
    MessageContent,
    MessageDelta,
    MessageEvent,
    MessageText,
    MessageToolUse,
)
from edge_llama.api.request.validation import JSONObject


class BlockWriter(ABC):
    """A part of a message as it is written.

    Args:
        index: its place in the message.
    """

    def __init__(self, index: int) -> None:
        self._index = index
        self._texts: list[str] = []

    @property
    @abstractmethod
    def content(self) -> MessageContent:
        """The whole block."""

    @abstractmethod
    def opening(self) -> MessageEvent: ...

    @abstractmethod
    def add(self, text: str) -> MessageEvent: ...

    def closing(self) -> MessageEvent:
        return {"type": "content_block_stop", "index": self._index}

    def _start(self, block: MessageContent) -> MessageEvent:
        return {"type": "content_block_start", "index": self._index, "content_block": block}

    def _delta(self, text: str, delta: MessageDelta) -> MessageEvent:
        self._texts.append(text)
        return {"type": "content_block_delta", "index": self._index, "delta": delta}


class TextBlockWriter(BlockWriter):
    @property
    def content(self) -> MessageText:
        return {"type": "text", "text": "".join(self._texts)}

    def opening(self) -> MessageEvent:
        return self._start({"type": "text", "text": ""})

    def add(self, text: str) -> MessageEvent:
        return self._delta(text, {"type": "text_delta", "text": text})


class ToolUseBlockWriter(BlockWriter):
    """A call of a tool.

    Args:
        index: its place in the message.
        call_id: identifies the call in the conversation.
        name: the tool.
    """

    def __init__(self, index: int, call_id: str, name: str) -> None:
        super().__init__(index)
        self._call_id = call_id
        self._name = name

    @property
    def content(self) -> MessageToolUse:
        """The whole block; of a call that was cut off, without its arguments."""
        try:
            arguments = json.loads("".join(self._texts))
        except ValueError:
            arguments = {}
        return self._block(arguments)

    def opening(self) -> MessageEvent:
        return self._start(self._block({}))

    def add(self, text: str) -> MessageEvent:
        return self._delta(text, {"type": "input_json_delta", "partial_json": text})

    def _block(self, arguments: JSONObject) -> MessageToolUse:
        return {
            "type": "tool_use",
            "id": self._call_id,
            "name": self._name,
            "input": arguments,
        }

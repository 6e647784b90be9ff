"""BlockWriter: a part of a message, and the events that tell of it."""

from __future__ import annotations

import json
from abc import ABC, abstractmethod
from typing import Any


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
    def content(self) -> dict[str, Any]:
        """The whole block."""

    @abstractmethod
    def opening(self) -> dict[str, Any]: ...

    @abstractmethod
    def add(self, text: str) -> dict[str, Any]: ...

    def closing(self) -> dict[str, Any]:
        return {"type": "content_block_stop", "index": self._index}

    def _start(self, block: dict[str, Any]) -> dict[str, Any]:
        return {"type": "content_block_start", "index": self._index, "content_block": block}

    def _delta(self, text: str, delta: dict[str, Any]) -> dict[str, Any]:
        self._texts.append(text)
        return {"type": "content_block_delta", "index": self._index, "delta": delta}


class TextBlockWriter(BlockWriter):
    @property
    def content(self) -> dict[str, Any]:
        return {"type": "text", "text": "".join(self._texts)}

    def opening(self) -> dict[str, Any]:
        return self._start({"type": "text", "text": ""})

    def add(self, text: str) -> dict[str, Any]:
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
    def content(self) -> dict[str, Any]:
        """The whole block; of a call that was cut off, without its arguments."""
        try:
            arguments = json.loads("".join(self._texts))
        except ValueError:
            arguments = {}
        return self._block(arguments)

    def opening(self) -> dict[str, Any]:
        return self._start(self._block({}))

    def add(self, text: str) -> dict[str, Any]:
        return self._delta(text, {"type": "input_json_delta", "partial_json": text})

    def _block(self, arguments: dict[str, Any]) -> dict[str, Any]:
        return {
            "type": "tool_use",
            "id": self._call_id,
            "name": self._name,
            "input": arguments,
        }

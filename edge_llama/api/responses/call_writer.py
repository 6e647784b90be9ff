"""OutputCallWriter: a call in a response."""

from __future__ import annotations

from collections.abc import Iterator

from typing_extensions import Unpack

from edge_llama.api.reply.unique_id import unique_id
from edge_llama.api.responses.shapes import (
    EventFields,
    ItemEnd,
    ItemStatus,
    OutputFunctionCall,
    UnnumberedEvent,
)


class OutputCallWriter:
    """An output item of type `function_call`, and the events that tell of it.

    Args:
        output_index: its place among the items of the response.
        call_id: identifies the call in the conversation.
        name: the function.
    """

    def __init__(self, output_index: int, call_id: str, name: str) -> None:
        self._index = output_index
        self._id = unique_id("fc")
        self._call_id = call_id
        self._name = name
        self._arguments = ""
        self._status: ItemStatus = "in_progress"

    @property
    def item(self) -> OutputFunctionCall:
        """The item as it is now."""
        return {
            "id": self._id,
            "type": "function_call",
            "status": self._status,
            "call_id": self._call_id,
            "name": self._name,
            "arguments": self._arguments,
        }

    def opening(self) -> Iterator[UnnumberedEvent]:
        yield self._item_event("added")

    def add(self, arguments: str) -> UnnumberedEvent:
        self._arguments += arguments
        return self._arguments_event("delta", delta=arguments)

    def closing(self, status: ItemEnd) -> Iterator[UnnumberedEvent]:
        self._status = status
        yield self._arguments_event("done", name=self._name, arguments=self._arguments)
        yield self._item_event("done")

    def _item_event(self, phase: str) -> UnnumberedEvent:
        return {
            "type": f"response.output_item.{phase}",
            "output_index": self._index,
            "item": self.item,
        }

    def _arguments_event(self, phase: str, **fields: Unpack[EventFields]) -> UnnumberedEvent:
        return {
            "type": f"response.function_call_arguments.{phase}",
            "item_id": self._id,
            "output_index": self._index,
            **fields,
        }

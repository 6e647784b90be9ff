"""OutputMessageWriter: the text of a response."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from typing_extensions import Unpack

from edge_llama.api.http.written_list import WrittenList
from edge_llama.api.reply.logprobs import logprob_entries
from edge_llama.api.reply.shapes import TokenLogprobOut
from edge_llama.api.reply.unique_id import unique_id
from edge_llama.api.responses.shapes import (
    EventFields,
    ItemEnd,
    ItemStatus,
    OutputMessage,
    OutputText,
    UnnumberedEvent,
)
from edge_llama.chat.logprobs import TokenLogprob


class OutputMessageWriter:
    """An output item of type `message`, and the events that tell of it.

    Args:
        output_index: its place among the items of the response.
    """

    def __init__(self, output_index: int) -> None:
        self._index = output_index
        self._id = unique_id("msg")
        self._texts: list[str] = []
        self._logprobs: WrittenList[TokenLogprobOut] = WrittenList()
        self._status: ItemStatus = "in_progress"

    @property
    def item(self) -> OutputMessage:
        """The item as it is now: without content while it is being written."""
        return {
            "id": self._id,
            "type": "message",
            "status": self._status,
            "role": "assistant",
            "content": [] if self._status == "in_progress" else [self._part()],
        }

    def opening(self) -> Iterator[UnnumberedEvent]:
        yield self._item_event("added")
        yield self._part_event("response.content_part.added", part=self._part())

    def add(self, text: str, tokens: Iterable[TokenLogprob] = ()) -> UnnumberedEvent:
        """More text, and the log-probabilities of its tokens if they were asked for."""
        logprobs = logprob_entries(tokens)
        self._texts.append(text)
        self._logprobs.add(logprobs)
        return self._part_event("response.output_text.delta", delta=text, logprobs=logprobs)

    def closing(self, status: ItemEnd) -> Iterator[UnnumberedEvent]:
        self._status = status
        part = self._part()
        yield self._part_event(
            "response.output_text.done", text=part["text"], logprobs=part["logprobs"]
        )
        yield self._part_event("response.content_part.done", part=part)
        yield self._item_event("done")

    def _part(self) -> OutputText:
        text = "".join(self._texts)
        return {"type": "output_text", "text": text, "annotations": [], "logprobs": self._logprobs}

    def _item_event(self, phase: str) -> UnnumberedEvent:
        return {
            "type": f"response.output_item.{phase}",
            "output_index": self._index,
            "item": self.item,
        }

    def _part_event(self, kind: str, **fields: Unpack[EventFields]) -> UnnumberedEvent:
        return {
            "type": kind,
            "item_id": self._id,
            "output_index": self._index,
            "content_index": 0,
            **fields,
        }

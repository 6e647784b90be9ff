"""`finish_reason`: why a choice of a chat ended."""

from __future__ import annotations

from edge_llama.api.reply.shapes import FinishReasonOut
from edge_llama.chat.events import Finished
from edge_llama.engine.protocol.output import FinishReason


def finish_reason(event: Finished, *, legacy: bool) -> FinishReasonOut:
    """`function_call` is what `tool_calls` was once."""
    made_calls = event.reason is FinishReason.TOOL_CALLS
    return "function_call" if legacy and made_calls else event.reason.value

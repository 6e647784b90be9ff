"""What answers tell besides their choices: usage, timings, progress, what was left out."""

from __future__ import annotations

from edge_llama.api.reply.shapes import (
    CompletionUsage,
    ContextOverflowOut,
    PromptProgressOut,
    Shortened,
    Timed,
    TimingsOut,
)
from edge_llama.chat.completion import ChatCompletion
from edge_llama.chat.events import Usage
from edge_llama.chat.overflow import Dropped
from edge_llama.engine.protocol.output import PromptRead


def usage_object(usage: Usage) -> CompletionUsage:
    """OpenAI's `usage`."""
    return {
        "prompt_tokens": usage.prompt_tokens,
        "completion_tokens": usage.completion_tokens,
        "total_tokens": usage.total_tokens,
        "prompt_tokens_details": {"cached_tokens": usage.cached_tokens, "audio_tokens": 0},
        "completion_tokens_details": {
            "reasoning_tokens": 0,
            "audio_tokens": 0,
            "accepted_prediction_tokens": 0,
            "rejected_prediction_tokens": 0,
        },
    }


def progress_object(event: PromptRead) -> PromptProgressOut:
    """llama.cpp's `prompt_progress`, and what is to be expected."""
    eta = event.eta_milliseconds
    return {
        "total": event.total,
        "cache": event.cached,
        "processed": event.processed,
        "time_ms": round(event.milliseconds),
        "eta_ms": None if eta is None else round(eta),
        "queue_position": event.ahead,
    }


def shortened(dropped: Dropped | None) -> Shortened:
    """What was left out of a conversation that was too long."""
    if dropped is None:
        return {}
    left_out: ContextOverflowOut = {
        "dropped_messages": dropped.messages,
        "dropped_tokens": dropped.tokens,
    }
    return {"context_overflow": left_out}


def timed(completion: ChatCompletion, n: int) -> Timed:
    """llama.cpp's `timings`; nothing with several choices, which share the time.

    Prompt counts leave out cached tokens. The first token belongs to the prompt's time, so the
    pace of the output is that of the tokens after it.
    """
    timings, usage = completion.timings, completion.usage
    if timings is None or n > 1:
        return {}
    computed = usage.prompt_tokens - usage.cached_tokens
    predicted = usage.completion_tokens
    told: TimingsOut = {
        "cache_n": usage.cached_tokens,
        "prompt_n": computed,
        "prompt_ms": round(timings.prompt_ms, 3),
        "prompt_per_second": _per_second(computed, timings.prompt_ms),
        "predicted_n": predicted,
        "predicted_ms": round(timings.predicted_ms, 3),
        "predicted_per_second": _per_second(max(0, predicted - 1), timings.predicted_ms),
    }
    return {"timings": told}


def _per_second(count: int, milliseconds: float) -> float:
    return round(1000 * count / milliseconds, 3) if milliseconds > 0 else 0.0
